//! JPEG images.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::jpeg_markers::{check_coding, check_end};
use super::{Decoded, picture};
use crate::{Format, Limits, ReadError, Size};

/// The size that a JPEG's frame header says.
///
/// # Errors
/// When the file ends before, is damaged, or is of a coding that is not read here.
pub(crate) fn size(bytes: &[u8]) -> Result<Size, ReadError> {
    check_coding(bytes)?;
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(usize::from(u16::MAX)));
    // Whatever the decoder misses in a cut file, it was cut.
    decoder.decode_headers().map_err(|cause| check_end(bytes).err().unwrap_or_else(|| error(cause)))?;
    let info = decoder.info().ok_or(ReadError::Truncated { format: Format::Jpeg })?;
    Ok(Size::new(usize::from(info.width), usize::from(info.height)))
}

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, ReadError> {
    let size = size(bytes)?;
    check_end(bytes)?;
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
