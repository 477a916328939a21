//! Kernels of the generator's layers: their source, and what each is called with.
//!
//! Feature maps are N H W C, in f32 or bf16; sums are taken in f32 and rounded once.

mod calls;
#[cfg(any(test, feature = "emulated"))]
mod emulated;

use candle_core::DType;

pub use super::call::{Call, Launch};
pub use calls::{ModulateArgs, add, gather, lookup, modulate, to_image};
#[cfg(any(test, feature = "emulated"))]
pub use emulated::EmulatedGenerator;

const SOURCE: &str = include_str!("generator/kernels.cu");

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
