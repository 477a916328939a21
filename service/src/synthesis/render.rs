//! From a made picture to a file, resized where that was asked for: once for the server and the command line.

use spadework_imaging::{EncodeError, Format, RgbImage, Size, encode_jpeg, encode_png, encode_webp};

use super::OutputSize;

/// JPEG quality: differences from the PNG are hardly seen.
const JPEG_QUALITY: u8 = 92;

/// The size that a picture of a model's size is resized to; none where it stays as the model makes it.
pub fn output_size(wanted: OutputSize, model: Size, mask: Size) -> Option<Size> {
    (wanted == OutputSize::Mask && mask != model).then_some(mask)
}

/// The picture as a file of `format`, resized (bicubic) to `size` where there is one.
///
/// # Errors
/// When the format cannot hold a picture of that size, or its encoder fails.
pub fn render(image: &RgbImage, size: Option<Size>, format: Format) -> Result<Vec<u8>, EncodeError> {
    match size {
        Some(size) => encode(&image.resized(size), format),
        None => encode(image, format),
    }
}

fn encode(image: &RgbImage, format: Format) -> Result<Vec<u8>, EncodeError> {
    match format {
        Format::Png => encode_png(image),
        Format::Jpeg => encode_jpeg(image, JPEG_QUALITY),
        Format::WebP => encode_webp(image),
    }
}
