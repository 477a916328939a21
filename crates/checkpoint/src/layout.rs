//! The names of a model directory's files.

/// The configuration's file name.
pub const CONFIG: &str = "config.json";
/// The generator's file name.
pub const GENERATOR: &str = "generator.safetensors";
/// The encoder's file name.
pub const ENCODER: &str = "encoder.safetensors";
/// The file name of the digests, in the form of `sha256sum`: what a copy is verified by on its way through a store.
pub const DIGESTS: &str = "SHA256SUMS";
