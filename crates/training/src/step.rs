//! What one step takes and gives.

use std::collections::BTreeMap;

use candle_core::Tensor;

/// Some pairs of label map and picture.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Class ids, u8 (N, H, W), at the architecture's mask size.
    pub labels: Tensor,
    /// 1 on instance boundaries, else 0, u8 (N, H, W); for an architecture with an edge plane.
    pub edges: Option<Tensor>,
    /// Pictures, f32 (N, 3, H, W) in [-1, 1].
    pub pictures: Tensor,
}

/// Everything random in a step.
#[derive(Clone, Debug, Default)]
pub struct Draws {
    /// Standard normal (N, z_dim): the latent itself, or what the encoder's posterior is sampled with.
    pub eps: Option<Tensor>,
    /// One standard normal plane (N, 1, h, w) for each residual block, for an architecture with noise.
    pub noise: Vec<Tensor>,
}

/// Losses by their published names (`GAN`, `GAN_Feat`, `VGG`, `KLD`, `D_Fake`, `D_real`), weighted as they are summed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses(pub BTreeMap<&'static str, f32>);

/// Gradients by the parameters' names.
pub type Gradients = BTreeMap<String, Tensor>;
