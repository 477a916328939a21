//! Values that are class ids: grey, palette indices, and Cityscapes' 16-bit `id * 1000 + k`.

use std::collections::BTreeMap;

use super::raster::Raster;
use super::{MaskEncoding, MaskError, Reading, UnknownId};
use crate::LabelSet;

/// Values that name classes, one a pixel.
pub(super) enum Values<'a> {
    Indices(&'a [u8]),
    Gray(&'a [u16]),
}

impl<'a> Values<'a> {
    pub(super) fn of_indices(indices: &'a [u8]) -> Self {
        Self::Indices(indices)
    }

    pub(super) fn of_gray(values: &'a [u16]) -> Self {
        Self::Gray(values)
    }

    fn iter(&self) -> Box<dyn Iterator<Item = u16> + '_> {
        match self {
            Self::Indices(indices) => Box::new(indices.iter().map(|&index| u16::from(index))),
            Self::Gray(values) => Box::new(values.iter().copied()),
        }
    }
}

/// From here up, a 16-bit value is Cityscapes' `id * 1000 + k`: instance `k` of class `id`.
const INSTANCES_FROM: u16 = 1000;

/// Reads values as class ids.
///
/// # Errors
/// When a value names no class; the first ten such values are listed with their pixel counts.
pub(super) fn ids_by_value(
    raster: &Raster,
    values: Values<'_>,
    labels: &LabelSet,
    encoding: MaskEncoding,
) -> Result<Reading, MaskError> {
    let opaque = |(pixel, value)| (!raster.is_transparent(pixel)).then_some(value);
    let has_instances = raster.bits == 16
        && values.iter().enumerate().filter_map(opaque).any(|value| value >= INSTANCES_FROM);
    let class_value =
        |value: u16| if has_instances && value >= INSTANCES_FROM { value / INSTANCES_FROM } else { value };
    let mut unknown = BTreeMap::<u16, u64>::new();
    let mut ids = Vec::with_capacity(raster.size.width * raster.size.height);
    for (pixel, value) in values.iter().enumerate() {
        let class = match raster.is_transparent(pixel) {
            true => labels.unknown(),
            false => labels.class_of_value(class_value(value)),
        };
        if class.is_none() {
            *unknown.entry(value).or_default() += 1;
        }
        ids.push(class.unwrap_or_default());
    }
    if !unknown.is_empty() {
        let ids = unknown.into_iter().map(|(id, pixels)| UnknownId { id, pixels }).collect();
        return Err(MaskError::UnknownIds {
            ids,
            label_nc: labels.label_nc(),
            has_unknown: labels.unknown().is_some(),
        });
    }
    let instances = has_instances.then(|| values.iter().map(u32::from).collect());
    Ok(Reading { encoding, ids, unmatched: 0, instances })
}
