//! What a file's first bytes say: its format and size. Nothing is decoded.

use std::fmt;
use std::io::Cursor;

use crate::foreign_format::{foreign_format, foreign_text};
use crate::picture::jpeg;
use crate::png_rows::png_error;
use crate::{ReadError, Size};

/// An image format that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// PNG: masks, instance maps and images.
    Png,
    /// JPEG: images.
    Jpeg,
    /// WebP: images.
    WebP,
}

impl Format {
    /// The format that a file's first bytes announce.
    fn sniff(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(Self::WebP)
        } else {
            None
        }
    }

    /// `PNG`, `JPEG` or `WebP`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The file's format.
    pub format: Format,
    /// Width and height as stored, before any EXIF orientation.
    pub size: Size,
}

/// Reads a file's header and nothing more; a PNG needs only its first 33 bytes.
///
/// # Errors
/// When the bytes are no image that is read here, or end within the header.
pub fn peek(bytes: &[u8]) -> Result<Header, ReadError> {
    let format = sniff(bytes, "a PNG, JPEG or WebP file")?;
    let size = match format {
        Format::Png => png_size(bytes)?,
        Format::Jpeg => jpeg::size(bytes)?,
        Format::WebP => webp_size(bytes)?,
    };
    if size.pixels() == 0 {
        return Err(ReadError::damaged_because(format, format!("its size is {size}")));
    }
    Ok(Header { format, size })
}

/// The format of `bytes`; a refusal says that `wanted` may stand here.
pub(crate) fn sniff(bytes: &[u8], wanted: &'static str) -> Result<Format, ReadError> {
    if bytes.is_empty() {
        return Err(ReadError::Empty);
    }
    let Some(format) = Format::sniff(bytes) else {
        return Err(match (foreign_format(bytes), foreign_text(bytes)) {
            (Some(found), _) => ReadError::WrongFormat { found, wanted },
            (None, Some(text)) => ReadError::NotAnImage { start: format!("is {text}"), wanted },
            (None, None) => {
                ReadError::NotAnImage { start: format!("begins with {}", start_of(bytes)), wanted }
            }
        });
    };
    Ok(format)
}

fn png_size(bytes: &[u8]) -> Result<Size, ReadError> {
    if bytes.get(12..16) == Some(b"CgBI") {
        let feature = "Apple's form (CgBI)".to_owned();
        return Err(ReadError::Unsupported { format: Format::Png, feature });
    }
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    let info = decoder.read_header_info().map_err(png_error)?;
    Ok(Size::new(info.width as usize, info.height as usize))
}

fn webp_size(bytes: &[u8]) -> Result<Size, ReadError> {
    let decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).map_err(crate::picture::webp::error)?;
    let (width, height) = decoder.dimensions();
    Ok(Size::new(width as usize, height as usize))
}

/// The first bytes in a form that fits in a sentence.
fn start_of(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(16)];
    if start.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return format!("the text `{}`", String::from_utf8_lossy(start));
    }
    let hex: Vec<_> = start.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("the bytes {}", hex.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn an_empty_file_says_that_it_is_empty() {
        let error = peek(b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAnImage);
        assert_eq!(error.to_string(), "the image is empty; send the bytes of the file");
    }

    #[test]
    fn text_is_not_an_image_and_is_quoted_back() {
        let error = peek(b"hello, this is text").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAnImage);
        assert!(error.to_string().contains("the text `hello, this is t`"), "{error}");
    }

    #[test]
    fn a_gif_is_named_in_its_refusal() {
        let error = peek(b"GIF89a\x01\0\x01\0").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("GIF"), "{error}");
    }

    #[test]
    fn a_text_that_people_send_is_named() {
        let error = peek(b"{\"segmentation\": [[1, 2, 3, 4]]}").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAnImage);
        assert!(error.to_string().contains("it is JSON"), "{error}");
    }

    #[test]
    fn a_png_in_apple_s_own_form_is_named() {
        let error = peek(b"\x89PNG\r\n\x1a\n\0\0\0\x04CgBI\x50\0\x20\x02").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("CgBI"), "{error}");
    }

    #[test]
    fn thirty_three_bytes_are_enough_to_know_a_png_s_size() {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        bytes.extend([0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30, 8, 0, 0, 0, 0]);
        let mut crc = chunk_crc(&bytes[12..]);
        bytes.append(&mut crc);
        let header = peek(&bytes).unwrap();
        assert_eq!(header, Header { format: Format::Png, size: Size::new(30_000, 30_000) });
    }

    #[test]
    fn a_png_cut_within_its_header_is_truncated() {
        let error = peek(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0").unwrap_err();
        assert!(matches!(error, ReadError::Truncated { format: Format::Png }), "{error}");
    }

    /// CRC-32 of a PNG chunk, bit by bit.
    fn chunk_crc(bytes: &[u8]) -> Vec<u8> {
        let mut crc = u32::MAX;
        for &byte in bytes {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
            }
        }
        (!crc).to_be_bytes().to_vec()
    }
}
