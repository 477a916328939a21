//! A mask as people send it, to a label map of one model.
//!
//! A mask is sampled to the model's size first and read second, so that every rule below sees only pixels
//! that the network will see, and memory does not grow with the file.

mod census;
mod decide;
mod error;
mod fit;
mod options;
mod palette;
pub(crate) mod raster;
mod reading;
mod report;

use census::Census;
use decide::{Form, decide};
pub use error::{MaskError, OFFENDERS_NAMED, ReadingName, UnknownColor, UnknownId};
pub use options::{MaskFormat, MaskOptions, Resize};
use palette::Palette;
use raster::{Pixels, Raster};
pub use reading::COLOR_TOLERANCE;
use reading::Reading;
pub use report::{ClassPixels, MaskEncoding, MaskReport, SharedColor};

use crate::png_rows::PngRows;
use crate::{Format, InstanceMap, LabelMap, LabelSet, Limits, ReadError, Size, header};

/// A mask that was read.
#[derive(Clone, Debug)]
pub struct Mask {
    /// A class for every pixel, at the model's size.
    pub labels: LabelMap,
    /// The instances that a 16-bit Cityscapes mask (`id * 1000 + k`) carries, at the same size.
    pub instances: Option<InstanceMap>,
    /// How the mask was read.
    pub report: MaskReport,
}

/// Reads a PNG as a map of `labels` at `size`.
///
/// # Errors
/// When the file is no readable PNG, larger than `limits`, of another size while `options` reject that, or
/// names labels that the model does not have.
pub fn decode_mask(
    bytes: &[u8],
    labels: &LabelSet,
    size: Size,
    options: MaskOptions,
    limits: &Limits,
) -> Result<Mask, MaskError> {
    let rows = open_map(bytes, limits)?;
    let original_size = rows.size();
    fit::check_size(original_size, size, options.resize)?;
    let raster = Raster::read(rows, size)?;
    let census = Census::of(&raster);
    check_transparency(&census, labels)?;
    let reading = decide(&census, &Form::of(&raster), labels, options)?;
    let ids = ids_of(&raster, &reading, labels);
    let report = report(&reading, &census, &ids, labels, [original_size, size]);
    let instances = (reading.encoding == MaskEncoding::InstanceIds)
        .then(|| (0..raster.len()).map(|pixel| u32::from(raster.sample(pixel)[0])).collect())
        .map(|ids| InstanceMap::new(size.width, size.height, ids))
        .transpose()?;
    let labels = LabelMap::new(size.width, size.height, ids, labels.classes())?;
    Ok(Mask { labels, instances, report })
}

/// Opens a file that must be a PNG, its limits checked.
pub(crate) fn open_map<'a>(bytes: &'a [u8], limits: &Limits) -> Result<PngRows<'a>, ReadError> {
    limits.check_bytes(bytes.len())?;
    let wanted = "a PNG, which keeps every pixel as it is";
    match header::sniff(bytes, wanted)? {
        Format::Png => PngRows::open(bytes, limits),
        other => Err(ReadError::WrongFormat { found: other.name(), wanted }),
    }
}

/// Transparent pixels are unknown; a model without an unknown label cannot read them.
fn check_transparency(census: &Census, labels: &LabelSet) -> Result<(), MaskError> {
    if census.counts.is_empty() {
        return Err(MaskError::AllTransparent);
    }
    if census.transparent > 0 && labels.unknown().is_none() {
        let (pixels, of) = (census.transparent, census.transparent + census.pixels());
        return Err(MaskError::Transparent { pixels, of });
    }
    Ok(())
}

/// The class of every pixel.
fn ids_of(raster: &Raster, reading: &Reading, labels: &LabelSet) -> Vec<u8> {
    let classes = reading.classes();
    let unknown = labels.unknown().unwrap_or_default();
    // Neighbours are mostly of one class.
    let mut last = None;
    let mut id_of = |pixel: usize| {
        if raster.is_transparent(pixel) {
            return unknown;
        }
        let sample = raster.sample(pixel);
        match last {
            Some((known, id)) if known == sample => id,
            _ => {
                let id = classes.get(&sample).copied().unwrap_or(unknown);
                last = Some((sample, id));
                id
            }
        }
    };
    (0..raster.len()).map(&mut id_of).collect()
}

fn report(
    reading: &Reading,
    census: &Census,
    ids: &[u8],
    labels: &LabelSet,
    [original_size, size]: [Size; 2],
) -> MaskReport {
    let mut colors: Vec<[u8; 3]> = reading.color_pixels().map(|(color, _)| color).collect();
    colors.sort_unstable();
    colors.dedup();
    let shared = colors.into_iter().filter_map(|color| {
        let names = labels.names_of_color(color);
        (names.len() > 1).then_some(SharedColor { color, labels: names })
    });
    let means_unknown = labels.label_nc() < 255 && labels.unknown().is_some();
    MaskReport {
        encoding: reading.encoding,
        original_size,
        size,
        classes: MaskReport::count_classes(ids, labels),
        unmatched: reading.unmatched(),
        unknown_255: if means_unknown { reading.pixels_of(255) } else { 0 },
        transparent: census.transparent,
        shared_colors: shared.collect(),
    }
}

impl Form {
    fn of(raster: &Raster) -> Self {
        match &raster.pixels {
            Pixels::Indexed { palette, .. } => Self::Indexed(Palette::new(palette.clone())),
            Pixels::Gray(_) => Self::Gray(raster.bits),
            Pixels::Rgb(_) => Self::Rgb(raster.bits),
        }
    }
}
