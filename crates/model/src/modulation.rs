//! One network that predicts gamma and beta of every SPADE layer at once.

use candle_core::{Result, Tensor};

use crate::{
    architecture::Architecture,
    conv::Conv2d,
    parameters::{Parameters, Prefixed},
    resize::resize_nearest,
};

/// conv k×k → hidden, ReLU, conv k×k → Σ 2·C over the layers, at the semantic map's own resolution.
///
/// The output is split layer by layer in the order head to tail, and inside a block `norm_0`, `norm_1`, `norm_s`; each
/// slice is gamma then beta. Its tensors are `modulation.mlp_shared.0.*` and `modulation.mlp_gamma_beta.*`.
#[derive(Clone, Debug)]
pub struct SharedModulation {
    shared: Conv2d,
    slices: Vec<Conv2d>, // one per SPADE layer: hidden → 2·C
}

impl SharedModulation {
    /// Reads the network and cuts its last conv into one slice per layer.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn new(parameters: &dyn Parameters, architecture: &Architecture) -> Result<Self> {
        let Architecture { hidden, kernel, .. } = *architecture;
        let part = Prefixed::root(parameters).part("modulation");
        let widths = layer_widths(architecture);
        let total = 2 * widths.iter().sum::<usize>();
        let joint = part.part("mlp_gamma_beta");
        let weight = joint.get("weight", &[total, hidden, kernel, kernel])?;
        let bias = joint.get("bias", &[total])?;
        let mut start = 0;
        let slices = widths
            .iter()
            .map(|width| {
                let rows = 2 * width;
                let slice = crate::Tensors::from([
                    ("weight".to_owned(), weight.narrow(0, start, rows)?),
                    ("bias".to_owned(), bias.narrow(0, start, rows)?),
                ]);
                start += rows;
                Conv2d::same(&Prefixed::root(&slice), hidden, rows, kernel)
            })
            .collect::<Result<_>>()?;
        let shared = Conv2d::same(&part.part("mlp_shared.0"), architecture.semantic_nc(), hidden, kernel)?;
        Ok(Self { shared, slices })
    }

    /// The hidden map (N, hidden, H, W) that all layers read.
    ///
    /// # Errors
    /// When shapes or types do not agree.
    pub fn hidden(&self, semantics: &Tensor) -> Result<Tensor> {
        self.shared.forward(semantics)?.relu()
    }

    /// Gamma and beta of the `layer`-th SPADE layer, each (N, C, height, width).
    ///
    /// # Errors
    /// When shapes or types do not agree.
    pub fn layer(
        &self,
        hidden: &Tensor,
        layer: usize,
        height: usize,
        width: usize,
    ) -> Result<(Tensor, Tensor)> {
        let both = resize_nearest(&self.slices[layer].forward(hidden)?, height, width)?;
        let channels = both.dim(1)? / 2;
        Ok((both.narrow(1, 0, channels)?, both.narrow(1, channels, channels)?))
    }
}

/// Channels of every SPADE layer, in the order their slices are stored.
pub(crate) fn layer_widths(architecture: &Architecture) -> Vec<usize> {
    architecture
        .stages()
        .iter()
        .flat_map(|stage| {
            let shortcut = stage.learned_shortcut().then_some(stage.input);
            [stage.input, stage.middle()].into_iter().chain(shortcut)
        })
        .collect()
}
