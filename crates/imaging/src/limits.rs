//! How large a file may be, checked before anything is decoded.

use crate::{ReadError, Size};

/// How large a file and its image may be. Checked against the length and the header, before decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file. Default 25 MiB.
    pub bytes: usize,
    /// Pixels of the image. Default 64 million.
    pub pixels: u64,
    /// Pixels of the longer side; it bounds the row buffers. Default 65,535, the most that JPEG can say.
    pub side: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 25 * 1024 * 1024, pixels: 64_000_000, side: 65_535 }
    }
}

impl Limits {
    /// # Errors
    /// When the file is empty or longer than `bytes`.
    pub(crate) fn check_bytes(&self, bytes: usize) -> Result<(), ReadError> {
        match bytes {
            0 => Err(ReadError::Empty),
            _ if bytes > self.bytes => Err(ReadError::TooManyBytes { bytes, limit: self.bytes }),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// When the image has more than `pixels` pixels or a side longer than `side`.
    pub fn check_size(&self, size: Size) -> Result<(), ReadError> {
        if size.pixels() > self.pixels {
            return Err(ReadError::TooManyPixels { size, limit: self.pixels });
        }
        if size.width.max(size.height) > self.side {
            return Err(ReadError::SideTooLong { size, limit: self.side });
        }
        Ok(())
    }
}
