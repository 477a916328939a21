//! Images to files. What may take long is given up between rows, when that is asked for.

use std::io::Write as _;

use image_webp::{ColorType as WebPColor, WebPEncoder};
use jpeg_encoder::{ColorType as JpegColor, Encoder as JpegEncoder};

use crate::{
    Format, LabelMap, RgbImage, Size,
    sink::{Refusal, Sink},
};

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
    /// Nobody waits for it any more.
    #[error("given up")]
    Stopped,
}

/// Goes on to the end.
const NEVER: &dyn Fn() -> bool = &|| false;

/// A PNG, compressed for speed rather than size.
///
/// # Errors
/// When the encoder fails, which a valid image gives it no reason to.
pub fn encode_png(picture: &RgbImage) -> Result<Vec<u8>, EncodeError> {
    encode_png_unless(picture, NEVER)
}

/// [`encode_png`], given up between rows as soon as `stop` says so.
///
/// # Errors
/// As [`encode_png`], and when it is given up.
pub fn encode_png_unless(picture: &RgbImage, stop: &dyn Fn() -> bool) -> Result<Vec<u8>, EncodeError> {
    write_png(picture.size(), png::ColorType::Rgb, picture.pixels(), stop)
}

/// A label map as an 8-bit grey PNG of ids, which [`crate::decode_mask`] reads back as they are.
///
/// # Errors
/// When the encoder fails, which a valid map gives it no reason to.
pub fn encode_label_png(labels: &LabelMap) -> Result<Vec<u8>, EncodeError> {
    write_png(labels.size(), png::ColorType::Grayscale, labels.ids(), NEVER)
}

/// Bytes of pixels that are compressed in one go: milliseconds.
const WHOLE: usize = 3 << 20;
/// Bytes of a chunk of what is compressed row by row.
const CHUNK: usize = 1 << 20;

fn write_png(
    size: Size,
    color: png::ColorType,
    data: &[u8],
    stop: &dyn Fn() -> bool,
) -> Result<Vec<u8>, EncodeError> {
    if data.len() <= WHOLE {
        return write_whole_png(size, color, data, png::Compression::Fast);
    }
    // Row by row, noise may become longer than it was; then it is stored as it is, in no time.
    let mut sink = Sink::new(data.len() + size.height + data.len() / 1000 + CHUNK, stop);
    let written = write_rows(&mut sink, size, color, data, stop);
    match (sink.refusal(), written) {
        (Some(Refusal::Full), _) => write_whole_png(size, color, data, png::Compression::NoCompression),
        (Some(Refusal::Stopped), _) | (None, Ok(false)) => Err(EncodeError::Stopped),
        (None, Ok(true)) => Ok(sink.into_bytes()),
        (None, Err(error)) => Err(error),
    }
}

fn png_encoder<W: std::io::Write>(
    sink: W,
    size: Size,
    color: png::ColorType,
    compression: png::Compression,
) -> Result<png::Writer<W>, EncodeError> {
    // No side is longer than memory holds pixels, far below 2^32.
    let mut encoder = png::Encoder::new(sink, size.width as u32, size.height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(compression);
    Ok(encoder.write_header()?)
}

fn write_whole_png(
    size: Size,
    color: png::ColorType,
    data: &[u8],
    compression: png::Compression,
) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(data.len() / 2);
    let mut writer = png_encoder(&mut bytes, size, color, compression)?;
    writer.write_image_data(data)?;
    writer.finish()?;
    Ok(bytes)
}

/// Whether it came to the end.
fn write_rows(
    sink: &mut Sink<'_>,
    size: Size,
    color: png::ColorType,
    data: &[u8],
    stop: &dyn Fn() -> bool,
) -> Result<bool, EncodeError> {
    let mut writer = png_encoder(sink, size, color, png::Compression::Fast)?;
    let mut rows = writer.stream_writer_with_size(CHUNK)?;
    for row in data.chunks(data.len() / size.height) {
        if stop() {
            return Ok(false);
        }
        rows.write_all(row).map_err(png::EncodingError::from)?;
    }
    rows.finish()?;
    writer.finish()?;
    Ok(true)
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
    encode_jpeg_unless(picture, quality, NEVER)
}

/// [`encode_jpeg`], given up between blocks as soon as `stop` says so.
///
/// # Errors
/// As [`encode_jpeg`], and when it is given up.
pub fn encode_jpeg_unless(
    picture: &RgbImage,
    quality: u8,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<u8>, EncodeError> {
    let size = picture.size();
    check_encodable(Format::Jpeg, size)?;
    let mut sink = Sink::new(usize::MAX, stop);
    let encoder = JpegEncoder::new(&mut sink, quality);
    let written = encoder.encode(picture.pixels(), size.width as u16, size.height as u16, JpegColor::Rgb);
    if sink.refusal().is_some() {
        return Err(EncodeError::Stopped);
    }
    written?;
    Ok(sink.into_bytes())
}

/// A lossless WebP. Its encoder takes the image as a whole, so it is not given up on the way.
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

    fn noise(width: usize, height: usize) -> RgbImage {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        RgbImage::new(width, height, std::iter::repeat_with(next).take(3 * width * height).collect()).unwrap()
    }

    #[test]
    fn large_pngs_keep_every_byte_and_noise_is_hardly_longer_than_it_was() {
        for picture in
            [gradient(1201, 1003), noise(1201, 1003), gradient(1_100_000, 1), gradient(1, 1_100_000)]
        {
            let bytes = encode_png(&picture).unwrap();
            assert!(bytes.len() < picture.pixels().len() * 101 / 100 + 2 * picture.height() + CHUNK);
            let limits = Limits { side: 2_000_000, ..Limits::default() };
            assert!(decode_picture(&bytes, &limits).unwrap() == picture, "{}", picture.size());
        }
    }

    #[test]
    fn what_nobody_waits_for_is_given_up_on_the_way() {
        let picture = noise(2000, 1000);
        type Encode = fn(&RgbImage, &dyn Fn() -> bool) -> Result<Vec<u8>, EncodeError>;
        let encoders: [Encode; 2] =
            [encode_png_unless, |picture, stop| encode_jpeg_unless(picture, 92, stop)];
        for encode in encoders {
            let asked = std::cell::Cell::new(0);
            let after = |most: usize| {
                move |asked: &std::cell::Cell<usize>| {
                    asked.set(asked.get() + 1);
                    asked.get() > most
                }
            };
            let whole = encode(&picture, &|| after(usize::MAX)(&asked)).unwrap();
            let times = asked.replace(0);
            assert!(times > 100, "asked {times} times on the way to {} bytes", whole.len());
            let stopped = encode(&picture, &|| after(times / 2)(&asked));
            assert!(matches!(stopped, Err(EncodeError::Stopped)), "{stopped:?}");
            assert!(asked.get() < times / 2 + 10, "it ends soon after: {} of {times}", asked.get());
        }
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
