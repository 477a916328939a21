//! One part of a form: its name as clients write it, and its bytes as they were meant.

use axum::http::{HeaderMap, header};
use bytes::Bytes;

use super::{base64_in_place, body_buffer::BodyBuffer, json::FILES};
use crate::http::problem::Problem;

/// A part of a form.
#[derive(Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Whether a file was chosen for it: it has a file name, and not an empty one.
    pub has_file_name: bool,
    /// How its bytes are written.
    pub encoding: TransferEncoding,
    /// Its bytes, as they are written.
    pub bytes: BodyBuffer,
}

/// How a part's bytes are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    Plain,
    Base64,
    Other(String),
}

impl TransferEncoding {
    /// What a part's headers say.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get("content-transfer-encoding") else { return Self::Plain };
        let value = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
        match value.as_str() {
            "7bit" | "8bit" | "binary" | "" => Self::Plain,
            "base64" => Self::Base64,
            _ => Self::Other(value),
        }
    }
}

impl Part {
    /// Whether nothing was filled in: browsers send a file input that was left empty, and an empty text field, all the same.
    pub fn is_left_empty(&self) -> bool {
        let is_file = FILES.contains(&&*self.name);
        !(is_file && self.has_file_name) && self.bytes.as_slice().trim_ascii().is_empty()
    }

    /// Its bytes, decoded.
    ///
    /// # Errors
    /// When they are not written as the part says, or in a way that is not read here.
    pub fn decoded(self) -> Result<Bytes, Problem> {
        let Self { name, encoding, mut bytes, .. } = self;
        match encoding {
            TransferEncoding::Plain => Ok(bytes.into_bytes()),
            TransferEncoding::Base64 => {
                let length = base64_in_place::decode_lines(bytes.as_mut_slice()).ok_or_else(|| {
                    Problem::malformed(format!(
                        "part `{name}` says that it is base64 (Content-Transfer-Encoding) and is not; send its bytes as they are"
                    ))
                })?;
                Ok(bytes.into_bytes().slice(..length))
            }
            TransferEncoding::Other(other) => Err(Problem::unsupported(format!(
                "part `{name}` is written as {other} (Content-Transfer-Encoding), which is not read here; send its bytes as they are"
            ))),
        }
    }
}

/// The name in a part's Content-Disposition where the reader of forms finds none: `Name=`, or `name*=` as RFC 8187 has it.
pub fn name_of(headers: &HeaderMap) -> Option<String> {
    let disposition =
        String::from_utf8_lossy(headers.get(header::CONTENT_DISPOSITION)?.as_bytes()).into_owned();
    let parameter = |wanted: &str| {
        disposition.split(';').skip(1).find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    parameter("name").or_else(|| {
        let extended = parameter("name*")?;
        let (charset, rest) = extended.split_once('\'')?;
        let (_, encoded) = rest.split_once('\'')?;
        let is_known = charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("iso-8859-1");
        // The names that are read are ASCII, which both charsets write alike.
        is_known.then(|| percent_decoded(encoded))
    })
}

fn percent_decoded(text: &str) -> String {
    // A form's pairs are percent-encoded too, but for `+`.
    let text = text.replace('+', "%2B");
    form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn name(disposition: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(disposition).unwrap());
        name_of(&headers)
    }

    #[test]
    fn names_are_found_however_they_are_written() {
        for disposition in [
            "form-data; Name=\"mask\"; filename=\"m.png\"",
            "form-data; NAME=mask",
            "form-data; name*=UTF-8''mask",
            "form-data; name*=utf-8'en'%6Dask; filename*=UTF-8''m.png",
        ] {
            assert_eq!(name(disposition).as_deref(), Some("mask"), "{disposition}");
        }
        assert_eq!(name("form-data; filename=\"name=mask\""), None);
        assert_eq!(name("form-data"), None);
    }

    fn part(name: &str, has_file_name: bool, encoding: TransferEncoding, bytes: &'static [u8]) -> Part {
        let mut held = BodyBuffer::new(bytes.len());
        held.extend(bytes).unwrap();
        Part { name: name.to_owned(), has_file_name, encoding, bytes: held }
    }

    #[test]
    fn what_was_left_empty_is_not_sent() {
        let plain = |name, has_file_name, bytes| part(name, has_file_name, TransferEncoding::Plain, bytes);
        assert!(plain("style", false, b"").is_left_empty());
        assert!(plain("seed", false, b" \r\n").is_left_empty());
        assert!(!plain("style", true, b"").is_left_empty(), "a file without bytes was chosen");
        assert!(!plain("seed", false, b"7").is_left_empty());
    }

    #[test]
    fn base64_is_decoded_and_other_encodings_are_named() {
        let base64 = part("mask", true, TransferEncoding::Base64, b"iVBO\r\nRw0=\r\n");
        assert_eq!(base64.decoded().ok().unwrap(), &b"\x89PNG\r"[..]);
        let wrong = part("mask", true, TransferEncoding::Base64, b"\x89PNG").decoded().unwrap_err();
        assert!(format!("{wrong:?}").contains("says that it is base64"));
        let other = part("mask", true, TransferEncoding::Other("quoted-printable".to_owned()), b"x");
        assert!(format!("{:?}", other.decoded().unwrap_err()).contains("quoted-printable"));
    }
}
