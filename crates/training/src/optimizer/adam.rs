//! Adam (Kingma and Ba 2015, algorithm 1), with moments that can be stored and read back.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var, bail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::elementwise::{CHUNK, change_by};
use spadework_autograd::Backend;

/// Added to the root of the second moment, as PyTorch does.
const EPSILON: f64 = 1e-8;

/// How much of each moment a step keeps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Betas {
    /// Of the mean of gradients.
    pub first: f64,
    /// Of the mean of squared gradients.
    pub second: f64,
}

/// The moments of one network's parameters.
#[derive(Debug)]
pub struct Adam {
    betas: Betas,
    steps: u64,
    /// By parameter, (2, ...): the mean of gradients, then the mean of squared gradients.
    moments: BTreeMap<String, Tensor>,
    backend: Backend,
}

impl Adam {
    /// Counts `steps` steps as made, also those that were skipped: the corrections of the moments are a function of it.
    pub fn count(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Moments of zero for `parameters`, which are where `backend` computes.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn new(betas: Betas, parameters: &BTreeMap<String, Var>, backend: &Backend) -> Result<Self> {
        let zeros = |(name, parameter): (&String, &Var)| {
            let zero = parameter.zeros_like()?;
            Ok((name.clone(), Tensor::stack(&[&zero, &zero], 0)?))
        };
        let moments = parameters.iter().map(zeros).collect::<Result<_>>()?;
        Ok(Self { betas, steps: 0, moments, backend: backend.clone() })
    }

    /// Changes every parameter by its gradient at the learning rate `lr`.
    ///
    /// # Errors
    /// When a parameter has no gradient, or one of another shape.
    pub fn step(
        &mut self,
        parameters: &BTreeMap<String, Var>,
        gradients: &BTreeMap<String, Tensor>,
        lr: f64,
    ) -> Result<()> {
        self.steps += 1;
        let update = Update::new(self.betas, self.steps, lr);
        for (name, parameter) in parameters {
            let Some(gradient) = gradients.get(name) else { bail!("parameter `{name}` has no gradient") };
            let Some(moments) = self.moments.get_mut(name) else {
                bail!("parameter `{name}` has no moments")
            };
            if gradient.shape() != parameter.shape() {
                bail!("the gradient of `{name}` has shape {:?}, not {:?}", gradient.dims(), parameter.dims())
            }
            update.apply(&self.backend, parameter, moments, &gradient.contiguous()?)?;
        }
        Ok(())
    }

    /// How many steps have been made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The moments by parameter, for a checkpoint.
    pub fn moments(&self) -> &BTreeMap<String, Tensor> {
        &self.moments
    }

    /// Takes the moments that a checkpoint stored after `steps` steps; `take` hands them out by parameter.
    ///
    /// # Errors
    /// When one is missing or of another shape.
    pub fn restore(&mut self, steps: u64, mut take: impl FnMut(&str) -> Result<Tensor>) -> Result<()> {
        for (name, moments) in &mut self.moments {
            let stored = take(name)?;
            if stored.shape() != moments.shape() {
                bail!("the moments of `{name}` have shape {:?}, not {:?}", stored.dims(), moments.dims())
            }
            *moments = stored.to_device(moments.device())?;
        }
        self.steps = steps;
        Ok(())
    }
}

/// One step's numbers: what does not depend on the element is computed once, in f64.
#[derive(Clone, Copy)]
struct Update {
    betas: Betas,
    step_size: f64,
    second_correction: f64,
}

impl Update {
    fn new(betas: Betas, steps: u64, lr: f64) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(steps as f64);
        Self {
            betas,
            step_size: lr / correction(betas.first),
            second_correction: correction(betas.second).sqrt(),
        }
    }

    fn apply(self, backend: &Backend, parameter: &Var, moments: &Tensor, gradient: &Tensor) -> Result<()> {
        if let Backend::Device(operators) = backend {
            let factors = |keep: f64| [keep as f32, (1.0 - keep) as f32];
            let factors = [factors(self.betas.first), factors(self.betas.second)];
            operators.adam_moments(gradient, moments, factors)?;
            let (step, correction) = (self.step_size as f32, self.second_correction as f32);
            return operators.adam_step(moments, parameter.as_tensor(), step, correction);
        }
        change_by("adam_moments", moments, gradient, |moments, gradient| {
            let (first, second) = moments.split_at_mut(gradient.len());
            let chunks = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
            chunks.zip(gradient.par_chunks(CHUNK)).for_each(|((m, v), g)| self.moments_of(m, v, g));
        })?;
        change_by("adam_step", parameter, moments, |parameter, moments| {
            let (first, second) = moments.split_at(parameter.len());
            let chunks = first.par_chunks(CHUNK).zip(second.par_chunks(CHUNK));
            parameter.par_chunks_mut(CHUNK).zip(chunks).for_each(|(p, (m, v))| self.move_by(p, m, v));
        })
    }

    /// m ← β₁·m + (1 − β₁)·g and v ← β₂·v + (1 − β₂)·g².
    fn moments_of(self, first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
        let (keep_m, keep_v) = (self.betas.first as f32, self.betas.second as f32);
        let (take_m, take_v) = ((1.0 - self.betas.first) as f32, (1.0 - self.betas.second) as f32);
        for ((m, v), &g) in first.iter_mut().zip(second).zip(gradient) {
            *m = keep_m * *m + take_m * g;
            *v = keep_v * *v + take_v * (g * g);
        }
    }

    /// p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε).
    fn move_by(self, parameter: &mut [f32], first: &[f32], second: &[f32]) {
        let (step_size, correction) = (self.step_size as f32, self.second_correction as f32);
        for ((p, &m), &v) in parameter.iter_mut().zip(first).zip(second) {
            *p -= step_size * (m / (v.sqrt() / correction + EPSILON as f32));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::Device;
    use spadework_kernels::device::training::TrainingOperators;

    use super::*;
    use crate::optimizer::MovingAverage;

    const PUBLISHED: Betas = Betas { first: 0.0, second: 0.9 };

    fn one_parameter(values: &[f32]) -> BTreeMap<String, Var> {
        BTreeMap::from([("p".to_owned(), Var::new(values, &Device::Cpu).unwrap())])
    }

    fn step(adam: &mut Adam, parameters: &BTreeMap<String, Var>, t: f32) {
        let gradient = Tensor::new(&[0.1 * (t + 1.0), -3.0, 1e-6 * t], &Device::Cpu).unwrap();
        adam.step(parameters, &BTreeMap::from([("p".to_owned(), gradient)]), 0.02).unwrap();
    }

    #[test]
    fn five_steps_are_pytorch_s() {
        // torch.optim.Adam([p], lr=0.02, betas=...) on the same gradients, torch 2.x on a CPU.
        for (betas, expected) in [
            (PUBLISHED, [0.871_573_45, -1.900_000_1, 0.382_607]),
            (Betas { first: 0.9, second: 0.999 }, [0.902_983_4, -1.900_000_1, 0.433_586_45]),
        ] {
            let parameters = one_parameter(&[1.0, -2.0, 0.5]);
            let mut adam = Adam::new(betas, &parameters, &Backend::Cpu).unwrap();
            (0..5).for_each(|t| step(&mut adam, &parameters, t as f32));
            for (found, expected) in parameters["p"].to_vec1::<f32>().unwrap().iter().zip(expected) {
                assert!((found - expected).abs() < 2e-7, "{betas:?}: {found}, PyTorch has {expected}");
            }
        }
    }

    #[test]
    fn a_device_s_step_and_average_are_those_of_a_cpu() {
        let device = Backend::Device(Arc::new(TrainingOperators::emulated(false)));
        let results = [Backend::Cpu, device].map(|backend| {
            let parameters = one_parameter(&[1.0, -2.0, 0.5]);
            let mut adam = Adam::new(Betas { first: 0.5, second: 0.9 }, &parameters, &backend).unwrap();
            let mut average = MovingAverage::new(&parameters, &backend).unwrap();
            for t in 0..3 {
                step(&mut adam, &parameters, t as f32);
                average.update(&parameters, 0.75).unwrap();
            }
            let tensors = [parameters["p"].as_tensor(), &adam.moments()["p"], &average.tensors()["p"]];
            tensors.map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()).concat()
        });
        let close = results[0].iter().zip(&results[1]).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close && results[0].len() == 12, "{results:?}");
    }

    #[test]
    fn restored_moments_continue_as_if_there_had_been_no_stop() {
        let whole = one_parameter(&[1.0, -2.0, 0.5]);
        let mut adam = Adam::new(PUBLISHED, &whole, &Backend::Cpu).unwrap();
        (0..2).for_each(|t| step(&mut adam, &whole, t as f32));
        let stored = (adam.steps(), adam.moments()["p"].copy().unwrap());
        let resumed = one_parameter(&whole["p"].to_vec1::<f32>().unwrap());
        step(&mut adam, &whole, 2.0);

        let mut adam = Adam::new(PUBLISHED, &resumed, &Backend::Cpu).unwrap();
        adam.restore(stored.0, |_| Ok(stored.1.clone())).unwrap();
        step(&mut adam, &resumed, 2.0);
        assert_eq!(resumed["p"].to_vec1::<f32>().unwrap(), whole["p"].to_vec1::<f32>().unwrap());
    }

    #[test]
    fn a_missing_or_misshapen_gradient_is_named() {
        let parameters = one_parameter(&[1.0]);
        let mut adam = Adam::new(PUBLISHED, &parameters, &Backend::Cpu).unwrap();
        let missing = adam.step(&parameters, &BTreeMap::new(), 0.1).unwrap_err();
        assert!(missing.to_string().contains("`p` has no gradient"), "{missing}");
        let two = Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap();
        let misshapen = adam.step(&parameters, &BTreeMap::from([("p".to_owned(), two)]), 0.1).unwrap_err();
        assert!(misshapen.to_string().contains("shape [2], not [1]"), "{misshapen}");
    }
}
