//! A SPADE layer's gamma and beta, once for each distinct neighbourhood of a batch's masks (paper section 3).
//!
//! Both convs that predict them see nothing but the mask. The first is a lookup for each distinct patch, the second one
//! product for each distinct neighbourhood, gamma and beta together. Biases and the normalisation are not folded into the
//! table but applied with it in f32: a bf16 table then rounds what the mask says, not the mean and the variance.

use std::sync::Arc;

use candle_core::{D, DType, Result, Tensor};
use spadework_model::{Architecture, EPSILON, Norm, Prefixed};

use spadework_kernels::device::generator::ModulateArgs;

use super::{
    batch_level::DeviceLevel,
    lookup::Lookup,
    operators::Operators,
    weights::{Target, read},
};
use crate::{EngineError, predictor::Predictor};

/// Neighbourhoods whose hidden vectors are gathered at once: their memory stays bounded, whatever a mask looks like.
const MOST_ROWS: usize = 1 << 15;

/// One SPADE layer.
#[derive(Debug)]
pub(super) struct Spade {
    hidden: Arc<Lookup>,
    second: Tensor,          // (taps · hidden, 2·C)
    bias: Tensor,            // (2, C) f32, gamma's with the 1
    running: Option<Tensor>, // (1, 2, C) f32; none where the image's own statistics normalise
}

/// The predictor that all layers share, where the architecture has one.
pub(super) type SharedPredictor = crate::predictor::SharedPredictor<Lookup>;

/// Reads the first conv, which predictors of all layers of an architecture have alike.
pub(super) fn first_conv(
    architecture: &Architecture,
    target: &Target,
) -> impl FnOnce(&Prefixed<'_>) -> std::result::Result<Lookup, EngineError> {
    |part| Ok(Lookup::read(part, architecture, architecture.hidden, architecture.kernel, target)?)
}

impl Spade {
    /// Reads the layer called `part`; in a shared modulation it takes the next rows of `shared`.
    pub(super) fn read(
        part: &Prefixed<'_>,
        architecture: &Architecture,
        channels: usize,
        shared: Option<&mut SharedPredictor>,
        target: &Target,
    ) -> std::result::Result<Self, EngineError> {
        let first = first_conv(architecture, target);
        let Predictor { hidden, weight, bias } =
            Predictor::read(part, architecture, channels, shared, first)?;
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

    /// Elements in a row of its table, 2·C.
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
        operators
            .modulate(x, &ModulateArgs { ids, table, bias: &self.bias, normalise: &statistics, activate })
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

/// What normalises each image and channel of `x` (N, h, w, C) to mean 0 and variance 1, as (N, 2, C).
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
