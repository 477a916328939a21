//! The losses (paper section 3.1 and appendix A), before their weights.

mod adversarial;
mod features;
mod style;
#[cfg(test)]
mod tests;

pub use adversarial::{discriminator_loss, generator_loss};
pub use features::{feature_matching, low_resolution, perceptual};
pub use style::kl_divergence;
