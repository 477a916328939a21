//! Lattices: light that alternates from pixel to pixel, or over four pixels, as what is up-sampled step by step can show.

use std::f64::consts::PI;

use serde::Serialize;
use spadework_imaging::RgbImage;

/// Pixels on a side of the blocks that are looked at one by one.
const BLOCK: usize = 32;

/// Waves that are looked for: half and a quarter of a turn from one pixel to the next, along x, along y, and along both
/// diagonals, which are one at half a turn.
const WAVES: [(&str, f64, f64); 7] = [
    ("x/2", 0.5, 0.0),
    ("y/2", 0.0, 0.5),
    ("xy/2", 0.5, 0.5),
    ("x/4", 0.25, 0.0),
    ("y/4", 0.0, 0.25),
    ("xy/4", 0.25, 0.25),
    ("yx/4", 0.25, -0.25),
];

/// The strength of each wave, in levels of a byte: the root of its mean energy over all blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Lattice(pub [f64; WAVES.len()]);

impl Lattice {
    /// The strengths in some images.
    pub fn of<'a>(images: impl IntoIterator<Item = &'a RgbImage>) -> Self {
        let window: Vec<f64> =
            (0..BLOCK).map(|i| 0.5 - 0.5 * (2.0 * PI * (i as f64 + 0.5) / BLOCK as f64).cos()).collect();
        let scale: f64 = window.iter().sum::<f64>().powi(2);
        let (mut energies, mut blocks) = ([0.0; WAVES.len()], 0u64);
        for image in images {
            let (columns, rows) = (image.width() / BLOCK, image.height() / BLOCK);
            for block in 0..columns * rows {
                let corner = (block % columns * BLOCK, block / columns * BLOCK);
                let light = light(image, corner, &window);
                for (energy, &(_, x, y)) in energies.iter_mut().zip(&WAVES) {
                    *energy += strength(&light, x, y) / scale.powi(2);
                }
                blocks += 1;
            }
        }
        Self(energies.map(|energy| (energy / blocks.max(1) as f64).sqrt()))
    }

    /// The strength that is farthest from another's, as a share of it: 1 where all are alike.
    pub fn farthest_from(&self, other: &Self) -> f64 {
        let shares = self.0.iter().zip(&other.0).map(|(own, other)| own / other.max(1e-9));
        shares.max_by(|a, b| a.ln().abs().total_cmp(&b.ln().abs())).unwrap_or(1.0)
    }

    /// The mean of all strengths.
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }
}

/// The brightness of a block's pixels less its mean, faded to its edges.
fn light(image: &RgbImage, (left, top): (usize, usize), window: &[f64]) -> Vec<f64> {
    let at = |i: usize| {
        let first = 3 * ((top + i / BLOCK) * image.width() + left + i % BLOCK);
        let pixel = &image.pixels()[first..first + 3];
        pixel.iter().map(|&byte| f64::from(byte)).sum::<f64>() / 3.0
    };
    let mean = (0..BLOCK * BLOCK).map(at).sum::<f64>() / (BLOCK * BLOCK) as f64;
    (0..BLOCK * BLOCK).map(|i| (at(i) - mean) * window[i % BLOCK] * window[i / BLOCK]).collect()
}

/// The energy of the wave of `x` and `y` turns a pixel.
fn strength(light: &[f64], x: f64, y: f64) -> f64 {
    let (mut even, mut odd) = (0.0, 0.0);
    for (i, value) in light.iter().enumerate() {
        let (sine, cosine) = (2.0 * PI * (x * (i % BLOCK) as f64 + y * (i / BLOCK) as f64)).sin_cos();
        even += value * cosine;
        odd += value * sine;
    }
    even * even + odd * odd
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 64;

    fn image(light: impl Fn(usize, usize) -> f64) -> RgbImage {
        let pixels = (0..SIDE * SIDE).flat_map(|i| [light(i % SIDE, i / SIDE).round() as u8; 3]).collect();
        RgbImage::new(SIDE, SIDE, pixels).unwrap()
    }

    #[test]
    fn each_wave_is_found_with_its_own_strength_and_in_no_other_place() {
        for (place, (name, x, y)) in WAVES.into_iter().enumerate() {
            let turn = |u: usize, v: usize| 2.0 * PI * (x * u as f64 + y * v as f64);
            let found = Lattice::of([&image(|u, v| 120.0 + 20.0 * turn(u, v).cos())]).0;
            // A wave of half a turn has all its energy in one place, another one half of it in its mirror image.
            let expected = if name.ends_with("/2") { 20.0 } else { 10.0 };
            assert!((found[place] - expected).abs() < 0.5, "{name}: {found:?}");
            let elsewhere = found.iter().enumerate().filter(|(other, _)| *other != place);
            assert!(elsewhere.clone().all(|(_, strength)| *strength < 0.5), "{name}: {found:?}");
        }
    }

    #[test]
    fn a_lattice_on_an_image_is_told_from_the_image() {
        let plain = |u: usize, v: usize| {
            120.0 + 40.0 * (u as f64 / 9.0).sin() * (v as f64 / 7.0).cos() + ((u * 7 + v * 13) % 5) as f64
        };
        let (clean, laid) =
            (image(plain), image(|u, v| plain(u, v) + if (u + v) % 2 == 0 { 4.0 } else { -4.0 }));
        let (clean, laid) = (Lattice::of([&clean]), Lattice::of([&laid]));
        assert!(laid.farthest_from(&clean) > 2.0, "{laid:?} beside {clean:?}");
        assert_eq!(clean.farthest_from(&clean), 1.0);
    }
}
