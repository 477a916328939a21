//! A kernel's call as a value, and what is checked before there is one.

use candle_core::{DType, Result, Tensor, bail};

use crate::call::{Argument, Call};
pub(super) use crate::call::{memory, number};

/// A call of `threads` threads, whose numbers fit 32 bits.
pub(super) fn call<'a>(name: &'static str, threads: usize, arguments: Vec<Argument<'a>>) -> Result<Call<'a>> {
    number(threads + 255)?; // as many as make the last block whole
    Ok(Call { name, at_once: 1, threads, arguments })
}

/// Refuses a tensor of another type or shape, or one that does not lie in one piece.
pub(super) fn expect(tensor: &Tensor, dtype: DType, shape: &[usize]) -> Result<()> {
    if tensor.dtype() != dtype || tensor.dims() != shape || !tensor.is_contiguous() {
        bail!("expected {dtype:?} {shape:?} in one piece, there is {:?} {:?}", tensor.dtype(), tensor.shape())
    }
    Ok(())
}

/// Refuses a tensor that is no f32 in one piece.
pub(super) fn expect_f32(tensor: &Tensor) -> Result<()> {
    expect(tensor, DType::F32, tensor.dims())
}
