//! The spatially-adaptive normalisation layer (paper section 3).

use candle_core::{Result, Tensor};

use crate::{
    architecture::{Architecture, Modulation},
    conv::Conv2d,
    norm::{BatchStatistics, ParameterFreeNorm},
    parameters::Prefixed,
    resize::resize_nearest,
};

/// `normalized · (1 + gamma) + beta`, with gamma and beta predicted from the semantic map at every pixel.
#[derive(Clone, Debug)]
pub struct Spade {
    norm: ParameterFreeNorm,
    predictor: Option<Predictor>, // none when the modulation is shared
}

/// The layer's own two-conv network.
#[derive(Clone, Debug)]
struct Predictor {
    shared: Conv2d,
    gamma: Conv2d,
    beta: Conv2d,
}

impl Spade {
    /// Reads `param_free_norm.*` and, unless the modulation is shared, `mlp_shared.0`, `mlp_gamma`, `mlp_beta`.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn new(parameters: &Prefixed<'_>, architecture: &Architecture, channels: usize) -> Result<Self> {
        let norm = ParameterFreeNorm::new(&parameters.part("param_free_norm"), architecture.norm, channels)?;
        let predictor = match architecture.modulation {
            Modulation::Shared => None,
            Modulation::PerLayer => {
                let Architecture { hidden, kernel, .. } = *architecture;
                Some(Predictor {
                    shared: Conv2d::same(
                        &parameters.part("mlp_shared.0"),
                        architecture.semantic_nc(),
                        hidden,
                        kernel,
                    )?,
                    gamma: Conv2d::same(&parameters.part("mlp_gamma"), hidden, channels, kernel)?,
                    beta: Conv2d::same(&parameters.part("mlp_beta"), hidden, channels, kernel)?,
                })
            }
        };
        Ok(Self { norm, predictor })
    }

    /// Modulates `x` (N, C, H, W) by the semantic map (N, semantic_nc, any, any).
    ///
    /// `shared` holds this layer's gamma and beta, each (N, C, H, W), when one network predicts them for all layers.
    ///
    /// # Errors
    /// When shapes or types do not agree.
    pub fn forward(
        &self,
        x: &Tensor,
        semantics: &Tensor,
        shared: Option<(Tensor, Tensor)>,
        training: Option<&dyn BatchStatistics>,
    ) -> Result<Tensor> {
        let normalized = self.norm.forward(x, training)?;
        let (gamma, beta) = match (&self.predictor, shared) {
            (Some(predictor), _) => {
                let (_, _, h, w) = x.dims4()?;
                predictor.forward(&resize_nearest(semantics, h, w)?)?
            }
            (None, Some(shared)) => shared,
            (None, None) => candle_core::bail!("a SPADE layer without a predictor needs shared modulation"),
        };
        normalized.mul(&(gamma + 1.0)?)?.add(&beta)
    }
}

impl Predictor {
    /// Gamma and beta, each (N, C, H, W), from the semantic map at the layer's resolution.
    fn forward(&self, semantics: &Tensor) -> Result<(Tensor, Tensor)> {
        let hidden = self.shared.forward(semantics)?.relu()?; // (N, hidden, H, W)
        Ok((self.gamma.forward(&hidden)?, self.beta.forward(&hidden)?))
    }
}
