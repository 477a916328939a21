//! An instance id for every pixel.

use crate::{ShapeError, Size, nearest};

/// An instance id for every pixel, row-major. Ids mean nothing beyond being equal or different.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceMap {
    size: Size,
    ids: Vec<u32>,
}

impl InstanceMap {
    /// Takes `ids` (row-major, `width * height` of them) as a map.
    ///
    /// # Errors
    /// When the size is empty or not filled.
    pub fn new(width: usize, height: usize, ids: Vec<u32>) -> Result<Self, ShapeError> {
        let size = Size::new(width, height);
        size.check(1, ids.len())?;
        Ok(Self { size, ids })
    }

    /// The instance ids, row-major.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.size.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.size.height
    }

    /// The map at another size, by the nearest sampling of files (`floor((i + 0.5) * in / out)`, Pillow's).
    ///
    /// # Panics
    /// When `size` is empty.
    pub fn resized(&self, size: Size) -> Self {
        assert!(size.pixels() > 0, "resize to {size}");
        Self { size, ids: nearest::resample(&self.ids, self.size, size) }
    }
}
