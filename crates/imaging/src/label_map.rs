//! A class id for every pixel, each one proven to be a class.

use crate::{ShapeError, Size, nearest};

/// A class id for every pixel, row-major; every id is below [`classes`](Self::classes).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelMap {
    size: Size,
    classes: usize,
    ids: Vec<u8>,
}

impl LabelMap {
    /// Takes `ids` (row-major, `width * height` of them) as a map over `classes` classes, which count the
    /// unknown label where there is one ([`crate::LabelSet::classes`]).
    ///
    /// # Errors
    /// When the size is empty or not filled, or an id is not below `classes`.
    pub fn new(width: usize, height: usize, ids: Vec<u8>, classes: usize) -> Result<Self, ShapeError> {
        let size = Size::new(width, height);
        size.check(1, ids.len())?;
        if let Some(index) = ids.iter().position(|&id| usize::from(id) >= classes) {
            return Err(ShapeError::Id { id: ids[index], x: index % width, y: index / width, classes });
        }
        Ok(Self { size, classes, ids })
    }

    /// The class ids, row-major.
    pub fn ids(&self) -> &[u8] {
        &self.ids
    }

    /// The class id at column `x`, row `y`.
    ///
    /// # Panics
    /// When `x` or `y` lies outside.
    pub fn id(&self, x: usize, y: usize) -> u8 {
        assert!(x < self.size.width, "column {x} of {}", self.size);
        self.ids[y * self.size.width + x]
    }

    /// How many classes an id is chosen from, the unknown label included.
    pub fn classes(&self) -> usize {
        self.classes
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
        Self { size, classes: self.classes, ids: nearest::resample(&self.ids, self.size, size) }
    }

    /// Gives the ids back without copying them.
    pub fn into_ids(self) -> Vec<u8> {
        self.ids
    }
}
