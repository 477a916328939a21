//! Kernels of our own for a GPU: their source, and what each is called with. Nothing here needs a GPU: a call is a value,
//! which `cuda` gives to a device and the tests to a processor.

mod calls;
#[cfg(test)]
mod on_cpu;

use candle_core::DType;

pub(crate) use calls::{add, gather, lookup, modulate, picture};

const SOURCE: &str = include_str!("fused/kernels.cu");

/// Every kernel's name.
#[cfg(feature = "cuda")]
pub(crate) const NAMES: [&str; 5] = ["lookup", "gather", "modulate", "add", "picture"];

/// How many channels kernels of this type take at once: 1, or as many as make 16 bytes.
pub(crate) fn widths(dtype: DType) -> [usize; 2] {
    [1, 16 / dtype.size_in_bytes()]
}

/// The kernels' source for one type and number of channels at once.
pub(crate) fn source(dtype: DType, at_once: usize) -> String {
    let bf16 = if dtype == DType::BF16 { "#define BF16\n" } else { "" };
    format!("{bf16}#define VEC {at_once}\n{SOURCE}")
}
