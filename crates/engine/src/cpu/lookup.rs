//! A conv whose input is one-hot: a sum of weight columns, one for each tap.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use spadework_model::{Architecture, Prefixed};

use super::read::numbers;
use crate::{EngineError, plan::codes::decode};
use spadework_kernels::cpu::{BLOCK, Buffer, Element, Isa, elements};

/// A "same" conv over semantic planes, as a table of its weights by plane and tap.
#[derive(Debug)]
pub(super) struct Lookup {
    taps: usize,
    width: usize, // output channels, padded to whole blocks
    edge_plane: usize,
    bias: Buffer<f32>,
    weights: Buffer<f32>, // [plane][tap][width]
}

impl Lookup {
    /// Reads a conv of odd `kernel` to `channels`.
    pub(super) fn read(
        parameters: &Prefixed<'_>,
        architecture: &Architecture,
        channels: usize,
        kernel: usize,
    ) -> Result<Self, EngineError> {
        let (planes, taps) = (architecture.semantic_nc(), kernel * kernel);
        let weight = numbers(parameters, "weight", &[channels, planes, kernel, kernel])?;
        let width = channels.next_multiple_of(BLOCK);
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

    /// The conv's output for each patch of k² codes in `patches`, rectified where `rectify` says so.
    pub(super) fn apply<E: Element>(&self, isa: Isa, patches: &[u16], rectify: bool, out: &mut [E]) {
        let rows = out.par_chunks_exact_mut(elements::<E>(self.width));
        rows.zip(patches.par_chunks_exact(self.taps)).for_each(|(out, patch)| {
            isa.run(Apply { lookup: self, patch, rectify, out });
        });
    }

    /// The first block of what `plane` adds where it is 1 at `tap`.
    #[inline(always)]
    fn row(&self, plane: usize, tap: usize) -> usize {
        (plane * self.taps + tap) * self.width / BLOCK
    }
}

/// One patch.
struct Apply<'a, E> {
    lookup: &'a Lookup,
    patch: &'a [u16],
    rectify: bool,
    out: &'a mut [E],
}

impl<E: Element> WithSimd for Apply<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { lookup, patch, rectify, out } = self;
        let weights = lookup.weights.as_chunks().0;
        let blocks = out.chunks_exact_mut(elements::<E>(BLOCK)).zip(lookup.bias.as_chunks::<BLOCK>().0);
        for (block, (out, bias)) in blocks.enumerate() {
            let mut sums = *bias;
            for (tap, &code) in patch.iter().enumerate() {
                let Some((label, edge)) = decode(code) else { continue };
                add(&mut sums, &weights[lookup.row(label, tap) + block]);
                if edge {
                    add(&mut sums, &weights[lookup.row(lookup.edge_plane, tap) + block]);
                }
            }
            if rectify {
                sums = sums.map(|sum| sum.max(0.0));
            }
            E::store(&sums, out);
        }
    }
}

#[inline(always)]
fn add(sums: &mut [f32; BLOCK], weights: &[f32; BLOCK]) {
    for c in 0..BLOCK {
        sums[c] += weights[c];
    }
}
