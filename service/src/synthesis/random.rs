//! The random numbers of a picture: functions of its seed alone, never of its place in a batch.
//!
//! ChaCha8 keyed by the seed, with a stream for each use, so that one use never shifts another. The numbers are the
//! same on every platform and will stay so.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// The latent of a picture without a style.
pub const LATENT: u64 = 0;
/// The sample of a style's posterior.
pub const STYLE: u64 = 1;
/// The first block's noise plane; the next blocks' follow.
const NOISE: u64 = 16;

/// `count` standard normal numbers of one stream.
pub fn normals(seed: u64, stream: u64, count: usize) -> Vec<f32> {
    let mut numbers = ChaCha8Rng::seed_from_u64(seed);
    numbers.set_stream(stream);
    (0..count).map(|_| StandardNormal.sample(&mut numbers)).collect()
}

/// The noise plane of residual block `block`.
pub fn noise_plane(seed: u64, block: usize, cells: usize) -> Vec<f32> {
    normals(seed, NOISE + block as u64, cells)
}

/// A seed for a request without one: short enough to be read aloud and typed again.
pub fn fresh_seed() -> u64 {
    u64::from(rand::random::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_change_between_releases() {
        let numbers = normals(7, LATENT, 3);
        assert_eq!(numbers, normals(7, LATENT, 5)[..3]);
        assert_ne!(numbers, normals(7, STYLE, 3));
        assert_ne!(numbers, normals(8, LATENT, 3));
    }

    #[test]
    fn they_are_standard_normal() {
        let numbers = normals(1, LATENT, 100_000);
        let mean = numbers.iter().sum::<f32>() / numbers.len() as f32;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / numbers.len() as f32;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "mean {mean}, variance {variance}");
    }
}
