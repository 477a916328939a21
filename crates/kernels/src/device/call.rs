//! A kernel's call as a value: a device gets it as it is, tests run it on the processor.

use candle_core::{DType, Error, Result, Tensor, bail};

/// One kernel's run, whose arguments have been checked: only this crate's functions make one.
pub struct Call<'a> {
    /// The kernel.
    pub(crate) name: &'static str,
    /// Neighbouring channels that a thread takes at once; see `generator::source`.
    pub(crate) at_once: usize,
    /// Threads that have something to do.
    pub(crate) threads: usize,
    /// In the kernel's order. It writes the last memory of them and reads the others.
    pub(crate) arguments: Vec<Argument<'a>>,
}

/// A kernel's argument.
#[derive(Clone, Copy)]
pub(crate) enum Argument<'a> {
    /// `unsigned`.
    Number(u32),
    /// `float`.
    Float(f32),
    /// `size_t`.
    Size(u64),
    /// A pointer to a contiguous tensor's first number.
    Memory(&'a Tensor),
    /// A pointer to nothing.
    Null,
}

/// A kernel counts in 32 bits.
pub(crate) fn number(n: usize) -> Result<Argument<'static>> {
    u32::try_from(n).map(Argument::Number).map_err(Error::wrap)
}

/// A tensor, or nothing.
pub(crate) fn memory(tensor: Option<&Tensor>) -> Argument<'_> {
    tensor.map_or(Argument::Null, Argument::Memory)
}

/// Refuses a tensor of another type or shape, or one that does not lie in one piece.
pub(crate) fn expect(tensor: &Tensor, dtype: DType, shape: &[usize]) -> Result<()> {
    if tensor.dtype() != dtype || tensor.dims() != shape || !tensor.is_contiguous() {
        bail!("expected {dtype:?} {shape:?} in one piece, there is {:?} {:?}", tensor.dtype(), tensor.shape())
    }
    Ok(())
}

/// What runs calls: a device, or a processor that stands in for one.
pub trait Launch {
    /// Runs the call, or gives it to the device's stream. The call writes its last tensor.
    ///
    /// # Errors
    /// When there is no such kernel here, or the device refuses.
    fn launch(&self, call: &Call<'_>) -> Result<()>;
}
