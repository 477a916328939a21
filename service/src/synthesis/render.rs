//! From a made picture to a file, resized where that was asked for: once for the server and the command line.

use spadework_imaging::{
    EncodeError, Format, RgbImage, Size, encode_jpeg_unless, encode_png_unless, encode_webp,
};

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
    Encode(EncodeError),
    /// Nobody waits for it any more.
    #[error("the caller has left")]
    Abandoned,
}

impl From<EncodeError> for RenderError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Stopped => Self::Abandoned,
            error => Self::Encode(error),
        }
    }
}

/// The image as a file of `format`, resized (bicubic) to `size` where there is one. `is_gone` is asked between rows; of a WebP
/// before it is begun.
///
/// # Errors
/// When the format cannot hold an image of that size, its encoder fails, or nobody waits for it any more.
pub fn render(
    image: &RgbImage,
    size: Option<Size>,
    format: Format,
    is_gone: &dyn Fn() -> bool,
) -> Result<Vec<u8>, RenderError> {
    if is_gone() {
        return Err(RenderError::Abandoned);
    }
    let resized = size.map(|size| image.resized_unless(size, is_gone).ok_or(RenderError::Abandoned));
    let resized = resized.transpose()?;
    Ok(encode(resized.as_ref().unwrap_or(image), format, is_gone)?)
}

fn encode(image: &RgbImage, format: Format, is_gone: &dyn Fn() -> bool) -> Result<Vec<u8>, EncodeError> {
    match format {
        Format::Png => encode_png_unless(image, is_gone),
        Format::Jpeg => encode_jpeg_unless(image, JPEG_QUALITY, is_gone),
        Format::WebP if is_gone() => Err(EncodeError::Stopped),
        Format::WebP => encode_webp(image),
    }
}
