//! The leaky ReLU.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    SLOPE,
    element::Element,
    lanes::{map, vectorized},
    storage::{by_dtype, dtype, slice, stored, tensor, with_values},
};

/// Values that one task handles.
const CHUNK: usize = 1 << 14;

/// `max(x, 0.2 x)`, any shape. Its derivative at 0 is 0.2, as PyTorch's is.
///
/// # Errors
/// Where the tensor is not in the memory of a CPU.
pub fn leaky_relu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(LeakyRelu)
}

struct LeakyRelu;

impl CustomOp1 for LeakyRelu {
    fn name(&self) -> &'static str {
        "leaky-relu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(storage), T => {
            let x = slice::<T>(storage, layout)?;
            let mut out = vec![T::default(); x.len()];
            out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| vectorized!(leaky(out, x)));
            Ok(stored(out, layout.shape().clone()))
        })
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        by_dtype!(y.dtype(), T => {
            let dx = with_values::<T, _>(y, |y| with_values(gradient, |dy| Ok(leaky_gradient(y, dy, SLOPE))))?;
            tensor(dx, y).map(Some)
        })
    }
}

/// The gradient before a ReLU of slope `slope` below zero, from its output and the gradient behind it.
pub(super) fn leaky_gradient<T: Element>(y: &[T], dy: &[T], slope: f64) -> Vec<T> {
    let slope = T::from_f64(slope);
    let mut dx = vec![T::zero(); y.len()];
    let chunks = dx.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).zip(dy.par_chunks(CHUNK));
    chunks.for_each(|((dx, y), dy)| vectorized!(scale_down(dx, y, dy, slope)));
    dx
}

#[inline(always)]
fn leaky<T: Element>(out: &mut [T], x: &[T]) {
    let slope = T::from_f64(SLOPE);
    map(out, [x], |[x]| if x > T::zero() { x } else { x * slope });
}

#[inline(always)]
fn scale_down<T: Element>(dx: &mut [T], y: &[T], dy: &[T], slope: T) {
    map(dx, [y, dy], |[y, dy]| if y > T::zero() { dy } else { dy * slope });
}
