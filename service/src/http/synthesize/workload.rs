//! What a request will take: time on the codec threads and on a device, and memory. Known from headers alone, before
//! anything is decoded.

use std::time::Duration;

use spadework_imaging::{Format, Limits, Size, peek};

use super::{accept::AnswerFormat, request::SynthesisRequest};
use crate::{
    codec::{CodecPool, Kind, Work},
    http::problem::Problem,
    synthesis::{Files, OutputSize},
};

/// What a request will take.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Images that it asks for.
    pub count: usize,
    /// Reading and planning its files.
    pub prepare: Work,
    /// Encoding one of its images.
    pub encode: Work,
    /// Bytes that its style takes while it is decoded.
    pub decoding: usize,
    /// Bytes of one image before it is encoded.
    image: usize,
}

impl Workload {
    /// Of a request to a model of this size of masks and images.
    ///
    /// # Errors
    /// When it asks for more than the server makes at all.
    pub fn of(
        request: &SynthesisRequest,
        accept: AnswerFormat,
        (mask_size, image_size): (Size, Size),
        limits: &Limits,
    ) -> Result<Self, Problem> {
        let files = request.files()?;
        let count = request.options.count.get();
        // What cannot be peeked at will be refused when it is read.
        let header = |bytes: &[u8]| peek(bytes).ok().filter(|header| limits.check_size(header.size).is_ok());
        let mask = header(files.mask).map(|header| header.size);
        let resized =
            mask.filter(|size| request.options.output_size == OutputSize::Mask && *size != image_size);
        let output = resized.unwrap_or(image_size);
        check_output(count, output, limits)?;
        let format = accept.format();
        let kind = if resized.is_some() { Kind::Resize(format) } else { Kind::Encode(format) };
        Ok(Self {
            count,
            prepare: Work { kind: Kind::Prepare, pixels: prepared_pixels(&files, mask_size, &header) },
            encode: Work { kind, pixels: output.pixels() },
            decoding: files
                .style
                .and_then(header)
                .map_or(0, |style| decoding_bytes(style.format, style.size)),
            image: bytes(3 * output.pixels()),
        })
    }

    /// Bytes that its answer takes while it is made: all images encoded, and those that are being encoded.
    pub fn answering(&self, pool: &CodecPool) -> usize {
        let at_once = self.count.min(pool.at_once(self.encode));
        self.image.saturating_mul(self.count + at_once).saturating_add(self.count * ENCODED_OVERHEAD)
    }

    /// From its last image to its answer.
    pub fn encoding(&self, pool: &CodecPool, time: Duration) -> Duration {
        let rounds = self.count.div_ceil(pool.at_once(self.encode).max(1));
        time.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
    }
}

/// What a file may be longer than its pixels are.
const ENCODED_OVERHEAD: usize = 64 << 10;

/// The images of one request together have no more pixels than one file may have.
fn check_output(count: usize, size: Size, limits: &Limits) -> Result<(), Problem> {
    let pixels = size.pixels().saturating_mul(count as u64);
    if pixels <= limits.pixels {
        return Ok(());
    }
    Err(Problem::too_large(format!(
        "{count} images of {size} have {pixels} pixels and the limit is {}; ask for fewer or smaller ones",
        limits.pixels
    )))
}

fn prepared_pixels(
    files: &Files<'_>,
    mask_size: Size,
    header: &impl Fn(&[u8]) -> Option<spadework_imaging::Header>,
) -> u64 {
    let files = [Some(files.mask), files.style, files.instances].into_iter().flatten();
    let read = files.filter_map(header).map(|header| header.size.pixels());
    read.fold(mask_size.pixels(), u64::saturating_add)
}

/// What a decoder holds at most for a file of this size. Masks are sampled row by row and take rows alone.
///
/// PNG: 16 bits of four channels, then RGB. JPEG: the coefficients of a progressive file of four channels (2 bytes each), its
/// samples and RGB. WebP: the planes or ARGB, RGBA and RGB.
fn decoding_bytes(format: Format, size: Size) -> usize {
    let a_pixel = match format {
        Format::Png => 8 + 3,
        Format::Jpeg => 4 * 2 + 4 + 3,
        Format::WebP => 4 + 4 + 3,
    };
    bytes(size.pixels().saturating_mul(a_pixel))
}

fn bytes(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
