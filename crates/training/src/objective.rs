//! What training minimises: the losses and their weights.

use serde::{Deserialize, Serialize};

/// The form of the adversarial loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GanMode {
    /// Hinge (paper section 3.1): `relu(1 − real) + relu(1 + fake)`, and `−fake` for the generator.
    #[default]
    Hinge,
    /// Squared distance to 1 for real and 0 for fake.
    LeastSquares,
    /// Binary cross entropy with logits.
    Original,
    /// `−real + fake`, and `−fake` for the generator.
    Wasserstein,
}

/// How the KL terms of a batch become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlReduction {
    /// Summed over the local batch, as published: the weight grows with the batch.
    Sum,
    /// The mean over groups of this many images of a group's sum: what [`Self::Sum`] is for a batch of that size.
    Groups(usize),
}

impl Default for KlReduction {
    fn default() -> Self {
        Self::Groups(4)
    }
}

/// The weights of the losses. A weight of 0 leaves its loss out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objective {
    /// The form of the adversarial loss; its weight is 1.
    pub gan: GanMode,
    /// Feature matching: L1 between the discriminator's features of the fake and the real image.
    pub feature_matching: f64,
    /// The same between features of a frozen network: VGG19, or one that has learnt from renders.
    pub perceptual: f64,
    /// KL divergence of the encoder's posterior from the standard normal.
    pub kl: f64,
    /// How the KL terms of a batch are summed up.
    pub kl_reduction: KlReduction,
    /// L1 between the images after 8×8 average pooling.
    pub low_resolution: f64,
    /// What that weight has become at the end of the run; it goes there evenly. Without it, it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_resolution_end: Option<f64>,
}

impl Objective {
    /// The published weights, with VGG19's perceptual loss.
    pub fn published() -> Self {
        Self { perceptual: 10.0, ..Self::default() }
    }

    /// The weight of the low-resolution L1 when a share of the run is done, from 0 to 1.
    pub fn low_resolution_at(&self, progress: f64) -> f64 {
        let end = self.low_resolution_end.unwrap_or(self.low_resolution);
        self.low_resolution + (end - self.low_resolution) * progress.clamp(0.0, 1.0)
    }
}

impl Default for Objective {
    /// The published weights, without the perceptual loss, which needs weights that are not here.
    fn default() -> Self {
        Self {
            gan: GanMode::Hinge,
            feature_matching: 10.0,
            perceptual: 0.0,
            kl: 0.05,
            kl_reduction: KlReduction::default(),
            low_resolution: 0.0,
            low_resolution_end: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_resolution_weight_goes_evenly_to_its_end() {
        let steady = Objective { low_resolution: 5.0, ..Objective::default() };
        assert_eq!(steady.low_resolution_at(0.7), 5.0);
        let falling = Objective { low_resolution_end: Some(1.0), ..steady };
        assert_eq!([0.0, 0.5, 1.0, 1.5].map(|at| falling.low_resolution_at(at)), [5.0, 3.0, 1.0, 1.0]);
    }
}
