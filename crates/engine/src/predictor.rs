//! The two convs that predict a SPADE layer's gamma and beta (paper section 3), as they are stored.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use spadework_model::{Architecture, Modulation, Prefixed, Stage};

use crate::EngineError;

/// One layer's convs. `H` is an engine's form of the first one, which sees nothing but the mask.
pub(crate) struct Predictor<H> {
    /// The first conv.
    pub(crate) hidden: Arc<H>,
    /// The second conv, (2·C, hidden, k, k) f32, gamma's rows before beta's.
    pub(crate) weight: Tensor,
    /// Its bias, (2·C) f32.
    pub(crate) bias: Tensor,
}

/// The convs of all layers, for an architecture that shares them.
pub(crate) struct SharedPredictor<H> {
    hidden: Arc<H>,
    weight: Tensor, // (Σ 2·C, hidden, k, k)
    bias: Tensor,
    next: usize, // first row of the next layer
}

impl<H> SharedPredictor<H> {
    /// Reads `modulation.*`; layers then take their rows in network order.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub(crate) fn read(
        root: &Prefixed<'_>,
        architecture: &Architecture,
        hidden: impl FnOnce(&Prefixed<'_>) -> Result<H, EngineError>,
    ) -> Result<Option<Self>, EngineError> {
        if architecture.modulation == Modulation::PerLayer {
            return Ok(None);
        }
        let part = root.part("modulation");
        let width =
            |stage: &Stage| stage.input * (1 + usize::from(stage.learned_shortcut())) + stage.middle();
        let rows = 2 * architecture.stages().iter().map(width).sum::<usize>();
        let joint = part.part("mlp_gamma_beta");
        let Architecture { hidden: width, kernel, .. } = *architecture;
        Ok(Some(Self {
            hidden: Arc::new(hidden(&part.part("mlp_shared.0"))?),
            weight: read(&joint, "weight", &[rows, width, kernel, kernel])?,
            bias: read(&joint, "bias", &[rows])?,
            next: 0,
        }))
    }

    fn layer(&mut self, channels: usize) -> Result<Predictor<H>, EngineError> {
        let start = self.next;
        self.next += 2 * channels;
        Ok(Predictor {
            hidden: Arc::clone(&self.hidden),
            weight: self.weight.narrow(0, start, 2 * channels)?,
            bias: self.bias.narrow(0, start, 2 * channels)?,
        })
    }
}

impl<H> Predictor<H> {
    /// Reads the convs of the layer called `part`; in a shared modulation it takes the next rows of `shared`.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub(crate) fn read(
        part: &Prefixed<'_>,
        architecture: &Architecture,
        channels: usize,
        shared: Option<&mut SharedPredictor<H>>,
        hidden: impl FnOnce(&Prefixed<'_>) -> Result<H, EngineError>,
    ) -> Result<Self, EngineError> {
        if let Some(shared) = shared {
            return shared.layer(channels);
        }
        let Architecture { hidden: width, kernel, .. } = *architecture;
        let (gamma, beta) = (part.part("mlp_gamma"), part.part("mlp_beta"));
        let both = |name: &str, shape: &[usize]| {
            Tensor::cat(&[read(&gamma, name, shape)?, read(&beta, name, shape)?], 0)
        };
        Ok(Self {
            hidden: Arc::new(hidden(&part.part("mlp_shared.0"))?),
            weight: both("weight", &[channels, width, kernel, kernel])?,
            bias: both("bias", &[channels])?,
        })
    }
}

fn read(part: &Prefixed<'_>, name: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
    part.get(name, shape)?.to_dtype(DType::F32)
}
