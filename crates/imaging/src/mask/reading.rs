//! One way to read a mask: what each distinct sample means.

use std::collections::{BTreeMap, HashMap};

use super::census::{Census, Sample};
use super::{MaskEncoding, MaskError, UnknownColor, UnknownId};
use crate::LabelSet;

/// How far, as a Euclidean distance of 8-bit RGB, a colour may lie from a label's and still mean it.
/// Wide enough for a JPEG's or a colour profile's rounding.
pub const COLOR_TOLERANCE: u32 = 12;

/// A mask of which more than a quarter is no label's colour is a photograph or another model's mask.
const MOST_UNMATCHED: f64 = 0.25;

/// An editor's antialiased border never covers a twentieth of a mask in one colour.
const MOST_UNMATCHED_OF_ONE_COLOR: f64 = 0.05;

/// What a sample means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Class(u8),
    /// A colour near a label's.
    Near(u8),
    /// A colour that is no label's, and the class that stands in for it.
    Unmatched(u8),
    /// A value that is no class.
    Nothing(u16),
}

/// A way to read a mask.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) encoding: MaskEncoding,
    /// By ascending sample, as the census has them.
    meanings: Vec<(Sample, Meaning, u64)>,
    /// The values of `meanings`, where samples are read as ids.
    values: Vec<u16>,
    /// The colours of `meanings`, where samples are read as colours.
    colors: Vec<[u8; 3]>,
}

impl Reading {
    /// Reads the value that `value_of` takes from each sample as a class id.
    pub(super) fn ids(
        census: &Census,
        labels: &LabelSet,
        encoding: MaskEncoding,
        value_of: impl Fn(Sample) -> u16,
    ) -> Self {
        let class_value = |value: u16| match encoding {
            MaskEncoding::InstanceIds if value >= INSTANCES_FROM => value / INSTANCES_FROM,
            _ => value,
        };
        let meaning = |&(sample, pixels): &(Sample, u64)| {
            let value = value_of(sample);
            let class = labels.class_of_value(class_value(value));
            (sample, class.map_or(Meaning::Nothing(value), Meaning::Class), pixels)
        };
        let values = census.samples().map(&value_of).collect();
        Self { encoding, meanings: census.counts.iter().map(meaning).collect(), values, colors: Vec::new() }
    }

    /// Reads the colour that `color_of` takes from each sample as a label's: the exact one, else the nearest within
    /// [`COLOR_TOLERANCE`] unless another label's is nearly as near.
    ///
    /// The rest, an editor's antialiased borders, is unmatched: unknown where the model has an unknown label, else the
    /// nearest colour's label.
    pub(super) fn colors(
        census: &Census,
        labels: &LabelSet,
        encoding: MaskEncoding,
        color_of: impl Fn(Sample) -> [u8; 3],
    ) -> Self {
        let mut meanings = Vec::with_capacity(census.counts.len());
        let mut colors = Vec::with_capacity(census.counts.len());
        for &(sample, pixels) in &census.counts {
            let color = color_of(sample);
            meanings.push((sample, meaning_of_color(color, labels), pixels));
            colors.push(color);
        }
        Self { encoding, meanings, values: Vec::new(), colors }
    }

    /// Whether every value is a class, or every colour exactly a label's.
    pub(super) fn is_exact(&self) -> bool {
        self.meanings.iter().all(|(_, meaning, _)| matches!(meaning, Meaning::Class(_)))
    }

    /// Pixels whose value is a class or whose colour is exactly a label's.
    pub(super) fn exact_pixels(&self) -> u64 {
        self.meanings
            .iter()
            .filter(|(_, meaning, _)| matches!(meaning, Meaning::Class(_)))
            .map(|(.., pixels)| pixels)
            .sum()
    }

    /// Whether a colour is a label's, or near enough to one's; black aside, which is no evidence of either.
    pub(super) fn matches_more_than_black(&self) -> bool {
        let is_black = |color: &[u8; 3]| {
            color.iter().map(|&sample| u32::from(sample).pow(2)).sum::<u32>() <= COLOR_TOLERANCE.pow(2)
        };
        self.colors.iter().zip(&self.meanings).any(|(color, (_, meaning, _))| {
            !is_black(color) && matches!(meaning, Meaning::Class(_) | Meaning::Near(_))
        })
    }

    /// The distinct values that are read as ids, ascending.
    pub(super) fn values(&self) -> Vec<u16> {
        let mut values = self.values.clone();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// Pixels of `value`, where samples are read as ids.
    pub(super) fn pixels_of(&self, value: u16) -> u64 {
        let of = self.values.iter().zip(&self.meanings).filter(|(other, _)| **other == value);
        of.map(|(_, (.., pixels))| pixels).sum()
    }

    /// The colours, each with its pixels.
    pub(super) fn color_pixels(&self) -> impl Iterator<Item = ([u8; 3], u64)> {
        self.colors.iter().zip(&self.meanings).map(|(color, (.., pixels))| (*color, *pixels))
    }

    /// Pixels whose colour is no label's.
    pub(super) fn unmatched(&self) -> u64 {
        self.unmatched_colors().map(|unknown| unknown.pixels).sum()
    }

    /// Whether both readings give every pixel the same class.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.meanings.iter().zip(&other.meanings).all(|((_, one, _), (_, two, _))| one.class() == two.class())
    }

    /// The reading itself, if every pixel has a class.
    ///
    /// # Errors
    /// When a value names no class, or too many colours are no label's.
    pub(super) fn checked(self, labels: &LabelSet) -> Result<Self, MaskError> {
        self.check_ids(labels)?;
        self.check_colors()?;
        Ok(self)
    }

    fn check_ids(&self, labels: &LabelSet) -> Result<(), MaskError> {
        let mut unknown = BTreeMap::<u16, u64>::new();
        for (_, meaning, pixels) in &self.meanings {
            if let Meaning::Nothing(value) = meaning {
                *unknown.entry(*value).or_default() += pixels;
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        Err(MaskError::UnknownIds {
            ids: unknown.into_iter().map(|(id, pixels)| UnknownId { id, pixels }).collect(),
            label_nc: labels.label_nc(),
            has_unknown: labels.unknown().is_some(),
        })
    }

    fn check_colors(&self) -> Result<(), MaskError> {
        let of: u64 = self.meanings.iter().map(|(.., pixels)| pixels).sum();
        let pixels = self.unmatched();
        let most_of_one = self.unmatched_colors().map(|unknown| unknown.pixels).max().unwrap_or(0);
        if pixels as f64 <= MOST_UNMATCHED * of as f64
            && most_of_one as f64 <= MOST_UNMATCHED_OF_ONE_COLOR * of as f64
        {
            return Ok(());
        }
        let mut colors: Vec<_> = self.unmatched_colors().collect();
        colors.sort_by_key(|unknown| (std::cmp::Reverse(unknown.pixels), unknown.color));
        Err(MaskError::UnknownColors { colors, pixels, of })
    }

    /// The class of every sample, for a reading that was [`checked`](Self::checked).
    pub(super) fn classes(&self) -> HashMap<Sample, u8> {
        self.meanings
            .iter()
            .map(|(sample, meaning, _)| (*sample, meaning.class().unwrap_or_default()))
            .collect()
    }

    fn unmatched_colors(&self) -> impl Iterator<Item = UnknownColor> {
        self.color_pixels().zip(&self.meanings).filter_map(|((color, pixels), (_, meaning, _))| {
            matches!(meaning, Meaning::Unmatched(_)).then_some(UnknownColor { color, pixels })
        })
    }
}

impl Meaning {
    fn class(self) -> Option<u8> {
        match self {
            Self::Class(id) | Self::Near(id) | Self::Unmatched(id) => Some(id),
            Self::Nothing(_) => None,
        }
    }
}

/// From here up, a 16-bit value can be Cityscapes' `id * 1000 + k`: instance `k` of class `id`.
pub(super) const INSTANCES_FROM: u16 = 1000;

fn meaning_of_color(color: [u8; 3], labels: &LabelSet) -> Meaning {
    if let Some(id) = labels.class_of_color(color) {
        return Meaning::Class(id);
    }
    let Some((nearest, distance, second)) = labels.nearest_color(color) else { return Meaning::Unmatched(0) };
    // Squared distances: the second nearest colour must be more than twice as far, or it may be that one.
    if distance <= COLOR_TOLERANCE.pow(2) && second.is_none_or(|second| second > 4 * distance) {
        return Meaning::Near(nearest.id);
    }
    Meaning::Unmatched(labels.unknown().unwrap_or(nearest.id))
}
