//! Colours of an image seen from afar.

use spadework_imaging::RgbImage;

/// Pixels on a side of a block that becomes one colour.
const BLOCK: usize = 8;

/// An image's mean colour in each block of 8×8, from -1 to 1.
#[derive(Clone, Debug)]
pub struct LowPass(Vec<f32>);

impl LowPass {
    /// The mean colours of `image`; what does not fill a block is left out.
    pub fn of(image: &RgbImage) -> Self {
        let (columns, rows) = (image.width() / BLOCK, image.height() / BLOCK);
        let mut sums = vec![0u32; 3 * columns * rows];
        for (y, row) in image.pixels().chunks_exact(3 * image.width()).take(rows * BLOCK).enumerate() {
            for (x, pixel) in row.chunks_exact(3).take(columns * BLOCK).enumerate() {
                let block = y / BLOCK * columns + x / BLOCK;
                for (sum, &byte) in sums[3 * block..].iter_mut().zip(pixel) {
                    *sum += u32::from(byte);
                }
            }
        }
        let scale = 2.0 / 255.0 / (BLOCK * BLOCK) as f32;
        Self(sums.into_iter().map(|sum| sum as f32 * scale - 1.0).collect())
    }

    /// The mean absolute difference.
    pub fn distance(&self, other: &Self) -> f64 {
        let sum: f64 = self.0.iter().zip(&other.0).map(|(a, b)| f64::from((a - b).abs())).sum();
        sum / self.0.len() as f64
    }
}

/// The mean absolute difference of two images of one size, from 0 to 2 as colours go from -1 to 1.
pub fn difference(one: &RgbImage, other: &RgbImage) -> f64 {
    let sum: u64 = one.pixels().iter().zip(other.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.pixels().len() as f64 * 2.0 / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texture_does_not_count_and_colour_does() {
        let image =
            |color: fn(usize) -> [u8; 3]| RgbImage::new(16, 16, (0..256).flat_map(color).collect()).unwrap();
        let checks = image(|i| [if (i + i / 16) % 2 == 0 { 0 } else { 200 }; 3]);
        let gray = image(|_| [100; 3]);
        let bright = image(|_| [151; 3]);
        assert!(LowPass::of(&checks).distance(&LowPass::of(&gray)) < 1e-6);
        assert!((LowPass::of(&bright).distance(&LowPass::of(&gray)) - 0.4).abs() < 1e-6);
        assert!((difference(&bright, &gray) - 0.4).abs() < 1e-9);
    }
}
