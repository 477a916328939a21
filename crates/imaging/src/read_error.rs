//! Why a file could not be read, whatever it was meant to be.

use std::error::Error;

use crate::{ErrorKind, Format, Size};

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No bytes.
    #[error("the image is empty; send the bytes of the file")]
    Empty,
    /// The first bytes are no known image format's.
    #[error("this is not an image: it {start}; send {wanted}")]
    NotAnImage {
        /// What it is or begins with, to follow "it".
        start: String,
        /// What may stand here.
        wanted: &'static str,
    },
    /// An image, but not of a format that may stand here.
    #[error("its format is {found}; send {wanted}")]
    WrongFormat {
        /// What it is.
        found: &'static str,
        /// What may stand here.
        wanted: &'static str,
    },
    /// More bytes than allowed.
    #[error("the file has {bytes} bytes and the limit is {limit}; send a smaller file")]
    TooManyBytes {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More pixels than allowed.
    #[error("the image is {size}, {} pixels, and the limit is {limit} pixels; send a smaller image", size.pixels())]
    TooManyPixels {
        /// What the header says.
        size: Size,
        /// Pixels allowed.
        limit: u64,
    },
    /// A side longer than allowed.
    #[error("the image is {size} and the limit is {limit} pixels a side; send a smaller image")]
    SideTooLong {
        /// What the header says.
        size: Size,
        /// Pixels allowed on a side.
        limit: usize,
    },
    /// The file ends before the image does.
    #[error("the {format} file ends before the image does; it was cut off on the way, send it whole")]
    Truncated {
        /// The file's format.
        format: Format,
    },
    /// The file breaks its format's rules.
    #[error("the {format} file is damaged ({reason}); save it again and send that")]
    Damaged {
        /// The file's format.
        format: Format,
        /// What the decoder met.
        reason: String,
        /// The decoder's own error, where there was one.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// A feature of the format that is not read here.
    #[error("the {format} file uses {feature}, which is not read here; save it as a plain PNG")]
    Unsupported {
        /// The file's format.
        format: Format,
        /// The feature.
        feature: String,
    },
}

impl ReadError {
    /// What sort of mistake it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty | Self::NotAnImage { .. } => ErrorKind::NotAnImage,
            Self::WrongFormat { .. } | Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::TooManyBytes { .. } | Self::TooManyPixels { .. } | Self::SideTooLong { .. } => {
                ErrorKind::TooLarge
            }
            Self::Truncated { .. } | Self::Damaged { .. } => ErrorKind::Damaged,
        }
    }

    pub(crate) fn damaged(format: Format, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Damaged { format, reason: source.to_string(), source: Some(Box::new(source)) }
    }

    pub(crate) fn damaged_because(format: Format, reason: impl Into<String>) -> Self {
        Self::Damaged { format, reason: reason.into(), source: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_of_mistake_has_its_own_kind() {
        let size = Size::new(30_000, 30_000);
        let format = Format::Png;
        for (error, kind) in [
            (ReadError::Empty, ErrorKind::NotAnImage),
            (
                ReadError::NotAnImage { start: "begins with `hi`".into(), wanted: "a PNG" },
                ErrorKind::NotAnImage,
            ),
            (ReadError::WrongFormat { found: "GIF", wanted: "a PNG" }, ErrorKind::Unsupported),
            (ReadError::TooManyBytes { bytes: 2, limit: 1 }, ErrorKind::TooLarge),
            (ReadError::TooManyPixels { size, limit: 1 }, ErrorKind::TooLarge),
            (ReadError::SideTooLong { size, limit: 1 }, ErrorKind::TooLarge),
            (ReadError::Truncated { format }, ErrorKind::Damaged),
            (ReadError::damaged_because(format, "CRC"), ErrorKind::Damaged),
            (ReadError::Unsupported { format, feature: "x".into() }, ErrorKind::Unsupported),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}
