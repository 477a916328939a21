//! Kernels of our own for a GPU: their source, and what each is called with. Nothing here needs a GPU: a call is a value,
//! which `cuda` gives to a device and the tests to a processor.

mod calls;
#[cfg(test)]
mod on_cpu;

use candle_core::{DType, Tensor};

pub(crate) use calls::{add, gather, lookup, modulate, picture};

const SOURCE: &str = include_str!("fused/kernels.cu");

/// Every kernel's name.
pub(crate) const NAMES: [&str; 5] = ["lookup", "gather", "modulate", "add", "picture"];

/// One kernel's run.
pub(crate) struct Call<'a> {
    /// The kernel.
    pub(crate) name: &'static str,
    /// Neighbouring channels that a thread takes at once; see [`source`].
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
    /// `size_t`.
    Size(u64),
    /// A pointer to a contiguous tensor's first number.
    Memory(&'a Tensor),
    /// A pointer to nothing.
    Null,
}

/// How many channels kernels of this type take at once: 1, or as many as make 16 bytes.
pub(crate) fn widths(dtype: DType) -> [usize; 2] {
    [1, 16 / dtype.size_in_bytes()]
}

/// The kernels' source for one type and number of channels at once.
pub(crate) fn source(dtype: DType, at_once: usize) -> String {
    let bf16 = if dtype == DType::BF16 { "#define BF16\n" } else { "" };
    format!("{bf16}#define VEC {at_once}\n{SOURCE}")
}
