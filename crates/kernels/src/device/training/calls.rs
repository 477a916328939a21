//! A kernel's call as a value, and what is checked before there is one.

use candle_core::{DType, Result, Tensor};

use crate::device::call::{Argument, Call};
pub(super) use crate::device::call::{expect, memory, number};

/// A call of `threads` threads, whose numbers fit 32 bits.
pub(super) fn call<'a>(name: &'static str, threads: usize, arguments: Vec<Argument<'a>>) -> Result<Call<'a>> {
    number(threads + 255)?; // as many as make the last block whole
    Ok(Call { name, at_once: 1, threads, arguments })
}

/// Refuses a tensor that is no f32 in one piece.
pub(super) fn expect_f32(tensor: &Tensor) -> Result<()> {
    expect(tensor, DType::F32, tensor.dims())
}
