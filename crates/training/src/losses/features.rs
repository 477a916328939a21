//! Distances between images and between their features.

use candle_core::{Result, Tensor, bail};

use spadework_autograd::Backend;

use crate::networks::{Features, Perceptual};

/// Side of the squares whose means [`low_resolution`] compares.
const SQUARE: usize = 8;

/// L1 between the discriminator's maps of fake and real images, without the decisions: the sum over maps, the mean
/// over scales.
///
/// # Errors
/// When both do not come from one discriminator.
pub fn feature_matching(backend: &Backend, fake: &Features, real: &Features) -> Result<Tensor> {
    let maps = fake.iter().zip(real).flat_map(|(fake, real)| {
        let inner = fake.len().saturating_sub(1);
        fake.iter().zip(real).take(inner)
    });
    let distances = maps.map(|(fake, real)| backend.mean_distance(fake, real)).collect::<Result<Vec<_>>>()?;
    if distances.is_empty() {
        bail!("there are no features to match")
    }
    Tensor::stack(&distances, 0)?.sum_all()? / fake.len() as f64
}

/// L1 between a frozen network's features of fake and real images, (N, H, W, 3) both, left in [-1, 1] as published.
///
/// # Errors
/// When sizes differ.
pub fn perceptual(backend: &Backend, network: &Perceptual, fake: &Tensor, real: &Tensor) -> Result<Tensor> {
    let (fake, real) = (network.features(fake)?, network.features(&real.detach())?);
    let pairs = fake.iter().zip(&real).zip(network.weights());
    let distances = pairs.map(|((fake, real), weight)| backend.mean_distance(fake, real)? * *weight);
    Tensor::stack(&distances.collect::<Result<Vec<_>>>()?, 0)?.sum_all()
}

/// L1 between the means of 8×8 squares of fake and real images, (N, H, W, 3) both.
///
/// # Errors
/// When the sides are not multiples of 8.
pub fn low_resolution(backend: &Backend, fake: &Tensor, real: &Tensor) -> Result<Tensor> {
    backend.mean_distance(&squares(fake)?, &squares(&real.detach())?)
}

fn squares(images: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = images.dims4()?;
    if !h.is_multiple_of(SQUARE) || !w.is_multiple_of(SQUARE) {
        bail!("images of {h}x{w} have no whole {SQUARE}x{SQUARE} squares")
    }
    images
        .reshape((n, h / SQUARE, SQUARE, w / SQUARE, SQUARE * c))?
        .mean(2)?
        .reshape((n, h / SQUARE, w / SQUARE, SQUARE, c))?
        .mean(3)
}
