//! Means over the parts of a batch and over all processes.

use std::collections::BTreeMap;

use candle_core::{Result as TensorResult, Tensor};

use super::step_error::{StepError, StepReport};
use crate::{
    distributed::{DistributedError, Group},
    step::{Gradients, Losses},
};

/// Gradients of the parts so far, added up.
#[derive(Debug, Default)]
pub(super) struct GradientSum {
    parts: usize,
    sum: Gradients,
}

impl GradientSum {
    /// Adds those of one part.
    pub(super) fn add(&mut self, gradients: Gradients) -> TensorResult<()> {
        self.parts += 1;
        if self.sum.is_empty() {
            self.sum = gradients;
            return Ok(());
        }
        for (name, gradient) in gradients {
            let sum = match self.sum.remove(&name) {
                Some(sum) => (sum + gradient)?,
                None => gradient,
            };
            self.sum.insert(name, sum);
        }
        Ok(())
    }

    /// The mean over all parts of all processes.
    pub(super) fn mean(self, group: &Group) -> Result<Gradients, StepError> {
        let count = self.parts * group.world();
        if count == 1 {
            return Ok(self.sum);
        }
        let scale = 1.0 / count as f64;
        let sum = if group.world() == 1 { self.sum } else { sum_over_processes(self.sum, group)? };
        let mean = |(name, sum): (String, Tensor)| Ok((name, sum.affine(scale, 0.0)?));
        Ok(sum.into_iter().map(mean).collect::<TensorResult<_>>()?)
    }
}

/// All gradients travel as one run of numbers, by name.
fn sum_over_processes(gradients: Gradients, group: &Group) -> Result<Gradients, StepError> {
    if gradients.values().any(|gradient| !gradient.device().is_cpu()) {
        return Ok(sum_on_devices(gradients, group)?);
    }
    let mut flat = Vec::with_capacity(gradients.values().map(Tensor::elem_count).sum());
    for gradient in gradients.values() {
        flat.extend(gradient.flatten_all()?.to_vec1::<f32>()?);
    }
    group.sum(&mut flat)?;
    let mut rest = flat.as_slice();
    let mut sums = BTreeMap::new();
    for (name, gradient) in gradients {
        let (own, others) = rest.split_at(gradient.elem_count());
        rest = others;
        sums.insert(name, Tensor::from_slice(own, gradient.shape(), gradient.device())?);
    }
    Ok(sums)
}

/// The same on the processes' devices.
fn sum_on_devices(gradients: Gradients, group: &Group) -> TensorResult<Gradients> {
    let flat = gradients.values().map(Tensor::flatten_all).collect::<TensorResult<Vec<_>>>()?;
    let sum = group.sum_tensor(&Tensor::cat(&flat, 0)?)?;
    let mut start = 0;
    let own = |(name, gradient): (String, Tensor)| {
        let count = gradient.elem_count();
        start += count;
        Ok((name, sum.narrow(0, start - count, count)?.reshape(gradient.shape())?))
    };
    gradients.into_iter().map(own).collect()
}

/// Losses of the parts so far, added up.
#[derive(Debug, Default)]
pub(super) struct LossSum {
    parts: usize,
    sum: StepReport,
}

impl LossSum {
    /// Adds those of one part.
    pub(super) fn add(&mut self, losses: &Losses) {
        self.parts += 1;
        for (name, value) in &losses.0 {
            *self.sum.entry((*name).to_owned()).or_default() += value;
        }
    }

    /// The mean over all parts of all processes.
    pub(super) fn mean(self, group: &Group) -> Result<StepReport, DistributedError> {
        let mut values: Vec<f32> = self.sum.values().copied().collect();
        group.sum(&mut values)?;
        let count = (self.parts * group.world()) as f32;
        Ok(self.sum.into_keys().zip(values).map(|(name, value)| (name, value / count)).collect())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::distributed::as_group;

    #[test]
    fn tensors_that_are_added_up_where_they_lie_get_the_same_sums() {
        as_group(2, |group| {
            let numbers = |seed: u64, shape: &[usize]| {
                let values = spadework_autograd::testing::numbers(shape, seed + group.rank() as u64);
                values.to_dtype(candle_core::DType::F32).unwrap().to_device(&Device::Cpu).unwrap()
            };
            let gradients = || {
                let named =
                    [("a", numbers(1, &[3, 4])), ("b", numbers(5, &[2])), ("c", numbers(9, &[1, 2, 3]))];
                Gradients::from(named.map(|(name, gradient)| (name.to_owned(), gradient)))
            };
            let expected = sum_over_processes(gradients(), &group).unwrap();
            for (name, sum) in sum_on_devices(gradients(), &group).unwrap() {
                let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(sum.dims(), expected[&name].dims());
                assert_eq!(values(&sum), values(&expected[&name]), "{name}");
            }
        });
    }
}
