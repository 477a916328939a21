//! Width and height, and the error of pixels that do not fill them.

use std::fmt;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Size {
    /// A size of `width` by `height` pixels.
    pub const fn new(width: usize, height: usize) -> Self {
        Self { width, height }
    }

    /// How many pixels the size holds; saturates rather than wraps.
    pub const fn pixels(self) -> u64 {
        (self.width as u64).saturating_mul(self.height as u64)
    }

    /// Checks that `length` values of `channels` per pixel fill exactly this size, and that it is not empty.
    pub(crate) fn check(self, channels: usize, length: usize) -> Result<(), ShapeError> {
        let expected = self.pixels().saturating_mul(channels as u64);
        if expected == 0 || expected != length as u64 {
            return Err(ShapeError::Length { size: self, expected, length });
        }
        Ok(())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Why pixels were not accepted as a map or image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The buffer does not hold the size's values, or the size is empty.
    #[error("a map of {size} needs {expected} values and a side of at least 1, got {length}")]
    Length {
        /// The size asked for.
        size: Size,
        /// The values that size needs.
        expected: u64,
        /// The values given.
        length: usize,
    },
    /// An id is not one of the label set's classes.
    #[error("class id {id} at column {x}, row {y} is not below {classes}, the number of classes")]
    Id {
        /// The id found.
        id: u8,
        /// Its column.
        x: usize,
        /// Its row.
        y: usize,
        /// The number of classes.
        classes: usize,
    },
    /// An edge value is neither 0 nor 1.
    #[error("edge value {value} at column {x}, row {y} is neither 0 nor 1")]
    Edge {
        /// The value found.
        value: u8,
        /// Its column.
        x: usize,
        /// Its row.
        y: usize,
    },
}
