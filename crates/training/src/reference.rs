//! A training step that somebody else computed, and how far ours is from it.
//!
//! A folder holds `options.json`, the options of the published code, and `step.safetensors`: the tensors `before.*`, the
//! batch (`label`, `instance`, `image`), `noise` (the eps of both passes), and what came out: `loss_g.*`, `grad_g.*`,
//! `loss_d.*`, `grad_d.*` and the buffers `after.*`. Names go on with the network, `G`, `E` or `D`, and the tensor.

mod deviation;
mod options;
mod step;

#[cfg(test)]
pub(crate) use deviation::norm;
pub use deviation::{Deviation, DeviationKind};
pub use options::Options;
pub use step::ReferenceStep;
