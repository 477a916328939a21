//! Colours that stand for classes.

use std::collections::HashMap;

use super::raster::{Pixels, Raster};
use super::{MaskEncoding, MaskError, Reading, UnknownColor};
use crate::LabelSet;

/// How far, as a Euclidean distance of 8-bit RGB, a colour may lie from a label's and still mean it.
/// Wide enough for a JPEG's or a colour profile's rounding, narrower than data sets space their colours.
pub const COLOR_TOLERANCE: u32 = 12;

/// A mask of which more than a quarter is no label's colour is a photograph or another model's mask.
const MOST_UNMATCHED: f64 = 0.25;

/// Reads pixels as label colours: the exact colour, else the nearest within [`COLOR_TOLERANCE`].
///
/// The rest, an editor's antialiased borders, is unmatched: unknown where the model has an unknown label, else the nearest
/// colour's label.
///
/// # Errors
/// When the model has no colours, or more than a quarter of the mask is unmatched.
pub(super) fn ids_by_color(
    raster: &Raster,
    labels: &LabelSet,
    encoding: MaskEncoding,
) -> Result<Reading, MaskError> {
    if !labels.has_colors() {
        return Err(MaskError::NoColors);
    }
    let mut known = HashMap::new();
    let mut unmatched_colors = HashMap::<[u8; 3], u64>::new();
    let mut ids = Vec::with_capacity(raster.size.width * raster.size.height);
    for pixel in 0..raster.size.width * raster.size.height {
        if raster.is_transparent(pixel) {
            ids.push(labels.unknown().unwrap_or_default());
            continue;
        }
        let color = color_at(raster, pixel)?;
        let (id, matched) = *known.entry(color).or_insert_with(|| class_of(color, labels));
        if !matched {
            *unmatched_colors.entry(color).or_default() += 1;
        }
        ids.push(id);
    }
    let unmatched: u64 = unmatched_colors.values().sum();
    if unmatched as f64 > MOST_UNMATCHED * raster.size.pixels() as f64 {
        let mut colors: Vec<_> =
            unmatched_colors.into_iter().map(|(color, pixels)| UnknownColor { color, pixels }).collect();
        colors.sort_by_key(|unknown| (std::cmp::Reverse(unknown.pixels), unknown.color));
        return Err(MaskError::UnknownColors { colors, pixels: unmatched, of: raster.size.pixels() });
    }
    Ok(Reading { encoding, ids, unmatched, instances: None })
}

/// The class of a colour, and whether it is near enough to mean it.
fn class_of(color: [u8; 3], labels: &LabelSet) -> (u8, bool) {
    if let Some(id) = labels.class_of_color(color) {
        return (id, true);
    }
    match labels.nearest_color(color) {
        Some((label, distance)) if distance <= COLOR_TOLERANCE.pow(2) => (label.id, true),
        nearest => (labels.unknown().or(nearest.map(|(label, _)| label.id)).unwrap_or_default(), false),
    }
}

fn color_at(raster: &Raster, pixel: usize) -> Result<[u8; 3], MaskError> {
    let eight_bits = |sample: u16| match raster.bits {
        16 => (sample >> 8) as u8,
        8 => sample as u8,
        bits => (sample * 255 / ((1 << bits) - 1)) as u8,
    };
    match &raster.pixels {
        Pixels::Indexed { indices, palette } => {
            let index = indices[pixel];
            palette
                .get(usize::from(index))
                .copied()
                .ok_or(MaskError::NoPaletteEntry { index, entries: palette.len() })
        }
        Pixels::Gray(values) => Ok([eight_bits(values[pixel]); 3]),
        Pixels::Rgb(colors) => Ok(colors[pixel].map(eight_bits)),
    }
}
