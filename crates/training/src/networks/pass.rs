//! One pass through a network: which tensors take part in the graph, and what happens to its buffers.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, Var};

use crate::state::Variables;
use spadework_autograd::{Backend, Collective, Moments, Span};

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Gradients flow to the parameters; buffers move on.
    Train,
    /// Parameters are constants; buffers move on, as in a training pass without gradients.
    Frozen,
    /// Parameters are constants; running statistics and the stored `u` and `v` are used as they are.
    Evaluate,
    /// Gradients flow to the parameters; running statistics are used as they are, and spectral norm moves on.
    FixedStatistics,
}

/// Momentum of the running statistics.
const MOMENTUM: f64 = 0.1;

/// A pass through one network.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    variables: &'a Variables,
    mode: Mode,
    collective: Option<&'a Arc<dyn Collective>>,
    /// Where the network is computed.
    pub(super) backend: &'a Backend,
}

impl<'a> Pass<'a> {
    /// A pass through the network of `variables`, which are where `backend` computes; `collective` spans the processes
    /// that train together.
    pub fn new(
        variables: &'a Variables,
        mode: Mode,
        collective: Option<&'a Arc<dyn Collective>>,
        backend: &'a Backend,
    ) -> Self {
        Self { variables, mode, collective, backend }
    }

    /// The parameter `name`.
    pub(super) fn parameter(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.tensor(self.variables.parameter(name, shape)?))
    }

    fn tensor(&self, variable: &Var) -> Tensor {
        match self.mode {
            Mode::Train | Mode::FixedStatistics => variable.as_tensor().clone(),
            Mode::Frozen | Mode::Evaluate => variable.as_detached_tensor(),
        }
    }

    /// The weight of the layer `name`, divided by its largest singular value where `spectral` says so. One step of the
    /// power iteration precedes it, except in evaluation.
    pub(super) fn weight(&self, name: &str, shape: &[usize], spectral: bool) -> Result<Tensor> {
        if !spectral {
            return self.parameter(&format!("{name}.weight"), shape);
        }
        let weight = self.variables.parameter(&format!("{name}.weight_orig"), shape)?;
        let u = self.variables.buffer(&format!("{name}.weight_u"), &shape[..1])?;
        let v = self.variables.buffer(&format!("{name}.weight_v"), &[shape[1..].iter().product()])?;
        if self.mode != Mode::Evaluate {
            let (new_u, new_v) = self.backend.power_iteration(weight.as_tensor(), u.as_tensor())?;
            u.set(&new_u)?;
            v.set(&new_v)?;
        }
        self.backend.spectral_weight(&self.tensor(weight), u.as_tensor(), v.as_tensor())
    }

    /// The statistics that batch norms called `names` normalise `x` (N, H, W, C) by: the batch's, which move the running
    /// ones on, or the running ones themselves. Every cell of `x` stands for `repeats` cells.
    pub(super) fn batch_moments(
        &self,
        names: &[String],
        x: &Tensor,
        repeats: usize,
        synchronised: bool,
    ) -> Result<Vec<Arc<Moments>>> {
        let channels = x.dim(3)?;
        let running = |name: &String| {
            let mean = self.variables.buffer(&format!("{name}.running_mean"), &[channels])?;
            let variance = self.variables.buffer(&format!("{name}.running_var"), &[channels])?;
            Result::Ok((mean, variance))
        };
        if matches!(self.mode, Mode::Evaluate | Mode::FixedStatistics) {
            let fixed = |name| {
                let (mean, variance) = running(name)?;
                let fixed =
                    self.backend.fixed_moments(&mean.as_detached_tensor(), &variance.as_detached_tensor());
                fixed.map(Arc::new)
            };
            return names.iter().map(fixed).collect();
        }
        let span = match self.collective {
            Some(collective) if synchronised => Span::Processes(Arc::clone(collective)),
            _ => Span::Batch,
        };
        let moments = Arc::new(self.backend.moments(x, span)?);
        let count = moments.count * repeats as f64;
        for name in names {
            let (mean, variance) = running(name)?;
            let unbiased = count / (count - 1.0).max(1.0);
            if let Some(statistics) = moments.statistics() {
                advance_tensor(mean, &statistics.get(0)?.get(0)?, 1.0)?;
                advance_tensor(variance, &statistics.get(0)?.get(2)?, unbiased)?;
            } else {
                advance(mean, &moments.mean, 1.0)?;
                advance(variance, &moments.variance, unbiased)?;
            }
            if let Some(batches) = self.variables.buffers.get(&format!("{name}.num_batches_tracked")) {
                batches.set(&(batches.as_tensor() + 1.0)?)?;
            }
        }
        Ok(vec![moments; names.len()])
    }
}

/// `running ← 0.9 running + 0.1 factor · observed`.
fn advance(running: &Var, observed: &[f64], factor: f64) -> Result<()> {
    let old = numbers(running)?;
    let new: Vec<f64> = old
        .iter()
        .zip(observed)
        .map(|(old, observed)| (1.0 - MOMENTUM) * old + MOMENTUM * factor * observed)
        .collect();
    running.set(&Tensor::new(new, running.device())?.to_dtype(running.dtype())?)
}

/// The same where both are on a device.
fn advance_tensor(running: &Var, observed: &Tensor, factor: f64) -> Result<()> {
    let old = running.as_detached_tensor().affine(1.0 - MOMENTUM, 0.0)?;
    running.set(&(old + observed.affine(MOMENTUM * factor, 0.0)?)?)
}

fn numbers(var: &Var) -> Result<Vec<f64>> {
    var.as_detached_tensor().to_dtype(DType::F64)?.to_vec1()
}
