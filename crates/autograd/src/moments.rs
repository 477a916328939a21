//! Means and variances of feature maps, over images and perhaps processes.

use std::{fmt, sync::Arc};

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use super::{
    element::Element,
    lanes::{update, vectorized},
    storage::{by_dtype, with_values},
};

/// Added to every variance, as in the published code.
const EPSILON: f64 = spadework_model::EPSILON;

/// Cells whose sums are taken in the tensor's own precision; their sums are added up in f64.
pub(super) const CELLS: usize = 256;

/// Adds numbers up over several processes.
pub trait Collective: fmt::Debug + Send + Sync {
    /// How many processes there are.
    fn processes(&self) -> usize;

    /// Replaces every number by its sum over the processes. All of them call it, in the same order.
    ///
    /// # Errors
    /// When another process cannot be reached.
    fn sum(&self, values: &mut [f64]) -> Result<()>;

    /// The sum of a tensor in f64 over the processes, where it lies.
    ///
    /// # Errors
    /// When another process cannot be reached.
    fn sum_tensor(&self, tensor: &Tensor) -> Result<Tensor>;
}

/// What statistics are taken over.
#[derive(Clone, Debug, Default)]
pub enum Span {
    /// Each image's own cells: instance norm.
    #[default]
    Image,
    /// All cells of the batch: batch norm.
    Batch,
    /// All cells of all processes' batches.
    Processes(Arc<dyn Collective>),
}

/// Mean and variance of every channel, (images or 1) × C, row-major.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Means; none where they are on a device.
    pub mean: Vec<f64>,
    /// Biased variances, likewise.
    pub variance: Vec<f64>,
    /// Cells that each was taken over.
    pub count: f64,
    pub(super) span: Option<Span>,
    pub(super) channels: usize,
    statistics: Option<Tensor>,
}

/// [`Moments::of`]
///
/// # Errors
/// Where the tensor is not in the memory of a CPU, or another process cannot be reached.
pub fn moments(x: &Tensor, span: Span) -> Result<Moments> {
    Moments::of(x, span)
}

/// [`Moments::fixed`] of two vectors (C).
///
/// # Errors
/// When they are no vectors of numbers.
pub fn fixed_moments(mean: &Tensor, variance: &Tensor) -> Result<Moments> {
    let numbers = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.to_vec1();
    Ok(Moments::fixed(numbers(mean)?, numbers(variance)?))
}

impl Moments {
    /// Statistics of `x` (N, H, W, C) over `span`. A gradient flows through them where they are used.
    ///
    /// # Errors
    /// Where the tensor is not in the memory of a CPU, or another process cannot be reached.
    pub fn of(x: &Tensor, span: Span) -> Result<Self> {
        let (n, h, w, channels) = x.dims4()?;
        let images = if matches!(span, Span::Image) { n } else { 1 };
        let mut sums = by_dtype!(x.dtype(), T => with_values::<T, _>(x, |x| Ok(sums(x, images, channels))))?;
        sums.push((n / images * h * w) as f64);
        if let Span::Processes(collective) = &span {
            collective.sum(&mut sums)?;
        }
        let count = sums.pop().unwrap_or_default();
        let (first, second) = sums.split_at(images * channels);
        let mean: Vec<f64> = first.iter().map(|sum| sum / count).collect();
        let variance = second.iter().zip(&mean).map(|(sum, mean)| (sum / count - mean * mean).max(0.0));
        Ok(Self { variance: variance.collect(), mean, count, span: Some(span), channels, statistics: None })
    }

    /// Statistics from elsewhere, such as running ones: constants.
    pub fn fixed(mean: Vec<f64>, variance: Vec<f64>) -> Self {
        let channels = mean.len();
        Self { mean, variance, count: 1.0, span: None, channels, statistics: None }
    }

    /// Statistics on a device: mean, `1 / √(variance + ε)` and variance, (images or 1, 3, C).
    pub(super) fn on_device(statistics: Tensor, count: f64, span: Option<Span>) -> Self {
        let channels = statistics.dims()[2];
        let (mean, variance) = (Vec::new(), Vec::new());
        Self { mean, variance, count, span, channels, statistics: Some(statistics) }
    }

    /// Mean, `1 / √(variance + ε)` and variance, (images or 1, 3, C), where they are on a device.
    pub fn statistics(&self) -> Option<&Tensor> {
        self.statistics.as_ref()
    }

    /// What they were taken over; none for constants.
    pub(super) fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    /// `1 / √(variance + ε)` of every channel.
    pub(super) fn inverse(&self) -> impl Iterator<Item = f64> {
        self.variance.iter().map(|variance| (variance + EPSILON).sqrt().recip())
    }

    /// The index of image `n`'s statistics.
    pub(super) fn row(&self, n: usize) -> usize {
        if matches!(self.span, Some(Span::Image)) { n } else { 0 }
    }

    /// What the gradient of a normalised map owes to its statistics, from the sums over the local cells of the
    /// gradient and of the gradient times the map: their means over all cells, or nothing where they are constants.
    pub(super) fn owed(&self, mut sums: Vec<f64>, cells: f64) -> Result<Vec<f64>> {
        let Some(span) = &self.span else { return Ok(vec![0.0; sums.len()]) };
        let mut count = cells;
        if let Span::Processes(collective) = span {
            sums.push(cells);
            collective.sum(&mut sums)?;
            count = sums.pop().unwrap_or(cells);
        }
        sums.iter_mut().for_each(|sum| *sum /= count);
        Ok(sums)
    }
}

/// Sums, then sums of squares, of every image's channels. Squares are summed about each chunk's own mean, so that a
/// large mean costs no digits.
fn sums<T: Element>(x: &[T], images: usize, channels: usize) -> Vec<f64> {
    let each = x.len() / images;
    let mut total = vec![0.0; 2 * images * channels];
    for (n, image) in x.chunks_exact(each).enumerate() {
        let chunks: Vec<(Vec<T>, Vec<T>, f64)> = image
            .par_chunks(CELLS * channels)
            .map(|cells| {
                let (mut mean, mut square) = (vec![T::zero(); channels], vec![T::zero(); channels]);
                let count = (cells.len() / channels) as f64;
                let share = T::from_f64(1.0 / count);
                vectorized!(chunk_moments(cells, share, &mut mean, &mut square));
                (mean, square, count)
            })
            .collect();
        for (mean, square, count) in chunks {
            for c in 0..channels {
                let mean = mean[c].to_f64();
                total[n * channels + c] += mean * count;
                total[(images + n) * channels + c] += square[c].to_f64() + mean * mean * count;
            }
        }
    }
    total
}

/// The mean of each channel, and the sum of squares about it.
#[inline(always)]
fn chunk_moments<T: Element>(cells: &[T], share: T, mean: &mut [T], square: &mut [T]) {
    let channels = mean.len();
    for cell in cells.chunks_exact(channels) {
        update(mean, [cell], |sum, [x]| sum + x);
    }
    mean.iter_mut().for_each(|sum| *sum *= share);
    for cell in cells.chunks_exact(channels) {
        update(square, [cell, mean], |sum, [x, mean]| sum + (x - mean) * (x - mean));
    }
}

/// Values in f64 as the element.
pub(super) fn cast<T: Element>(values: impl IntoIterator<Item = f64>) -> Vec<T> {
    values.into_iter().map(T::from_f64).collect()
}
