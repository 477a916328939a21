//! JPEG pictures.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Decoded, picture};
use crate::{Format, Limits, ReadError, Size};

/// The size that a JPEG's frame header says.
pub(crate) fn size(bytes: &[u8]) -> Result<Size, ReadError> {
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(usize::from(u16::MAX)));
    decoder.decode_headers().map_err(error)?;
    let info = decoder.info().ok_or(ReadError::Truncated { format: Format::Jpeg })?;
    Ok(Size::new(usize::from(info.width), usize::from(info.height)))
}

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, ReadError> {
    let size = size(bytes)?;
    if !is_whole(bytes) {
        return Err(ReadError::Truncated { format: Format::Jpeg });
    }
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(limits.side));
    let pixels = decoder.decode().map_err(error)?;
    let exif = decoder.exif().cloned();
    Ok((picture(size, pixels, Format::Jpeg)?, exif))
}

fn options(side: usize) -> DecoderOptions {
    DecoderOptions::default()
        .set_max_width(side)
        .set_max_height(side)
        .set_strict_mode(false)
        .jpeg_set_out_colorspace(ColorSpace::RGB)
}

/// Whether the end marker is there. The decoder forgives its absence and fills the rest with grey; a cut file
/// would then set a style that nobody chose.
fn is_whole(bytes: &[u8]) -> bool {
    bytes.windows(2).rev().any(|pair| pair == [0xff, 0xd9])
}

fn error(error: DecodeErrors) -> ReadError {
    let format = Format::Jpeg;
    match error {
        DecodeErrors::ExhaustedData => ReadError::Truncated { format },
        DecodeErrors::Unsupported(scheme) => {
            ReadError::Unsupported { format, feature: format!("{scheme:?}") }
        }
        other => ReadError::damaged_because(format, other.to_string()),
    }
}
