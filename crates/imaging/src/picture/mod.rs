//! An image as people send it: PNG, JPEG or WebP, upright, eight bits, no alpha.
//!
//! As the published code's `Image.open(path).convert('RGB')`: alpha is dropped, colour profiles are ignored.

pub(crate) mod jpeg;
mod jpeg_markers;
mod orientation;
mod png;
pub(crate) mod webp;

use crate::{Format, Limits, ReadError, RgbImage, peek};
use orientation::Orientation;

/// Reads a PNG, JPEG or WebP as an image, turned upright when its EXIF says how.
///
/// # Errors
/// When the bytes are no such file, larger than `limits`, cut off or damaged.
pub fn decode_picture(bytes: &[u8], limits: &Limits) -> Result<RgbImage, ReadError> {
    limits.check_bytes(bytes.len())?;
    let header = peek(bytes)?;
    limits.check_size(header.size)?;
    let (picture, exif) = match header.format {
        Format::Png => png::decode(bytes, limits)?,
        Format::Jpeg => jpeg::decode(bytes, limits)?,
        Format::WebP => webp::decode(bytes, header.size)?,
    };
    Ok(exif.map_or(Orientation::UPRIGHT, |exif| Orientation::of_exif(&exif)).apply(picture))
}

/// What a decoder answers: the stored pixels and the raw EXIF block, if any.
type Decoded = (RgbImage, Option<Vec<u8>>);

/// The pixels as an image; a decoder that answered too few is at fault for a damaged file.
fn picture(size: crate::Size, pixels: Vec<u8>, format: Format) -> Result<RgbImage, ReadError> {
    RgbImage::new(size.width, size.height, pixels).map_err(|error| ReadError::damaged(format, error))
}
