//! How a mask was read, for those who sent it.

use std::fmt;

use crate::{LabelSet, Size};

/// What the pixels turned out to mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskEncoding {
    /// Grey values, ids.
    GrayIds,
    /// Grey values, colours.
    GrayColors,
    /// Samples of 1, 2 or 4 bits widened to 8, ids.
    PackedGrays,
    /// Samples of 16 bits narrowed to 8, ids.
    WideGrays,
    /// Samples of 16 bits, `id * 1000 + k`.
    InstanceIds,
    /// Palette indices, ids.
    IndexedIds,
    /// Greys of the palette, ids.
    IndexedGrays,
    /// Palette colours.
    IndexedColors,
    /// RGB of equal channels, ids.
    RgbIds,
    /// RGB colours.
    RgbColors,
    /// Ids in the red channel; the others are 0.
    RedIds,
    /// Ids in the green channel; the others are 0.
    GreenIds,
    /// Ids in the blue channel; the others are 0.
    BlueIds,
}

impl MaskEncoding {
    /// What the pixels mean, to follow "read as".
    pub fn description(self) -> &'static str {
        match self {
            Self::GrayIds => "grey ids",
            Self::GrayColors => "grey label colours",
            Self::PackedGrays => "ids, the grey values of a file with less than 8 bits a sample",
            Self::WideGrays => "ids, the grey values of an 8-bit mask saved at 16 bits",
            Self::InstanceIds => "16-bit ids with instances (id * 1000 + k)",
            Self::IndexedIds => "ids, the palette's indices",
            Self::IndexedGrays => "ids, the palette's grey values",
            Self::IndexedColors => "label colours of the palette",
            Self::RgbIds => "grey ids stored as RGB",
            Self::RgbColors => "label colours",
            Self::RedIds => "ids in the red channel, the others are 0",
            Self::GreenIds => "ids in the green channel, the others are 0",
            Self::BlueIds => "ids in the blue channel, the others are 0",
        }
    }
}

impl fmt::Display for MaskEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GrayIds => "gray_ids",
            Self::GrayColors => "gray_colors",
            Self::PackedGrays => "packed_grays",
            Self::WideGrays => "wide_grays",
            Self::InstanceIds => "instance_ids",
            Self::IndexedIds => "indexed_ids",
            Self::IndexedGrays => "indexed_grays",
            Self::IndexedColors => "indexed_colors",
            Self::RgbIds => "rgb_ids",
            Self::RgbColors => "rgb_colors",
            Self::RedIds => "red_ids",
            Self::GreenIds => "green_ids",
            Self::BlueIds => "blue_ids",
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

/// A colour that several labels have, and the label that it was read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedColor {
    /// The colour.
    pub color: [u8; 3],
    /// The names of its labels; the first is the one that it was read as.
    pub labels: Vec<String>,
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
    /// Pixels of value 255, read as unknown.
    pub unknown_255: u64,
    /// Transparent pixels, read as unknown.
    pub transparent: u64,
    /// The colours in it that several labels have.
    pub shared_colors: Vec<SharedColor>,
}

impl MaskReport {
    /// Counts the classes of `ids`, a map of `size`.
    pub(super) fn count_classes(ids: &[u8], labels: &LabelSet) -> Vec<ClassPixels> {
        let mut counts = [0; 256];
        for &id in ids {
            counts[usize::from(id)] += 1;
        }
        let used = (0..=u8::MAX).zip(counts).filter(|&(_, pixels)| pixels > 0);
        used.map(|(id, pixels)| ClassPixels { id, name: labels.name(id), pixels }).collect()
    }

    /// Share of the pixels whose colour is no label's, 0 to 1.
    pub fn unmatched_share(&self) -> f64 {
        self.unmatched as f64 / self.size.pixels() as f64
    }

    /// How the mask was read, on one line: "read as grey ids, sampled from 1024x512 to 512x256".
    pub fn sentence(&self) -> String {
        let mut text = format!("read as {}", self.encoding.description());
        if self.original_size != self.size {
            text += &format!(", sampled from {} to {}", self.original_size, self.size);
        }
        if self.unknown_255 > 0 {
            text += &format!("; {} pixels of 255 are unknown", self.unknown_255);
        }
        if self.transparent > 0 {
            text += &format!("; {} transparent pixels are unknown", self.transparent);
        }
        if self.unmatched > 0 {
            text += &format!("; {:.2}% of its pixels match no label", 100.0 * self.unmatched_share());
        }
        for SharedColor { color: [r, g, b], labels } in &self.shared_colors {
            let [first, others @ ..] = &labels[..] else { continue };
            text += &format!("; #{r:02x}{g:02x}{b:02x} is read as {first}, not {}", others.join(" or "));
        }
        text
    }
}
