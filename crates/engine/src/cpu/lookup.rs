//! A conv whose input is one-hot: a sum of weight columns, one for each tap.

use rayon::prelude::*;
use spadework_model::{Architecture, Prefixed};

use super::read::numbers;
use crate::{EngineError, buffer::Buffer, plan::codes::decode};

/// A "same" conv over semantic planes, as a table of its weights by plane and tap.
#[derive(Debug)]
pub(super) struct Lookup {
    taps: usize,
    width: usize, // output channels, padded
    edge_plane: usize,
    bias: Buffer<f32>,
    weights: Buffer<f32>, // [plane][tap][width]
}

impl Lookup {
    /// Reads a conv of odd `kernel` to `channels`, stored padded to a multiple of `align`.
    pub(super) fn read(
        parameters: &Prefixed<'_>,
        architecture: &Architecture,
        channels: usize,
        kernel: usize,
        align: usize,
    ) -> Result<Self, EngineError> {
        let (planes, taps) = (architecture.semantic_nc(), kernel * kernel);
        let weight = numbers(parameters, "weight", &[channels, planes, kernel, kernel])?;
        let width = channels.next_multiple_of(align);
        let mut bias = Buffer::zeroed(width);
        bias[..channels].copy_from_slice(&numbers(parameters, "bias", &[channels])?);
        let mut weights = Buffer::zeroed(planes * taps * width);
        for (row, column) in weights.chunks_exact_mut(width).enumerate() {
            for (channel, value) in column[..channels].iter_mut().enumerate() {
                *value = weight[channel * planes * taps + row];
            }
        }
        Ok(Self { taps, width, edge_plane: architecture.label_planes(), bias, weights })
    }

    /// Output channels, padding included.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The conv's output for each patch of `taps` codes in `patches`, rectified where `rectify` says so.
    pub(super) fn apply(&self, patches: &[u16], rectify: bool, out: &mut [f32]) {
        let rows = out.par_chunks_exact_mut(self.width).zip(patches.par_chunks_exact(self.taps));
        rows.for_each(|(out, patch)| {
            out.copy_from_slice(&self.bias);
            for (tap, &code) in patch.iter().enumerate() {
                let Some((label, edge)) = decode(code) else { continue };
                self.add(label, tap, out);
                if edge {
                    self.add(self.edge_plane, tap, out);
                }
            }
            if rectify {
                out.iter_mut().for_each(|value| *value = value.max(0.0));
            }
        });
    }

    fn add(&self, plane: usize, tap: usize, out: &mut [f32]) {
        let start = (plane * self.taps + tap) * self.width;
        for (sum, weight) in out.iter_mut().zip(&self.weights[start..start + self.width]) {
            *sum += weight;
        }
    }
}
