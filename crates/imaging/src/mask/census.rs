//! Which samples a mask's opaque pixels have, and how many pixels have each.

use std::collections::HashMap;

use super::raster::{Pixels, Raster};

/// A pixel's raw samples: red, green and blue, or the one grey value or palette index three times.
pub(super) type Sample = [u16; 3];

/// The distinct samples of a mask.
pub(super) struct Census {
    /// In ascending order, each with its pixels.
    pub(super) counts: Vec<(Sample, u64)>,
    pub(super) transparent: u64,
}

impl Census {
    pub(super) fn of(raster: &Raster) -> Self {
        let mut counts = HashMap::<Sample, u64>::new();
        let mut transparent = 0;
        for pixel in 0..raster.len() {
            match raster.is_transparent(pixel) {
                true => transparent += 1,
                false => *counts.entry(raster.sample(pixel)).or_default() += 1,
            }
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable();
        Self { counts, transparent }
    }

    pub(super) fn samples(&self) -> impl Iterator<Item = Sample> {
        self.counts.iter().map(|(sample, _)| *sample)
    }

    /// Opaque pixels.
    pub(super) fn pixels(&self) -> u64 {
        self.counts.iter().map(|(_, pixels)| pixels).sum()
    }

    /// Whether red, green and blue are equal in every pixel.
    pub(super) fn is_gray(&self) -> bool {
        self.samples().all(|[r, g, b]| r == g && g == b)
    }

    /// The channel that alone holds anything: 0, 1 or 2.
    pub(super) fn only_channel(&self) -> Option<usize> {
        let used = [0, 1, 2].map(|channel| self.samples().any(|sample| sample[channel] != 0));
        match used {
            [true, false, false] => Some(0),
            [false, true, false] => Some(1),
            [false, false, true] => Some(2),
            _ => None,
        }
    }

    /// Whether every sample of every pixel is a multiple of `step`.
    pub(super) fn is_multiple_of(&self, step: u16) -> bool {
        self.samples().flatten().all(|sample| sample.is_multiple_of(step))
    }
}

impl Raster {
    pub(super) fn len(&self) -> usize {
        self.size.width * self.size.height
    }

    pub(super) fn sample(&self, pixel: usize) -> Sample {
        match &self.pixels {
            Pixels::Indexed { indices, .. } => [u16::from(indices[pixel]); 3],
            Pixels::Gray(values) => [values[pixel]; 3],
            Pixels::Rgb(colors) => colors[pixel],
        }
    }
}
