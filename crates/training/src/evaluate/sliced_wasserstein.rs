//! Sliced Wasserstein distance of Laplacian patches (Karras et al. 2018, section 5): how far the textures of two sets
//! of images are apart, scale by scale. It needs no network.

use candle_core::{Device, Result, Tensor};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use spadework_imaging::RgbImage;

use super::pyramid::{PyramidLevel, laplacian};

/// Pixels on a side of a patch.
const PATCH: usize = 7;
/// Patches taken from each level of an image.
const PATCHES: usize = 64;
/// Directions that patches are projected on.
const DIRECTIONS: usize = 256;
/// Side of the coarsest level.
const COARSEST: usize = 16;
/// Numbers in a patch.
const LENGTH: usize = 3 * PATCH * PATCH;

/// Patches of some images: for each level (patches, numbers), normalised channel by channel.
pub struct Patches(Vec<Tensor>);

impl Patches {
    /// Patches of `images`, which are of one size, at places drawn from `seed`.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn of(images: &[RgbImage], seed: u64) -> Result<Self> {
        let cut: Vec<Vec<Vec<f32>>> = (images.iter().enumerate().collect::<Vec<_>>().par_iter())
            .map(|(index, image)| {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                random.set_stream(*index as u64);
                let image = PyramidLevel::of_pixels(image.width(), image.height(), image.pixels());
                laplacian(image, COARSEST).iter().map(|level| cut(level, &mut random)).collect()
            })
            .collect();
        let levels = cut.first().map_or(0, Vec::len);
        let level = |level: usize| {
            let mut values: Vec<f32> = cut.iter().flat_map(|levels| levels[level].iter().copied()).collect();
            normalize(&mut values);
            let count = values.len() / LENGTH;
            Tensor::from_vec(values, (count, LENGTH), &Device::Cpu)
        };
        Ok(Self((0..levels).map(level).collect::<Result<_>>()?))
    }

    /// The mean distance over all levels, times 1000 as it is commonly told. Both sets hold as many patches.
    ///
    /// # Errors
    /// When the sets differ in size.
    pub fn distance(&self, other: &Self, seed: u64) -> Result<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let directions = directions(&mut random)?;
        let distances = self.0.iter().zip(&other.0).map(|(one, other)| sliced(one, other, &directions));
        let distances = distances.collect::<Result<Vec<_>>>()?;
        Ok(1000.0 * distances.iter().sum::<f64>() / distances.len().max(1) as f64)
    }
}

/// The Wasserstein distance of two point sets (n, d), averaged over projections on the columns of `directions` (d, k).
///
/// # Errors
/// When shapes do not agree.
pub fn sliced(one: &Tensor, other: &Tensor, directions: &Tensor) -> Result<f64> {
    let project = |points: &Tensor| points.matmul(directions)?.t()?.to_vec2::<f32>();
    let (one, other) = (project(one)?, project(other)?);
    let pairs: Vec<_> = one.into_iter().zip(other).collect();
    let distances: Vec<f64> = pairs
        .par_iter()
        .map(|(one, other)| {
            let sorted = |values: &[f32]| {
                let mut values = values.to_vec();
                values.sort_unstable_by(f32::total_cmp);
                values
            };
            let (one, other) = (sorted(one), sorted(other));
            let sum: f64 = one.iter().zip(&other).map(|(a, b)| f64::from((a - b).abs())).sum();
            sum / one.len() as f64
        })
        .collect();
    Ok(distances.iter().sum::<f64>() / distances.len() as f64)
}

/// Random unit vectors, as columns.
fn directions(random: &mut ChaCha8Rng) -> Result<Tensor> {
    let values: Vec<f32> = (0..LENGTH * DIRECTIONS).map(|_| StandardNormal.sample(random)).collect();
    let directions = Tensor::from_vec(values, (LENGTH, DIRECTIONS), &Device::Cpu)?;
    directions.broadcast_div(&directions.sqr()?.sum_keepdim(0)?.sqrt()?)
}

/// Patches of a level at random places, one after another, each channel by channel.
fn cut(level: &PyramidLevel, random: &mut ChaCha8Rng) -> Vec<f32> {
    let mut values = Vec::with_capacity(PATCHES * LENGTH);
    for _ in 0..PATCHES {
        let left = random.random_range(0..=level.width - PATCH);
        let top = random.random_range(0..=level.height - PATCH);
        for channel in 0..3 {
            for y in top..top + PATCH {
                let start = (channel * level.height + y) * level.width + left;
                values.extend(&level.values[start..start + PATCH]);
            }
        }
    }
    values
}

/// Brings each channel of all patches to mean 0 and deviation 1.
fn normalize(values: &mut [f32]) {
    const PLANE: usize = PATCH * PATCH;
    for channel in 0..3 {
        let of_channel = |index: usize| index / PLANE % 3 == channel;
        let mut sums = [0.0f64; 3];
        for (_, &value) in values.iter().enumerate().filter(|(index, _)| of_channel(*index)) {
            let value = f64::from(value);
            sums = [sums[0] + 1.0, sums[1] + value, sums[2] + value * value];
        }
        let mean = sums[1] / sums[0];
        let deviation = (sums[2] / sums[0] - mean * mean).max(1e-12).sqrt();
        for (_, value) in values.iter_mut().enumerate().filter(|(index, _)| of_channel(*index)) {
            *value = ((f64::from(*value) - mean) / deviation) as f32;
        }
    }
}
