//! From a made picture to a file, resized where that was asked for: once for the server and the command line.

use spadework_imaging::{EncodeError, Format, RgbImage, Size, encode_jpeg, encode_png, encode_webp};

use super::OutputSize;

/// JPEG quality: differences from the PNG are hardly seen.
const JPEG_QUALITY: u8 = 92;

/// The size that a picture of a model's size is resized to; none where it stays as the model makes it.
pub fn output_size(wanted: OutputSize, model: Size, mask: Size) -> Option<Size> {
    (wanted == OutputSize::Mask && mask != model).then_some(mask)
}

/// Why an image was not written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The format cannot hold an image of that size, or its encoder failed.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Nobody waits for it any more.
    #[error("the caller has left")]
    Abandoned,
}

/// The image as a file of `format`, resized (bicubic) to `size` where there is one. `is_gone` is asked between the steps.
///
/// # Errors
/// When the format cannot hold an image of that size, its encoder fails, or nobody waits for it any more.
pub fn render(
    image: &RgbImage,
    size: Option<Size>,
    format: Format,
    is_gone: &dyn Fn() -> bool,
) -> Result<Vec<u8>, RenderError> {
    let resized = size.map(|size| image.resized(size));
    if is_gone() {
        return Err(RenderError::Abandoned);
    }
    Ok(encode(resized.as_ref().unwrap_or(image), format)?)
}

fn encode(image: &RgbImage, format: Format) -> Result<Vec<u8>, EncodeError> {
    match format {
        Format::Png => encode_png(image),
        Format::Jpeg => encode_jpeg(image, JPEG_QUALITY),
        Format::WebP => encode_webp(image),
    }
}
