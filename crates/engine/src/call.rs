//! A kernel's call as a value: a GPU gets it as it is, tests run it on a processor.

use candle_core::{Error, Result, Tensor};

/// One kernel's run.
pub(crate) struct Call<'a> {
    /// The kernel.
    pub(crate) name: &'static str,
    /// Neighbouring channels that a thread takes at once; see `fused::source`.
    #[cfg_attr(
        not(any(test, feature = "cuda")),
        expect(dead_code, reason = "a step's kernels have one width")
    )]
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
