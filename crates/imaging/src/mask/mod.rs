//! A mask as people send it, to a label map of one model.
//!
//! A mask is sampled to the model's size first and read second, so that every rule below sees only pixels
//! that the network will see, and memory does not grow with the file.

mod colors;
mod error;
mod ids;
pub(crate) mod raster;
mod report;

pub use colors::COLOR_TOLERANCE;
use colors::ids_by_color;
pub use error::{MaskError, OFFENDERS_NAMED, UnknownColor, UnknownId};
use ids::{Values, ids_by_value};
use raster::{Pixels, Raster};
pub use report::{ClassPixels, MaskEncoding, MaskReport};

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

/// How a mask is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskOptions {
    /// What the pixels mean.
    pub format: MaskFormat,
    /// What to do with a mask of another size.
    pub resize: Resize,
}

/// What a mask's pixels mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaskFormat {
    /// Found out: palette colours where all that are used are the model's, else indices; grey and
    /// equal-channel RGB as ids; other RGB as colours.
    #[default]
    Auto,
    /// Class ids: grey values, palette indices, or RGB of three equal channels.
    Ids,
    /// Label colours, whatever they are stored as.
    Colors,
}

/// What to do with a map whose size is not the model's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// Refuse it.
    #[default]
    Reject,
    /// Sample it, nearest, `floor((i + 0.5) * in / out)`.
    Nearest,
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
    if original_size != size && options.resize == Resize::Reject {
        return Err(MaskError::WrongSize { given: original_size, wanted: size });
    }
    let raster = Raster::read(rows, size)?;
    let reading = read(&raster, labels, options.format)?;
    let report = MaskReport::new(&reading, labels, original_size, size);
    let classes = labels.classes();
    let labels = LabelMap::new(size.width, size.height, reading.ids, classes)?;
    let instances =
        reading.instances.map(|ids| InstanceMap::new(size.width, size.height, ids)).transpose()?;
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

/// What the pixels turned out to mean.
pub(crate) struct Reading {
    pub(crate) encoding: MaskEncoding,
    pub(crate) ids: Vec<u8>,
    /// Pixels whose colour is no label's, read as unknown.
    pub(crate) unmatched: u64,
    pub(crate) instances: Option<Vec<u32>>,
}

/// Decides what the pixels mean and reads them so.
fn read(raster: &Raster, labels: &LabelSet, format: MaskFormat) -> Result<Reading, MaskError> {
    refuse_transparency(raster, labels)?;
    match (&raster.pixels, format) {
        (Pixels::Indexed { indices, palette }, MaskFormat::Auto) => {
            if palette_is_the_model_s(raster, indices, palette, labels) {
                ids_by_color(raster, labels, MaskEncoding::IndexedColors)
            } else {
                ids_by_value(raster, Values::of_indices(indices), labels, MaskEncoding::IndexedIds)
            }
        }
        (Pixels::Indexed { indices, .. }, MaskFormat::Ids) => {
            ids_by_value(raster, Values::of_indices(indices), labels, MaskEncoding::IndexedIds)
        }
        (Pixels::Indexed { .. }, MaskFormat::Colors) => {
            ids_by_color(raster, labels, MaskEncoding::IndexedColors)
        }
        (Pixels::Gray(values), MaskFormat::Auto | MaskFormat::Ids) => {
            ids_by_value(raster, Values::of_gray(values), labels, MaskEncoding::GrayIds)
        }
        (Pixels::Gray(_), MaskFormat::Colors) => ids_by_color(raster, labels, MaskEncoding::GrayColors),
        (Pixels::Rgb(colors), MaskFormat::Auto) => match equal_channels(raster, colors) {
            None => ids_by_color(raster, labels, MaskEncoding::RgbColors),
            Some(values) => read_gray_rgb(raster, &values, labels),
        },
        (Pixels::Rgb(colors), MaskFormat::Ids) => match equal_channels(raster, colors) {
            None => Err(MaskError::ColorsAsIds),
            Some(values) => ids_by_value(raster, Values::of_gray(&values), labels, MaskEncoding::RgbIds),
        },
        (Pixels::Rgb(_), MaskFormat::Colors) => ids_by_color(raster, labels, MaskEncoding::RgbColors),
    }
}

/// RGB of equal channels is grey ids; only where those are no ids and the greys are all label colours
/// (a picture of nothing but road, say) is it colours after all.
fn read_gray_rgb(raster: &Raster, values: &[u16], labels: &LabelSet) -> Result<Reading, MaskError> {
    let as_ids = ids_by_value(raster, Values::of_gray(values), labels, MaskEncoding::RgbIds);
    if as_ids.is_err()
        && let Ok(as_colors) = ids_by_color(raster, labels, MaskEncoding::RgbColors)
        && as_colors.unmatched == 0
    {
        return Ok(as_colors);
    }
    as_ids
}

/// Transparent pixels are unknown; a model without an unknown label cannot read them.
fn refuse_transparency(raster: &Raster, labels: &LabelSet) -> Result<(), MaskError> {
    let pixels = raster.transparent.iter().filter(|&&transparent| transparent).count() as u64;
    if pixels > 0 && labels.unknown().is_none() {
        return Err(MaskError::Transparent { pixels, of: raster.size.pixels() });
    }
    Ok(())
}

/// Whether every palette entry that an opaque pixel uses has exactly the colour of one of the model's labels.
fn palette_is_the_model_s(raster: &Raster, indices: &[u8], palette: &[[u8; 3]], labels: &LabelSet) -> bool {
    let mut used = [false; 256];
    for (pixel, &index) in indices.iter().enumerate() {
        used[usize::from(index)] |= !raster.is_transparent(pixel);
    }
    let is_the_model_s =
        |index: usize| palette.get(index).is_some_and(|&color| labels.class_of_color(color).is_some());
    used.contains(&true) && (0..256).filter(|&index| used[index]).all(is_the_model_s)
}

/// The common value of the three channels, if every opaque pixel has one.
fn equal_channels(raster: &Raster, colors: &[[u16; 3]]) -> Option<Vec<u16>> {
    let gray = |(pixel, &[r, g, b]): (usize, &[u16; 3])| {
        ((r == g && g == b) || raster.is_transparent(pixel)).then_some(r)
    };
    colors.iter().enumerate().map(gray).collect()
}
