//! Images to files.

use image_webp::{ColorType as WebPColor, WebPEncoder};
use jpeg_encoder::{ColorType as JpegColor, Encoder as JpegEncoder};

use crate::{Format, LabelMap, RgbImage, Size};

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The format cannot hold an image of this size.
    #[error("{format} holds at most {most} pixels a side and the picture is {size}; ask for PNG")]
    TooLarge {
        /// The format asked for.
        format: Format,
        /// The format's longest side.
        most: usize,
        /// The image's size.
        size: Size,
    },
    /// The PNG encoder failed.
    #[error("encode a PNG")]
    Png(#[from] png::EncodingError),
    /// The JPEG encoder failed.
    #[error("encode a JPEG")]
    Jpeg(#[from] jpeg_encoder::EncodingError),
    /// The WebP encoder failed.
    #[error("encode a WebP")]
    WebP(#[from] image_webp::EncodingError),
}

/// A PNG, compressed for speed rather than size.
///
/// # Errors
/// When the encoder fails, which a valid image gives it no reason to.
pub fn encode_png(picture: &RgbImage) -> Result<Vec<u8>, EncodeError> {
    write_png(picture.size(), png::ColorType::Rgb, picture.pixels())
}

/// A label map as an 8-bit grey PNG of ids, which [`crate::decode_mask`] reads back as they are.
///
/// # Errors
/// When the encoder fails, which a valid map gives it no reason to.
pub fn encode_label_png(labels: &LabelMap) -> Result<Vec<u8>, EncodeError> {
    write_png(labels.size(), png::ColorType::Grayscale, labels.ids())
}

fn write_png(size: Size, color: png::ColorType, data: &[u8]) -> Result<Vec<u8>, EncodeError> {
    // No side is longer than memory holds pixels, far below 2^32.
    let mut bytes = Vec::with_capacity(data.len() / 2);
    let mut encoder = png::Encoder::new(&mut bytes, size.width as u32, size.height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(data)?;
    writer.finish()?;
    Ok(bytes)
}

/// Checks that `format` can hold an image of `size`.
///
/// # Errors
/// When a side is longer than the format can say: 65,535 pixels in a JPEG, 16,384 in a WebP.
pub fn check_encodable(format: Format, size: Size) -> Result<(), EncodeError> {
    let most = match format {
        Format::Png => return Ok(()),
        Format::Jpeg => usize::from(u16::MAX),
        Format::WebP => 1 << 14,
    };
    if size.width.max(size.height) > most {
        return Err(EncodeError::TooLarge { format, most, size });
    }
    Ok(())
}

/// A baseline JPEG of `quality` 1 to 100.
///
/// # Errors
/// As [`check_encodable`].
pub fn encode_jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let size = picture.size();
    check_encodable(Format::Jpeg, size)?;
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new(&mut bytes, quality);
    encoder.encode(picture.pixels(), size.width as u16, size.height as u16, JpegColor::Rgb)?;
    Ok(bytes)
}

/// A lossless WebP.
///
/// # Errors
/// As [`check_encodable`].
pub fn encode_webp(picture: &RgbImage) -> Result<Vec<u8>, EncodeError> {
    let size = picture.size();
    check_encodable(Format::WebP, size)?;
    let mut bytes = Vec::new();
    let encoder = WebPEncoder::new(&mut bytes);
    encoder.encode(picture.pixels(), size.width as u32, size.height as u32, WebPColor::Rgb8)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, decode_picture};

    fn gradient(width: usize, height: usize) -> RgbImage {
        let pixels = (0..width * height)
            .flat_map(|i| [(i % width * 255 / width) as u8, (i / width * 255 / height) as u8, 128])
            .collect();
        RgbImage::new(width, height, pixels).unwrap()
    }

    #[test]
    fn png_and_webp_keep_every_byte() {
        let picture = gradient(37, 21);
        for bytes in [encode_png(&picture).unwrap(), encode_webp(&picture).unwrap()] {
            assert_eq!(decode_picture(&bytes, &Limits::default()).unwrap(), picture);
        }
    }

    #[test]
    fn jpeg_keeps_a_smooth_picture_within_a_few_levels() {
        let picture = gradient(40, 24);
        let read = decode_picture(&encode_jpeg(&picture, 95).unwrap(), &Limits::default()).unwrap();
        assert_eq!(read.size(), picture.size());
        let worst = read.pixels().iter().zip(picture.pixels()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(8), "{worst:?}");
    }

    #[test]
    fn a_side_that_the_format_cannot_hold_is_named() {
        let strip = gradient(20_000, 1);
        let error = encode_webp(&strip).unwrap_err();
        assert_eq!(
            error.to_string(),
            "WebP holds at most 16384 pixels a side and the picture is 20000x1; ask for PNG"
        );
    }
}
