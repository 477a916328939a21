//! WebP images.

use std::io::{Cursor, ErrorKind as IoErrorKind};

use image_webp::{DecodingError, WebPDecoder};

use super::{Decoded, picture};
use crate::{Format, ReadError, Size};

pub(super) fn decode(bytes: &[u8], size: Size) -> Result<Decoded, ReadError> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(error)?;
    // Text, profile and EXIF may not swell past the pixels themselves.
    decoder.set_memory_limit(64 << 20);
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut pixels = vec![0; channels * size.width * size.height];
    decoder.read_image(&mut pixels).map_err(error)?;
    if channels == 4 {
        pixels = pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    }
    let exif = decoder.exif_metadata().ok().flatten();
    Ok((picture(size, pixels, Format::WebP)?, exif))
}

pub(crate) fn error(error: DecodingError) -> ReadError {
    let format = Format::WebP;
    match error {
        DecodingError::IoError(cause) if cause.kind() == IoErrorKind::UnexpectedEof => {
            ReadError::Truncated { format }
        }
        DecodingError::UnsupportedFeature(feature) => ReadError::Unsupported { format, feature },
        other => ReadError::damaged(format, other),
    }
}
