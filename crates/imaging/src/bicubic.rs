//! Antialiased bicubic resampling, byte for byte Pillow's.
//!
//! The published code reads style images with Pillow, so its rounding is part of the style that the encoder
//! sees: coefficients of 22 fractional bits, first along rows, then along columns, bytes in between.

use crate::Size;

/// Fractional bits of a coefficient: 32, less 8 of the pixel, less 2 for overshoot.
const PRECISION: u32 = 22;

/// Half the kernel's width, in source pixels, before it is widened to antialias.
const SUPPORT: f64 = 2.0;

/// `pixels` (R, G, B, row-major, of size `from`) at size `to`; none when `stop`, which is asked between rows, says so.
pub(crate) fn resize(pixels: &[u8], from: Size, to: Size, stop: &dyn Fn() -> bool) -> Option<Vec<u8>> {
    let across = if from.width == to.width {
        pixels.to_vec()
    } else {
        rows(pixels, from.width, &Kernel::windows(from.width, to.width), stop)?
    };
    if from.height == to.height {
        return Some(across);
    }
    columns(&across, to.width, &Kernel::windows(from.height, to.height), stop)
}

/// One output pixel's window of source pixels.
struct Kernel {
    first: usize,
    weights: Vec<i32>,
}

impl Kernel {
    fn windows(from: usize, to: usize) -> Vec<Self> {
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let support = SUPPORT * widening;
        let window = |place: usize| {
            let center = (place as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            let at = |source: usize| catmull_rom((source as f64 - center + 0.5) * (1.0 / widening));
            let weights: Vec<f64> = (first..end).map(at).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| (weight / sum * f64::from(1 << PRECISION)).round_ties_away() as i32;
            Self { first, weights: weights.iter().map(fixed).collect() }
        };
        (0..to).map(window).collect()
    }
}

/// Rounds as C does when it adds a half away from zero and truncates.
trait RoundTiesAway {
    fn round_ties_away(self) -> f64;
}

impl RoundTiesAway for f64 {
    fn round_ties_away(self) -> f64 {
        (self + 0.5_f64.copysign(self)).trunc()
    }
}

/// Keys' cubic convolution kernel with a = -0.5.
fn catmull_rom(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Drops the fraction of a sum that began at one half, and clips.
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn rows(pixels: &[u8], width: usize, kernels: &[Kernel], stop: &dyn Fn() -> bool) -> Option<Vec<u8>> {
    let mut out = vec![0; pixels.len() / width * kernels.len()];
    for (out, row) in out.chunks_exact_mut(3 * kernels.len()).zip(pixels.chunks_exact(3 * width)) {
        if stop() {
            return None;
        }
        for (pixel, kernel) in out.as_chunks_mut::<3>().0.iter_mut().zip(kernels) {
            let mut sums = [1 << (PRECISION - 1); 3];
            for (source, weight) in row[3 * kernel.first..].as_chunks::<3>().0.iter().zip(&kernel.weights) {
                for (sum, &value) in sums.iter_mut().zip(source) {
                    *sum += i32::from(value) * weight;
                }
            }
            *pixel = sums.map(byte);
        }
    }
    Some(out)
}

fn columns(pixels: &[u8], width: usize, kernels: &[Kernel], stop: &dyn Fn() -> bool) -> Option<Vec<u8>> {
    let stride = 3 * width;
    let mut out = vec![0; stride * kernels.len()];
    for (out, kernel) in out.chunks_exact_mut(stride).zip(kernels) {
        if stop() {
            return None;
        }
        let mut sums = vec![1 << (PRECISION - 1); stride];
        for (row, weight) in pixels[stride * kernel.first..].chunks_exact(stride).zip(&kernel.weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        for (value, sum) in out.iter_mut().zip(sums) {
            *value = byte(sum);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small image with edges and gradients: `(x * 37 + y * 59 + c * 83 + x * y) % 256`.
    fn picture(width: usize, height: usize) -> Vec<u8> {
        let value = |y: usize, x: usize, c: usize| ((x * 37 + y * 59 + c * 83 + x * y) % 256) as u8;
        (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| value(y, x, c)))).collect()
    }

    fn resize(pixels: &[u8], from: Size, to: Size) -> Vec<u8> {
        super::resize(pixels, from, to, &|| false).unwrap()
    }

    #[test]
    fn what_nobody_waits_for_is_given_up_between_rows() {
        let (from, to) = (Size::new(13, 9), Size::new(4, 3));
        for rows in 0..9 + 3 {
            let asked = std::cell::Cell::new(0);
            let stop = || asked.replace(asked.get() + 1) == rows;
            assert_eq!(super::resize(&picture(13, 9), from, to, &stop), None, "after {rows} rows");
            assert_eq!(asked.get(), rows + 1);
        }
    }

    #[test]
    fn shrinking_equals_pillow() {
        // Image.fromarray(image(13, 9)).resize((4, 3), Image.BICUBIC), Pillow 12.
        assert_eq!(resize(&picture(13, 9), Size::new(13, 9), Size::new(4, 3)), SHRUNK);
    }

    #[test]
    fn enlarging_equals_pillow() {
        // Image.fromarray(image(3, 2)).resize((5, 4), Image.BICUBIC), Pillow 12.
        assert_eq!(resize(&picture(3, 2), Size::new(3, 2), Size::new(5, 4)), ENLARGED);
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let pixels = picture(5, 4);
        assert_eq!(resize(&pixels, Size::new(5, 4), Size::new(5, 4)), pixels);
    }

    const SHRUNK: [u8; 36] = [
        110, 134, 113, 140, 108, 127, 118, 124, 126, 134, 116, 127, 117, 122, 135, 130, 132, 126, 128, 125,
        123, 134, 118, 119, 135, 121, 120, 124, 133, 126, 139, 127, 131, 133, 122, 128,
    ];

    const ENLARGED: [u8; 60] = [
        0, 75, 156, 6, 89, 180, 32, 115, 220, 58, 141, 247, 72, 155, 255, 12, 92, 179, 23, 106, 171, 49, 132,
        162, 75, 158, 186, 90, 173, 203, 44, 127, 225, 59, 142, 153, 85, 168, 48, 111, 194, 65, 125, 208, 88,
        61, 144, 248, 76, 159, 144, 102, 185, 0, 128, 211, 4, 143, 226, 31,
    ];
}
