//! A SPADE layer's gamma and beta, once for each distinct neighbourhood of a batch's masks (paper section 3).
//!
//! Both convs that predict them see nothing but the mask. The first is a lookup for each distinct patch, the second one
//! product for each distinct neighbourhood, gamma and beta together. Biases and the normalisation are not folded into the
//! table but applied with it in f32: a bf16 table then rounds what the mask says, not the mean and the variance.

use std::sync::Arc;

use candle_core::{D, DType, Result, Tensor};
use spadework_model::{Architecture, EPSILON, Modulation as Sharing, Norm, Prefixed, Stage};

use super::{
    level::DeviceLevel,
    lookup::Lookup,
    operators::{Modulation, Operators},
    tensors::{Target, read},
};

/// Neighbourhoods whose hidden vectors are gathered at once: their memory stays bounded, whatever a mask looks like.
const MOST_ROWS: usize = 1 << 15;

/// One SPADE layer.
#[derive(Debug)]
pub(super) struct Spade {
    hidden: Arc<Lookup>,
    second: Tensor,          // (taps · hidden, 2·C)
    bias: Tensor,            // (2, C) f32, gamma's with the 1
    running: Option<Tensor>, // (1, 2, C) f32; none where the picture's own statistics normalise
}

/// The network that predicts every layer's gamma and beta, for an architecture that shares it.
pub(super) struct SharedPredictor {
    hidden: Arc<Lookup>,
    weight: Tensor, // (Σ 2·C, hidden, k, k)
    bias: Tensor,
    next: usize, // first row of the next layer
}

impl SharedPredictor {
    /// Reads `modulation.*`; layers then take their rows in network order.
    pub(super) fn read(
        root: &Prefixed<'_>,
        architecture: &Architecture,
        target: &Target,
    ) -> Result<Option<Self>> {
        if architecture.modulation == Sharing::PerLayer {
            return Ok(None);
        }
        let Architecture { hidden, kernel, .. } = *architecture;
        let part = root.part("modulation");
        let width =
            |stage: &Stage| stage.input * (1 + usize::from(stage.learned_shortcut())) + stage.middle();
        let rows = 2 * architecture.stages().iter().map(width).sum::<usize>();
        let (first, joint) = (part.part("mlp_shared.0"), part.part("mlp_gamma_beta"));
        Ok(Some(Self {
            hidden: Arc::new(Lookup::read(&first, architecture, hidden, kernel, target)?),
            weight: read(&joint, "weight", &[rows, hidden, kernel, kernel])?,
            bias: read(&joint, "bias", &[rows])?,
            next: 0,
        }))
    }

    fn layer(&mut self, channels: usize) -> Result<Predictor> {
        let start = self.next;
        self.next += 2 * channels;
        Ok(Predictor {
            hidden: Arc::clone(&self.hidden),
            weight: self.weight.narrow(0, start, 2 * channels)?,
            bias: self.bias.narrow(0, start, 2 * channels)?,
        })
    }
}

/// One layer's two convs as they are stored, gamma's rows before beta's.
struct Predictor {
    hidden: Arc<Lookup>,
    weight: Tensor, // (2·C, hidden, k, k)
    bias: Tensor,   // (2·C)
}

impl Predictor {
    fn read(
        part: &Prefixed<'_>,
        architecture: &Architecture,
        channels: usize,
        target: &Target,
    ) -> Result<Self> {
        let Architecture { hidden, kernel, .. } = *architecture;
        let shape = [channels, hidden, kernel, kernel];
        let (first, gamma, beta) = (part.part("mlp_shared.0"), part.part("mlp_gamma"), part.part("mlp_beta"));
        let both = |name: &str, shape: &[usize]| {
            Tensor::cat(&[read(&gamma, name, shape)?, read(&beta, name, shape)?], 0)
        };
        Ok(Self {
            hidden: Arc::new(Lookup::read(&first, architecture, hidden, kernel, target)?),
            weight: both("weight", &shape)?,
            bias: both("bias", &[channels])?,
        })
    }
}

impl Spade {
    /// Reads the layer called `part`; in a shared modulation it takes the next rows of `shared`.
    pub(super) fn read(
        part: &Prefixed<'_>,
        architecture: &Architecture,
        channels: usize,
        shared: Option<&mut SharedPredictor>,
        target: &Target,
    ) -> Result<Self> {
        let Predictor { hidden, weight, bias } = match shared {
            Some(shared) => shared.layer(channels)?,
            None => Predictor::read(part, architecture, channels, target)?,
        };
        let second = weight.flatten_from(2)?.permute((2, 1, 0))?.contiguous()?; // (taps, hidden, 2·C)
        let bias = bias.reshape((2, channels))?;
        let one = Tensor::cat(&[bias.narrow(0, 0, 1)?.ones_like()?, bias.narrow(0, 1, 1)?.zeros_like()?], 0)?;
        let running = match architecture.norm {
            Norm::Instance => None,
            Norm::Batch | Norm::SyncBatch => Some(target.exact(&running(part, channels)?)?),
        };
        Ok(Self {
            hidden,
            second: target.rounded(&second.flatten_to(1)?)?,
            bias: target.exact(&(bias + one)?)?,
            running,
        })
    }

    /// Gamma and beta of every neighbourhood without their bias, (rows, 2·C), in `memory` (rows or more, 2·C).
    pub(super) fn table(
        &self,
        operators: &dyn Operators,
        level: &DeviceLevel,
        memory: &Tensor,
    ) -> Result<()> {
        let hidden = operators.lookup(&level.patches, &self.hidden, true)?;
        let rows = level.rows()?;
        for start in (0..rows).step_by(MOST_ROWS) {
            let count = MOST_ROWS.min(rows - start);
            let gathered = operators.gather(&hidden, &level.taps.narrow(0, start, count)?)?;
            operators.product(&gathered, &self.second, &memory.narrow(0, start, count)?)?;
        }
        Ok(())
    }

    /// A table with exactly the level's rows.
    pub(super) fn table_of_its_own(&self, operators: &dyn Operators, level: &DeviceLevel) -> Result<Tensor> {
        let memory = operators.blank(&[level.rows()?, self.columns()], self.second.dtype())?;
        self.table(operators, level, &memory)?;
        Ok(memory)
    }

    /// Numbers in a row of its table, 2·C.
    pub(super) fn columns(&self) -> usize {
        self.second.dims()[1]
    }

    /// Normalises `x` (N, h, w, C) and modulates it by `table`, with a leaky ReLU where `activate` says so. `ids` (N, H, W)
    /// are the rows of every cell.
    pub(super) fn run(
        &self,
        operators: &dyn Operators,
        ids: &Tensor,
        table: &Tensor,
        x: &Tensor,
        activate: bool,
    ) -> Result<Tensor> {
        let statistics = match &self.running {
            Some(running) => running.clone(),
            None => statistics(x)?,
        };
        operators.modulate(x, &Modulation { ids, table, bias: &self.bias, normalise: &statistics, activate })
    }
}

/// Running statistics as what normalises, (1, 2, C), computed in f64.
fn running(part: &Prefixed<'_>, channels: usize) -> Result<Tensor> {
    let part = part.part("param_free_norm");
    let mean = read(&part, "running_mean", &[channels])?.to_dtype(DType::F64)?;
    let variance = read(&part, "running_var", &[channels])?.to_dtype(DType::F64)?;
    let scale = (variance + EPSILON)?.sqrt()?.recip()?;
    let shift = (mean * &scale)?.neg()?;
    Tensor::stack(&[scale, shift], 0)?.unsqueeze(0)
}

/// What normalises each picture and channel of `x` (N, h, w, C) to mean 0 and variance 1, as (N, 2, C).
///
/// Nearest up-sampling repeats every cell equally often, so the statistics of an up-sampled map are these as well.
fn statistics(x: &Tensor) -> Result<Tensor> {
    let x = x.to_dtype(DType::F32)?;
    let mean = |x: &Tensor| x.mean_keepdim(2)?.mean_keepdim(1); // by rows first: short sums round less
    let center = mean(&x)?; // (N, 1, 1, C)
    let variance = mean(&x.broadcast_sub(&center)?.sqr()?)?;
    let scale = (variance + EPSILON)?.sqrt()?.recip()?;
    let shift = (center * &scale)?.neg()?;
    Tensor::cat(&[scale, shift], 1)?.squeeze(D::Minus2)
}
