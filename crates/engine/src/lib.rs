//! The SPADE generator, compiled for speed.
//!
//! `spadework-model` says what is right; this crate is a second writing of the same function and is held to it by
//! tests. A [`Planner`] turns a mask into a [`Plan`] on any thread; an [`Engine`] belongs to one device's thread and
//! turns planned masks into images. Neither does I/O, holds a clock or draws random numbers.

mod cache;
mod cpu;
mod devices;
mod engine;
mod error;
mod expected_input;
#[cfg(any(test, feature = "cuda"))]
mod gpu;
mod in_flight;
mod input;
pub mod plan;
mod predictor;
mod profile;
mod reference;
mod settings;
#[cfg(test)]
mod testing;

pub use cache::{CacheUse, Cached};
pub use devices::devices;
pub use engine::Engine;
pub use error::{EngineError, is_out_of_memory};
pub use in_flight::{InFlight, Submitted};
pub use input::{Input, Posterior};
pub use plan::{Plan, Planner};
pub use profile::{Phase, ProfileSink};
pub use settings::{DEFAULT_CACHE_BYTES, Device, Precision, Settings};
pub use spadework_kernels::{
    cpu::InstructionSet,
    device::{DeviceInfo, Event},
};
