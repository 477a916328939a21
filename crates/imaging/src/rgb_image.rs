//! An image: three bytes a pixel.

use crate::{ShapeError, Size, bicubic};

/// An image of 8-bit sRGB, row-major, three bytes a pixel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RgbImage {
    size: Size,
    pixels: Vec<u8>,
}

impl RgbImage {
    /// Takes `pixels` (row-major R, G, B; `3 * width * height` bytes) as an image.
    ///
    /// # Errors
    /// When the size is empty or not filled.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self, ShapeError> {
        let size = Size::new(width, height);
        size.check(3, pixels.len())?;
        Ok(Self { size, pixels })
    }

    /// The bytes, row-major R, G, B.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// R, G and B at column `x`, row `y`.
    ///
    /// # Panics
    /// When `x` or `y` lies outside.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        assert!(x < self.size.width, "column {x} of {}", self.size);
        let at = 3 * (y * self.size.width + x);
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]]
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

    /// The image at another size: antialiased bicubic (a = -0.5), byte for byte what Pillow's
    /// `resize(size, BICUBIC)` answers.
    ///
    /// # Panics
    /// When `size` is empty.
    pub fn resized(&self, size: Size) -> Self {
        self.resized_unless(size, &|| false).expect("nothing says to give it up")
    }

    /// [`resized`](Self::resized), given up between rows as soon as `stop` says so; none then.
    ///
    /// # Panics
    /// When `size` is empty.
    pub fn resized_unless(&self, size: Size, stop: &dyn Fn() -> bool) -> Option<Self> {
        assert!(size.pixels() > 0, "resize to {size}");
        Some(Self { size, pixels: bicubic::resize(&self.pixels, self.size, size, stop)? })
    }

    /// Gives the bytes back without copying them.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}
