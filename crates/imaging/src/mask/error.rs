//! Why a mask was refused.

use std::fmt;

use crate::{ErrorKind, ReadError, ShapeError, Size};

/// How many unknown ids or colours a refusal names.
pub const OFFENDERS_NAMED: usize = 10;

/// A value that names no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownId {
    /// The value.
    pub id: u16,
    /// Pixels that have it, at the model's size.
    pub pixels: u64,
}

/// A colour that stands for no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownColor {
    /// The colour.
    pub color: [u8; 3],
    /// Pixels that have it, at the model's size.
    pub pixels: u64,
}

/// Why a mask was refused.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not the model's size, and sampling was not asked for.
    #[error(
        "it is {given} and the model's size is {wanted}; send it at that size, or ask for `resize=nearest`"
    )]
    WrongSize {
        /// Its size.
        given: Size,
        /// The model's.
        wanted: Size,
    },
    /// Values that name no class, by ascending value.
    #[error("it has ids that the model does not: {}; {}", list(ids), allowed(*label_nc, *has_unknown))]
    UnknownIds {
        /// All of them.
        ids: Vec<UnknownId>,
        /// The model's number of classes.
        label_nc: usize,
        /// Whether 255 means unknown.
        has_unknown: bool,
    },
    /// Too many pixels whose colour is no label's, the most frequent first.
    #[error(
        "{pixels} of its {of} pixels have colours that are no label's: {}; draw it in the model's colours, or send ids",
        list(colors)
    )]
    UnknownColors {
        /// All of the colours.
        colors: Vec<UnknownColor>,
        /// Pixels that have one of them.
        pixels: u64,
        /// Pixels of the mask, at the model's size.
        of: u64,
    },
    /// Transparent pixels for a model that knows no unknown.
    #[error("{pixels} of its {of} pixels are transparent and the model has no unknown label; fill them")]
    Transparent {
        /// Transparent pixels, at the model's size.
        pixels: u64,
        /// All pixels.
        of: u64,
    },
    /// Read as ids, but its channels differ.
    #[error(
        "its red, green and blue differ, so it holds colours, not ids; send grey ids, or `mask_format=colors`"
    )]
    ColorsAsIds,
    /// In colours, for a model without.
    #[error("it is in colours and the model's labels have none; send grey ids")]
    NoColors,
    /// A pixel's index lies beyond the palette.
    #[error(
        "a pixel uses palette entry {index} and the palette has {entries}; save it again, or send grey ids"
    )]
    NoPaletteEntry {
        /// The index.
        index: u8,
        /// Entries of the palette.
        entries: usize,
    },
    /// Its pixels do not fill its size; a fault of the decoder.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl MaskError {
    /// What sort of mistake it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(error) => error.kind(),
            Self::WrongSize { .. } => ErrorKind::WrongSize,
            Self::UnknownIds { .. }
            | Self::UnknownColors { .. }
            | Self::Transparent { .. }
            | Self::ColorsAsIds
            | Self::NoColors => ErrorKind::UnknownLabels,
            Self::NoPaletteEntry { .. } | Self::Shape(_) => ErrorKind::Damaged,
        }
    }
}

impl fmt::Display for UnknownId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, pixels(self.pixels))
    }
}

impl fmt::Display for UnknownColor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.color;
        write!(f, "#{r:02x}{g:02x}{b:02x} ({})", pixels(self.pixels))
    }
}

fn pixels(count: u64) -> String {
    format!("{count} pixel{}", if count == 1 { "" } else { "s" })
}

/// The first offenders, and how many more there are.
fn list(offenders: &[impl fmt::Display]) -> String {
    let mut names: Vec<_> = offenders.iter().take(OFFENDERS_NAMED).map(ToString::to_string).collect();
    if offenders.len() > OFFENDERS_NAMED {
        names.push(format!("and {} more", offenders.len() - OFFENDERS_NAMED));
    }
    names.join(", ")
}

fn allowed(label_nc: usize, has_unknown: bool) -> String {
    let unknown = if has_unknown { format!(", and {label_nc} or 255 for unknown") } else { String::new() };
    format!("its ids are 0 to {}{unknown}", label_nc - 1)
}
