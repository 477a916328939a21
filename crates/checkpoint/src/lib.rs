//! Files to a verified model and back.
//!
//! A model directory holds `config.json`, `generator.safetensors`, perhaps `encoder.safetensors`, and the digests of
//! these in `SHA256SUMS`; it is also a Hugging Face repository. [`read_model`] and [`write_model`] are its two ends, [`import`] makes one from a published
//! PyTorch checkpoint, and [`Store`] watches over several. A [`Model`] that exists has every tensor its architecture
//! asks for, in the right shape, and no other.

mod config;
mod directory;
mod error;
mod expected;
mod file_kind;
mod file_tensors;
mod import;
mod layout;
mod memory;
mod partial;
mod store;
mod weights;

pub use config::{CONFIG_VERSION, LabelConfig, ModelConfig, StylePreset};
pub use directory::{Model, is_model_directory, read_model, write_model};
pub use error::{CheckpointError, TensorMismatch};
pub use expected::{expected_encoder, expected_generator};
pub use file_tensors::{FileTensor, list_tensors, read_tensors};
pub use import::{ImportRequest, Imported, Preset, TrainingOptions, TrainingOptionsError, import};
pub use layout::{CONFIG, DIGESTS, ENCODER, GENERATOR};
pub use store::{Embedded, Entry, Store};
pub use weights::WeightType;
