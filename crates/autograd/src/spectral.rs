//! Spectral normalisation: a weight divided by its largest singular value (Miyato et al. 2018).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    element::Element,
    lanes::{map, update, vectorized},
    storage::{by_dtype, dtype, slice, stored, tensor, with_values},
};

/// Added to no norm, but the least that one is divided by.
const EPSILON: f64 = 1e-12;

/// Values that one task handles.
const CHUNK: usize = 1 << 12;

/// Columns that one task adds up.
const COLUMNS: usize = 512;

/// One step of `v ← Wᵀu / ‖Wᵀu‖`, `u ← Wv / ‖Wv‖`, with W seen as (out, rest): the new `u` and `v`.
///
/// # Errors
/// Where a tensor is not in the memory of a CPU.
pub fn power_iteration(weight: &Tensor, u: &Tensor) -> Result<(Tensor, Tensor)> {
    by_dtype!(weight.dtype(), T => with_values::<T, _>(weight, |w| with_values(u, |values| {
        let v = unit(times_rows(w, values));
        let new = unit(times_columns(w, &v));
        Ok((tensor(new, u)?, Tensor::from_vec(v, w.len() / values.len(), u.device())?))
    })))
}

/// `W / σ` with `σ = uᵀWv`; `u` and `v` are constants.
///
/// # Errors
/// Where a tensor is not in the memory of a CPU.
pub fn spectral_weight(weight: &Tensor, u: &Tensor, v: &Tensor) -> Result<Tensor> {
    let vectors = [u, v].map(|vector| vector.detach().to_dtype(candle_core::DType::F64)?.to_vec1::<f64>());
    let [u, v] = vectors;
    let (u, v) = (u?, v?);
    let sigma = by_dtype!(weight.dtype(), T => with_values::<T, _>(weight, |w| Ok(sigma(w, &u, &v))))?;
    weight.contiguous()?.apply_op1(Divide { sigma, u, v })
}

/// `uᵀWv`.
fn sigma<T: Element>(w: &[T], u: &[f64], v: &[f64]) -> f64 {
    let v: Vec<T> = v.iter().map(|v| T::from_f64(*v)).collect();
    times_columns(w, &v).iter().zip(u).map(|(row, u)| row.to_f64() * u).sum()
}

struct Divide {
    sigma: f64,
    u: Vec<f64>,
    v: Vec<f64>,
}

impl CustomOp1 for Divide {
    fn name(&self) -> &'static str {
        "spectral-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(storage), T => {
            let (w, inverse) = (slice::<T>(storage, layout)?, self.sigma.recip() as T);
            let mut out = vec![T::default(); w.len()];
            let chunks = out.par_chunks_mut(CHUNK).zip(w.par_chunks(CHUNK));
            chunks.for_each(|(out, w)| vectorized!(map(out, [w], #[inline(always)] |[w]| w * inverse)));
            Ok(stored(out, layout.shape().clone()))
        })
    }

    fn bwd(&self, weight: &Tensor, normalized: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        by_dtype!(weight.dtype(), T => {
            let dw = with_values::<T, _>(normalized, |w| with_values(gradient, |dw| Ok(self.gradient(w, dw))))?;
            tensor(dw, weight).map(Some)
        })
    }
}

impl Divide {
    /// `(g − ⟨g, W/σ⟩ · u vᵀ) / σ`.
    fn gradient<T: Element>(&self, normalized: &[T], gradient: &[T]) -> Vec<T> {
        let v: Vec<T> = self.v.iter().map(|v| T::from_f64(*v)).collect();
        let parts: Vec<f64> = normalized
            .par_chunks(CHUNK)
            .zip(gradient.par_chunks(CHUNK))
            .map(|(w, g)| vectorized!(dot(w, g)).to_f64())
            .collect();
        let share = parts.iter().sum::<f64>();
        let inverse = self.sigma.recip();
        let mut out = vec![T::zero(); gradient.len()];
        out.par_chunks_mut(v.len()).zip(gradient.par_chunks(v.len())).zip(&self.u).for_each(
            |((out, g), u)| {
                let factors = [T::from_f64(inverse), T::from_f64(share * u * inverse)];
                vectorized!(combine(out, g, &v, factors));
            },
        );
        out
    }
}

/// `Wᵀu`.
fn times_rows<T: Element>(w: &[T], u: &[T]) -> Vec<T> {
    let columns = w.len() / u.len();
    let mut sums = vec![T::zero(); columns];
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(part, sums)| {
        vectorized!(add_rows(sums, w, u, columns, part * COLUMNS));
    });
    sums
}

/// Adds every row of `w` from column `start`, times its element of `u`.
#[inline(always)]
fn add_rows<T: Element>(sums: &mut [T], w: &[T], u: &[T], columns: usize, start: usize) {
    for (row, u) in w.chunks_exact(columns).zip(u) {
        update(sums, [&row[start..]], |sum, [w]| sum + w * *u);
    }
}

#[inline(always)]
fn combine<T: Element>(out: &mut [T], g: &[T], v: &[T], [scale, share]: [T; 2]) {
    map(out, [g, v], |[g, v]| g * scale - share * v);
}

/// `Wv`.
fn times_columns<T: Element>(w: &[T], v: &[T]) -> Vec<T> {
    w.par_chunks_exact(v.len()).map(|row| vectorized!(dot(row, v))).collect()
}

/// In sixteen sums side by side.
#[inline(always)]
fn dot<T: Element>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); 16];
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..16 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest = a_rest.iter().zip(b_rest).fold(T::zero(), |sum, (a, b)| sum + *a * *b);
    sums.iter().fold(rest, |sum, part| sum + *part)
}

fn unit<T: Element>(mut vector: Vec<T>) -> Vec<T> {
    let norm = vector.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>().sqrt();
    let inverse = T::from_f64(norm.max(EPSILON).recip());
    vector.iter_mut().for_each(|x| *x *= inverse);
    vector
}
