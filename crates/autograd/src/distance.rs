//! The mean absolute difference.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    element::Element,
    lanes::{map, update, vectorized},
    storage::{by_dtype, dtype, slice, stored, tensor, with_values},
};

/// Values that one task handles.
const CHUNK: usize = 1 << 12;

/// The mean of `|x − constant|` over all elements, a scalar. Its derivative where both are equal is 0.
///
/// # Errors
/// When shapes differ, or a tensor is not in the memory of a CPU.
pub fn mean_distance(x: &Tensor, constant: &Tensor) -> Result<Tensor> {
    if x.dims() != constant.dims() {
        bail!("a distance between {:?} and {:?}", x.dims(), constant.dims())
    }
    x.contiguous()?.apply_op1(MeanDistance { constant: constant.detach().contiguous()? })
}

struct MeanDistance {
    constant: Tensor,
}

impl CustomOp1 for MeanDistance {
    fn name(&self) -> &'static str {
        "mean-distance"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(storage), T => {
            let x = slice::<T>(storage, layout)?;
            let mean = with_values::<T, _>(&self.constant, |constant| Ok(distance(x, constant)))?;
            Ok(stored(vec![mean as T], ()))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let share = gradient.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()? / x.elem_count() as f64;
        by_dtype!(x.dtype(), T => {
            let dx = with_values::<T, _>(x, |x| {
                with_values(&self.constant, |constant| Ok(signs(x, constant, share)))
            })?;
            tensor(dx, &self.constant).map(Some)
        })
    }
}

fn distance<T: Element>(x: &[T], constant: &[T]) -> f64 {
    let sums: Vec<f64> = x
        .par_chunks(CHUNK)
        .zip(constant.par_chunks(CHUNK))
        .map(|(x, constant)| {
            let sums = vectorized!(add_distances(x, constant));
            sums.iter().map(|sum| sum.to_f64()).sum()
        })
        .collect();
    sums.iter().sum::<f64>() / x.len() as f64
}

/// `share` with the sign of the difference.
fn signs<T: Element>(x: &[T], constant: &[T], share: f64) -> Vec<T> {
    let (plus, minus) = (T::from_f64(share), T::from_f64(-share));
    let mut dx = vec![T::zero(); x.len()];
    let chunks = dx.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(constant.par_chunks(CHUNK));
    chunks.for_each(|((dx, x), constant)| vectorized!(sign(dx, x, constant, [minus, plus])));
    dx
}

/// In sixteen sums side by side.
#[inline(always)]
fn add_distances<T: Element>(x: &[T], constant: &[T]) -> [T; 16] {
    let mut sums = [T::zero(); 16];
    for (x, constant) in x.chunks(16).zip(constant.chunks(16)) {
        update(&mut sums[..x.len()], [x, constant], |sum, [x, constant]| {
            let difference = x - constant;
            sum + if difference > T::zero() { difference } else { T::zero() - difference }
        });
    }
    sums
}

#[inline(always)]
fn sign<T: Element>(dx: &mut [T], x: &[T], constant: &[T], [minus, plus]: [T; 2]) {
    map(dx, [x, constant], |[x, constant]| {
        let below = if x < constant { minus } else { T::zero() };
        if x > constant { plus } else { below }
    });
}
