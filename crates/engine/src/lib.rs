//! The SPADE generator, compiled for speed.
//!
//! `spadework-model` says what is right; this crate is a second writing of the same function and is held to it by
//! tests. A [`Planner`] turns a mask into a [`Plan`] on any thread; an [`Engine`] belongs to one device's thread and
//! turns planned masks into pictures. Neither does I/O, holds a clock or draws random numbers.

#[cfg(any(test, feature = "twin"))]
mod as_c;
mod buffer;
mod cache;
#[cfg_attr(
    not(any(test, feature = "cuda", feature = "twin")),
    expect(dead_code, reason = "this build has nothing that runs a call")
)]
mod call;
mod cpu;
#[cfg(feature = "cuda")]
#[expect(unsafe_code, reason = "CUDA's libraries, behind functions that check their tensors")]
mod cuda;
mod devices;
mod engine;
mod error;
#[cfg(any(test, feature = "cuda"))]
mod fused;
#[expect(unsafe_code, reason = "vector kernels, behind a function that checks its bounds")]
mod gemm;
mod input;
mod instructions;
mod isa;
pub mod kernels;
#[cfg(test)]
mod made_up;
mod part;
mod pending;
mod plain;
mod plan;
#[expect(unsafe_code, reason = "the C library's settings, before any thread starts")]
mod process;
mod settings;
mod slices;
#[cfg(any(test, feature = "cuda"))]
mod slots;
#[cfg(any(test, feature = "cuda"))]
mod tables;
#[cfg_attr(
    not(any(test, feature = "cuda", feature = "twin")),
    expect(dead_code, reason = "this build has no device to compute on")
)]
pub mod training;

pub use cache::{CacheUse, Cached};
pub use devices::{DeviceInfo, devices};
pub use engine::Engine;
pub use error::{EngineError, is_out_of_memory};
pub use input::{Input, Posterior};
pub use instructions::InstructionSet;
pub use part::{Part, Watch};
pub use pending::{Begun, End, Pending};
pub use plan::{Plan, Planner};
pub use process::prepare_for_training;
pub use settings::{DEFAULT_CACHE_BYTES, Device, Precision, Settings};
