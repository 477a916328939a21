//! The three forms of a synthesis request, to one: files and options.

use axum::{
    RequestExt as _,
    body::Body,
    extract::{FromRequest as _, Multipart, Query, Request, multipart::MultipartError},
    http::{HeaderMap, StatusCode, header},
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use mediatype::MediaType;
use serde_json::{Map, Value};

use super::members::Members;
use crate::{
    http::problem::Problem,
    synthesis::{Files, SynthesisOptions},
};

/// What can be sent, for messages.
const FORMS: &str = "send multipart/form-data with a part `mask`, a PNG as image/png, or application/json";

/// A synthesis request.
#[derive(Debug, Default)]
pub struct SynthesisRequest {
    mask: Option<Bytes>,
    style: Option<Bytes>,
    instances: Option<Bytes>,
    /// Its options.
    pub options: SynthesisOptions,
}

impl SynthesisRequest {
    /// Its files.
    ///
    /// # Errors
    /// When there is no mask.
    pub fn files(&self) -> Result<Files<'_>, Problem> {
        let mask =
            self.mask.as_deref().ok_or_else(|| Problem::malformed(format!("there is no mask; {FORMS}")))?;
        Ok(Files { mask, style: self.style.as_deref(), instances: self.instances.as_deref() })
    }

    /// Bytes of its files.
    pub fn bytes(&self) -> usize {
        [&self.mask, &self.style, &self.instances].into_iter().flatten().map(Bytes::len).sum()
    }

    /// The place of the file `name`, if files can be called so.
    fn file(&mut self, name: &str) -> Option<&mut Option<Bytes>> {
        match name {
            "mask" => Some(&mut self.mask),
            "style" => Some(&mut self.style),
            "instances" => Some(&mut self.instances),
            _ => None,
        }
    }

    /// Keeps the file `name`, if files can be called so; tells whether it did.
    fn keep_file(&mut self, name: &str, bytes: &Bytes) -> Result<bool, Problem> {
        match self.file(name) {
            None => Ok(false),
            Some(place @ None) => {
                *place = Some(bytes.clone());
                Ok(true)
            }
            Some(Some(_)) => Err(Problem::malformed(format!("`{name}` is sent twice; send it once"))),
        }
    }
}

/// Reads a request in any of its forms. The body's limit is the router's.
///
/// # Errors
/// When it has no form that is read here, is too large, or an option is wrong.
pub async fn read(request: Request) -> Result<SynthesisRequest, Problem> {
    let mut options = query_options(&request)?;
    let mut read = match form(request.headers())? {
        Form::Multipart => read_multipart(request, &mut options).await?,
        Form::Png => {
            let mask = Some(read_bytes(request).await?);
            SynthesisRequest { mask, ..SynthesisRequest::default() }
        }
        Form::Json => read_json(&read_bytes(request).await?, &mut options)?,
    };
    read.options = SynthesisOptions::from_object(options)?;
    Ok(read)
}

enum Form {
    Multipart,
    Png,
    Json,
}

fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        return Err(Problem::unsupported(format!(
            "a body with `Content-Encoding: {encoding}` is not read here; send it as it is"
        )));
    }
    let Some(text) = headers.get(header::CONTENT_TYPE) else {
        let empty = !headers.contains_key(header::TRANSFER_ENCODING)
            && headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
        return Err(if empty {
            Problem::malformed(format!("the body is empty; {FORMS}"))
        } else {
            Problem::unsupported(format!("there is no Content-Type; {FORMS}"))
        });
    };
    let text = String::from_utf8_lossy(text.as_bytes());
    let parsed = MediaType::parse(&text).ok();
    match parsed.map(|parsed| parsed.essence().to_string().to_ascii_lowercase()).as_deref() {
        Some("multipart/form-data") => Ok(Form::Multipart),
        Some("image/png") => Ok(Form::Png),
        Some("application/json") => Ok(Form::Json),
        _ => Err(Problem::unsupported(format!("a body of type `{text}` is not read here; {FORMS}"))),
    }
}

fn query_options(request: &Request) -> Result<Map<String, Value>, Problem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
        .map_err(|_| Problem::malformed("the query cannot be read; write it as name=value&name=value"))?;
    let mut options = Map::new();
    for (name, text) in pairs {
        SynthesisOptions::add_text(&mut options, &name, &text)?;
    }
    Ok(options)
}

async fn read_bytes(request: Request) -> Result<Bytes, Problem> {
    let request: Request<Body> = request.with_limited_body();
    let read = Bytes::from_request(request, &()).await;
    read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => body_too_large(),
        _ => Problem::malformed("the body broke off on its way; send it whole"),
    })
}

async fn read_multipart(
    request: Request,
    options: &mut Map<String, Value>,
) -> Result<SynthesisRequest, Problem> {
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|_| Problem::malformed("the Content-Type has no boundary; let your client write it"))?;
    let mut read = SynthesisRequest::default();
    while let Some(part) = parts.next_field().await.map_err(multipart_problem)? {
        let Some(name) = part.name().map(str::to_owned) else {
            return Err(Problem::malformed(
                "a part has no name; name it `mask`, `style`, `instances` or an option",
            ));
        };
        let bytes = part.bytes().await.map_err(multipart_problem)?;
        if read.keep_file(&name, &bytes)? {
            continue;
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            Problem::malformed(format!("part `{name}` is not text, and no file is called so"))
        })?;
        if name == "options" {
            for (name, value) in parse_object(text.as_bytes(), "the part `options`")? {
                SynthesisOptions::add(options, &name, value)?;
            }
        } else {
            SynthesisOptions::add_text(options, &name, text)?;
        }
    }
    Ok(read)
}

fn multipart_problem(error: MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => body_too_large(),
        _ => Problem::malformed(format!(
            "the multipart body cannot be read: {}; send it whole",
            error.body_text()
        )),
    }
}

fn body_too_large() -> Problem {
    Problem::too_large("the body has more bytes than the server takes; send smaller files")
}

fn read_json(body: &[u8], options: &mut Map<String, Value>) -> Result<SynthesisRequest, Problem> {
    let mut read = SynthesisRequest::default();
    for (name, value) in parse_object(body, "the body")? {
        if read.file(&name).is_none() {
            SynthesisOptions::add(options, &name, value)?;
        } else if !value.is_null() {
            read.keep_file(&name, &decode_base64(&name, &value)?)?;
        }
    }
    Ok(read)
}

fn parse_object(text: &[u8], place: &str) -> Result<Vec<(String, Value)>, Problem> {
    let members = serde_json::from_slice(text);
    members
        .map(|Members(members)| members)
        .map_err(|error| Problem::malformed(format!("{place} is no JSON object: {error}")))
}

/// Base64 as it is written anywhere: padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Base64, in lines or not, with or without a `data:` prefix as browsers write it.
fn decode_base64(name: &str, value: &Value) -> Result<Bytes, Problem> {
    let wrong = || Problem::malformed(format!("`{name}` is no file in base64; encode its bytes so"));
    let text = value.as_str().ok_or_else(wrong)?;
    let text = match text.strip_prefix("data:") {
        Some(url) => url.split_once(";base64,").ok_or_else(wrong)?.1,
        None => text,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(digits).map(Bytes::from).map_err(|_| wrong())
}
