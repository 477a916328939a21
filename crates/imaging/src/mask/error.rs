//! Why a mask was refused.

use std::fmt;

use super::MaskEncoding;
use super::reading::Reading;
use crate::{ErrorKind, ReadError, ShapeError, Size};

/// How many unknown ids or colours a refusal names.
pub const OFFENDERS_NAMED: usize = 10;

/// How many ids a possible reading is told with.
const VALUES_NAMED: usize = 6;

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
    /// It is not the model's size, and sampling was forbidden.
    #[error(
        "it is {given} and the model's size is {wanted}; send it at that size, or ask for `resize=nearest`"
    )]
    WrongSize {
        /// Its size.
        given: Size,
        /// The model's.
        wanted: Size,
    },
    /// Its aspect ratio is not the model's.
    #[error(
        "it is {given} and the model's size is {wanted}, another aspect ratio; crop or pad it to that shape, or ask for \
         `resize=nearest` to have it stretched"
    )]
    WrongAspect {
        /// Its size.
        given: Size,
        /// The model's.
        wanted: Size,
    },
    /// It can be read in two ways.
    #[error(
        "it can be read in two ways: {} (`{}`), or {} (`{}`); say which of the two is meant",
        one.what, one.option, other.what, other.option
    )]
    Ambiguous {
        /// One way.
        one: ReadingName,
        /// The other.
        other: ReadingName,
    },
    /// Its greys are no ids, or its colours no labels', and its stored numbers may be ids.
    #[error(
        "{0}; if its stored numbers are the ids, not the colours that they show, ask for `mask_format=raw`"
    )]
    PerhapsRaw(Box<MaskError>),
    /// Two palette entries that are used have one colour.
    #[error(
        "its palette entries {} and {} have the same colour, {}, so its indices tell apart what its colours do not; ask for \
         `mask_format=raw` if the indices are the ids, or `mask_format=colors` for the colours",
        entries[0], entries[1], hex(*color)
    )]
    SharedEntries {
        /// The first two entries of one colour.
        entries: [u16; 2],
        /// Their colour.
        color: [u8; 3],
    },
    /// Only 0 and 255: one object's mask, or class 0 with pixels that are unknown.
    #[error(
        "it holds 0 and 255 alone: as the mask of one object it names no classes, so send every pixel's class id; if class 0 \
         (`{name}`) and unknown are meant, ask for `mask_format=ids`"
    )]
    Binary {
        /// The name of class 0.
        name: String,
    },
    /// Drawn in the palette of another data set.
    #[error(
        "it is drawn in the colours of {palette} and the model's labels have others; draw it in the model's colours, send ids, \
         or import the model with these colours (`spadework import --labels`)"
    )]
    ForeignPalette {
        /// Whose palette.
        palette: &'static str,
    },
    /// Converted to the web-safe palette.
    #[error(
        "its palette is the web-safe one, which a converter put in place of the mask's own; save it without reducing its \
         colours"
    )]
    WebPalette,
    /// One channel holds everything, and not ids.
    #[error("only its {channel} channel holds anything; read as ids, {source}")]
    OneChannel {
        /// `red`, `green` or `blue`.
        channel: &'static str,
        /// Why the values are no ids.
        source: Box<MaskError>,
    },
    /// Cityscapes' instance form, for a model without instances.
    #[error(
        "it has 16-bit values up to {highest}, as Cityscapes' instance maps (`id * 1000 + k`) do, and the model has no \
         instance edges; send the label map (`*_labelIds.png`)"
    )]
    InstanceIds {
        /// The highest value.
        highest: u16,
    },
    /// Sixteen bits that are not eight bits widened.
    #[error(
        "its 16-bit values are no 8-bit greys (multiples of 257); send 8 bits a sample, or ask for `mask_format=ids`"
    )]
    NotEightBits,
    /// Every pixel is transparent.
    #[error("every pixel of it is transparent; save it without the alpha channel")]
    AllTransparent,
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
        index: u16,
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
            Self::WrongSize { .. } | Self::WrongAspect { .. } => ErrorKind::WrongSize,
            Self::UnknownIds { .. }
            | Self::UnknownColors { .. }
            | Self::Transparent { .. }
            | Self::AllTransparent
            | Self::Ambiguous { .. }
            | Self::PerhapsRaw(_)
            | Self::Binary { .. }
            | Self::SharedEntries { .. }
            | Self::ForeignPalette { .. }
            | Self::WebPalette
            | Self::OneChannel { .. }
            | Self::InstanceIds { .. }
            | Self::NotEightBits
            | Self::ColorsAsIds
            | Self::NoColors => ErrorKind::UnknownLabels,
            Self::NoPaletteEntry { .. } | Self::Shape(_) => ErrorKind::Damaged,
        }
    }

    /// Whether the mask can be read if its grey values are known to be ids, not one object's mask or colours. So they
    /// are where the mask is one of a data set's.
    pub fn is_settled_by_grey_ids(&self) -> bool {
        match self {
            Self::Binary { .. } => true,
            Self::Ambiguous { one, other } => {
                (one.option, other.option) == ("mask_format=raw", "mask_format=colors")
            }
            _ => false,
        }
    }
}

/// A possible reading, for a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadingName {
    /// What would be read.
    pub what: String,
    /// The option that asks for it.
    pub option: &'static str,
}

impl ReadingName {
    pub(super) fn of(reading: &Reading) -> Self {
        let (what, option) = match reading.encoding {
            MaskEncoding::IndexedIds => ("palette indices", "mask_format=raw"),
            MaskEncoding::GrayIds | MaskEncoding::InstanceIds => ("stored values", "mask_format=raw"),
            MaskEncoding::GrayColors | MaskEncoding::IndexedColors | MaskEncoding::RgbColors => {
                return Self { what: "greys as label colours".to_owned(), option: "mask_format=colors" };
            }
            _ => ("grey values", "mask_format=shown"),
        };
        let values = reading.values();
        let mut named: Vec<_> = values.iter().take(VALUES_NAMED).map(ToString::to_string).collect();
        if values.len() > VALUES_NAMED {
            named.push("…".to_owned());
        }
        Self { what: format!("{what} {} as ids", named.join(", ")), option }
    }
}

impl fmt::Display for UnknownId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, pixels(self.pixels))
    }
}

impl fmt::Display for UnknownColor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", hex(self.color), pixels(self.pixels))
    }
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
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
