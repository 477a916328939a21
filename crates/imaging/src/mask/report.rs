//! How a mask was read, for those who sent it.

use std::fmt;

use super::Reading;
use crate::{LabelSet, Size};

/// What the pixels turned out to mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskEncoding {
    /// Grey values, ids.
    GrayIds,
    /// Grey values, colours.
    GrayColors,
    /// Palette indices, ids.
    IndexedIds,
    /// Palette colours.
    IndexedColors,
    /// RGB of equal channels, ids.
    RgbIds,
    /// RGB colours.
    RgbColors,
}

impl fmt::Display for MaskEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GrayIds => "gray_ids",
            Self::GrayColors => "gray_colors",
            Self::IndexedIds => "indexed_ids",
            Self::IndexedColors => "indexed_colors",
            Self::RgbIds => "rgb_ids",
            Self::RgbColors => "rgb_colors",
        })
    }
}

/// A class and how much of the mask it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassPixels {
    /// The class id.
    pub id: u8,
    /// Its name.
    pub name: String,
    /// Its pixels, at the model's size; never 0.
    pub pixels: u64,
}

/// How a mask was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskReport {
    /// What the pixels turned out to mean.
    pub encoding: MaskEncoding,
    /// Size of the file.
    pub original_size: Size,
    /// Size it was sampled to, the model's.
    pub size: Size,
    /// The classes that occur, by ascending id.
    pub classes: Vec<ClassPixels>,
    /// Pixels whose colour is no label's.
    pub unmatched: u64,
}

impl MaskReport {
    pub(super) fn new(reading: &Reading, labels: &LabelSet, original_size: Size, size: Size) -> Self {
        let mut counts = [0; 256];
        for &id in &reading.ids {
            counts[usize::from(id)] += 1;
        }
        let used = (0..=u8::MAX).zip(counts).filter(|&(_, pixels)| pixels > 0);
        let classes = used.map(|(id, pixels)| ClassPixels { id, name: labels.name(id), pixels }).collect();
        Self { encoding: reading.encoding, original_size, size, classes, unmatched: reading.unmatched }
    }

    /// Share of the pixels whose colour is no label's, 0 to 1.
    pub fn unmatched_share(&self) -> f64 {
        self.unmatched as f64 / self.size.pixels() as f64
    }
}
