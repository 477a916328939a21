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
    /// The mean over groups of this many pictures of a group's sum: what [`Self::Sum`] is for a batch of that size.
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
    /// Feature matching: L1 between the discriminator's features of the fake and the real picture.
    pub feature_matching: f64,
    /// The same between features of VGG19, which the user brings.
    pub perceptual: f64,
    /// KL divergence of the encoder's posterior from the standard normal.
    pub kl: f64,
    /// How the KL terms of a batch are summed up.
    pub kl_reduction: KlReduction,
    /// L1 between the pictures after 8×8 average pooling.
    pub low_resolution: f64,
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
        }
    }
}
