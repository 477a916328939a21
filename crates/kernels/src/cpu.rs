//! Kernels for processors: matrix products, the memory they read, and the instruction sets they exist for.

mod buffer;
mod gemm;
mod instruction_set;
mod isa;
mod self_check;

pub use buffer::Buffer;
pub use gemm::{
    Bf16, Bf16Pair, Element, OUTER_ROWS, Outer, PackedMatrix, Panel, Rows, StoreMode, add_outer,
    bf16_remainder, elements, multiply, multiply_panel, prefetch,
};
pub use instruction_set::InstructionSet;
pub use isa::{BLOCK, Isa, NARROW, mul_add};
pub use self_check::Instructions;
