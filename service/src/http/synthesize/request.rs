//! The three forms of a synthesis request, to one: files and options.

use std::{future::poll_fn, pin::Pin};

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest as _, Multipart, Query, Request, multipart::MultipartError},
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use mediatype::MediaType;
use serde_json::{Map, Value};

use super::{
    base64_in_place,
    body_buffer::{BodyBuffer, NoMemory},
    intake::Intake,
    json::{self, FILES, Members},
    part::{Part, TransferEncoding, name_of},
};
use crate::{
    codec::{Kind, Reserved, Work},
    http::{app::App, problem::Problem},
    synthesis::{Files, OptionsError, SynthesisOptions},
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

    /// The place of the file `name`, if files can be called so.
    fn file(&mut self, name: &str) -> Option<&mut Option<Bytes>> {
        match name {
            "mask" => Some(&mut self.mask),
            "style" => Some(&mut self.style),
            "instances" => Some(&mut self.instances),
            _ => None,
        }
    }
}

/// Reads a request in any of its forms, on the way in and then on the codec pool. Also what its body holds of what
/// requests may hold.
///
/// # Errors
/// When it has no form that is read here, is too large, or an option is wrong.
pub async fn read(app: &App, request: Request) -> Result<(SynthesisRequest, Reserved), Problem> {
    let most = app.fleet.longest_latent();
    let form = form(request.headers())?;
    let options = query_options(&request, most)?;
    let (parts, body) = request.into_parts();
    let limit = app.settings.limits.bytes;
    let (intake, body) = Intake::watch(body, limit, &app.codec.budget);
    let request = Request::from_parts(parts, body);
    let content = match form {
        Form::Multipart => read_parts(request, limit, &intake).await.map(Content::Parts),
        Form::Png => read_bytes(request.into_body(), limit).await.map(Content::Mask),
        Form::Json => read_bytes(request.into_body(), limit).await.map(Content::Json),
    };
    let content = content.map_err(|problem| intake.refusal().unwrap_or(problem))?;
    let held = intake.into_reserved();
    // Small ones wait for nobody; what a stranger can make large is not parsed on the threads that everybody waits for.
    let work = Work { kind: Kind::Parse, pixels: content.text_bytes() };
    let read = app.codec.run(work, move |_| content.parse(options, most)).await??;
    Ok((read, held))
}

/// A body that has come.
enum Content {
    Mask(BodyBuffer),
    Json(BodyBuffer),
    Parts(Vec<Part>),
}

impl Content {
    /// Bytes of it that are to be parsed.
    fn text_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Mask(_) => 0,
            Self::Json(text) => text.as_slice().len(),
            Self::Parts(parts) => {
                let is_text =
                    |part: &&Part| !FILES.contains(&&*part.name) || part.encoding == TransferEncoding::Base64;
                parts.iter().filter(is_text).map(|part| part.bytes.as_slice().len()).sum()
            }
        };
        bytes as u64
    }

    fn parse(self, options: Map<String, Value>, most: usize) -> Result<SynthesisRequest, Problem> {
        match self {
            Self::Mask(mask) => {
                let options = SynthesisOptions::from_object(options)?;
                Ok(SynthesisRequest { mask: Some(mask.into_bytes()), options, ..SynthesisRequest::default() })
            }
            Self::Json(body) => parse_json(body, options, most),
            Self::Parts(parts) => parse_parts(parts, options, most),
        }
    }
}

enum Form {
    Multipart,
    Png,
    Json,
}

fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        return Err(Problem::unsupported_encoding(&encoding));
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

fn query_options(request: &Request, most: usize) -> Result<Map<String, Value>, Problem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
        .map_err(|_| Problem::malformed("the query cannot be read; write it as name=value&name=value"))?;
    let mut options = Map::new();
    for (name, text) in pairs {
        SynthesisOptions::add_text(&mut options, &name, &text, most)?;
    }
    Ok(options)
}

/// A body of at most `limit` bytes as one piece that is this request's own.
async fn read_bytes(mut body: Body, limit: usize) -> Result<BodyBuffer, Problem> {
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut bytes = BodyBuffer::new(length.unwrap_or(limit).min(limit));
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Problem::malformed("the body broke off on its way; send it whole"))?;
        if let Some(data) = frame.data_ref() {
            bytes.extend(data).map_err(no_memory)?;
        }
    }
    Ok(bytes)
}

/// Parts of a form that are read; a request has a dozen at most.
const MOST_PARTS: usize = 64;

async fn read_parts(request: Request, limit: usize, intake: &Intake) -> Result<Vec<Part>, Problem> {
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|_| Problem::malformed("the Content-Type has no boundary; let your client write it"))?;
    let mut read = Vec::new();
    loop {
        intake.seek_head();
        let Some(mut part) = parts.next_field().await.map_err(multipart_problem)? else { return Ok(read) };
        intake.found_head();
        let Some(name) = part.name().map(str::to_owned).or_else(|| name_of(part.headers())) else {
            return Err(Problem::malformed(
                "a part has no name; name it `mask`, `style`, `instances` or an option",
            ));
        };
        let has_file_name = part.file_name().is_some_and(|file| !file.is_empty());
        if !FILES.contains(&&*name) && name != "options" && !SynthesisOptions::is_known(&name) {
            return Err(unknown_part(name, has_file_name)); // without reading it
        }
        if read.len() == MOST_PARTS {
            return Err(Problem::malformed(format!("there are more than {MOST_PARTS} parts; send fewer")));
        }
        let encoding = TransferEncoding::of(part.headers());
        let mut bytes = BodyBuffer::new(limit);
        while let Some(piece) = part.chunk().await.map_err(multipart_problem)? {
            bytes.extend(&piece).map_err(no_memory)?;
        }
        read.push(Part { name, has_file_name, encoding, bytes });
    }
}

fn parse_parts(
    parts: Vec<Part>,
    mut options: Map<String, Value>,
    most: usize,
) -> Result<SynthesisRequest, Problem> {
    let mut read = SynthesisRequest::default();
    for part in parts.into_iter().filter(|part| !part.is_left_empty()) {
        let (name, bytes) = (part.name.clone(), part.decoded()?);
        if let Some(place) = read.file(&name) {
            if place.replace(bytes).is_some() {
                return Err(json::sent_twice(&name));
            }
            continue;
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            Problem::malformed(format!("part `{name}` is not text, and no file is called so"))
        })?;
        if name == "options" {
            options = json::read(text.as_bytes(), "the part `options`", false, options, most)?.options;
        } else {
            SynthesisOptions::add_text(&mut options, &name, text, most)?;
        }
    }
    read.options = SynthesisOptions::from_object(options)?;
    Ok(read)
}

/// A part that is not read: a file by a wrong name is told the names of files.
fn unknown_part(name: String, has_file_name: bool) -> Problem {
    let unknown = OptionsError::Unknown(name).to_string();
    Problem::invalid_options(match has_file_name {
        true => format!("send the mask as `mask` (the files are `mask`, `style` and `instances`): {unknown}"),
        false => format!("{unknown}; the files are `mask`, `style` and `instances`"),
    })
}

fn parse_json(
    mut body: BodyBuffer,
    options: Map<String, Value>,
    most: usize,
) -> Result<SynthesisRequest, Problem> {
    let Members { files, options } = json::read(body.as_slice(), "the body", true, options, most)?;
    let options = SynthesisOptions::from_object(options)?;
    let mut decoded = [None, None, None];
    for ((range, name), decoded) in files.into_iter().zip(FILES).zip(&mut decoded) {
        let Some(range) = range else { continue };
        let start = range.start;
        let bytes = base64_in_place::decode(&mut body.as_mut_slice()[range]).ok_or_else(|| {
            Problem::malformed(format!("`{name}` is no file in base64; encode its bytes so"))
        })?;
        *decoded = Some(start + bytes.start..start + bytes.end);
    }
    let body = body.into_bytes();
    let [mask, style, instances] = decoded.map(|range| range.map(|range| body.slice(range)));
    Ok(SynthesisRequest { mask, style, instances, options })
}

fn no_memory(error: NoMemory) -> Problem {
    tracing::error!(error = &error as &dyn std::error::Error, "a body could not be held");
    Problem::codec_full()
}

fn multipart_problem(error: MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::too_large("the body has more bytes than the server takes; send smaller files")
        }
        _ => Problem::malformed(format!(
            "the multipart body cannot be read: {}; send it whole",
            error.body_text()
        )),
    }
}
