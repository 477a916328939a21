//! The moving average of the generator's weights (EMA): what is shown, measured and exported.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var, bail};
use rayon::prelude::*;

use super::elementwise::{CHUNK, change_by};
use spadework_autograd::Backend;

/// The share that step `step`, counted from 0, keeps of the average: it rises towards `decay`, so that the first
/// weights are soon forgotten.
pub fn decay_at(step: u64, decay: f64) -> f64 {
    decay.min((1 + step) as f64 / (10 + step) as f64)
}

/// An average beside the parameters of one network.
#[derive(Debug)]
pub struct MovingAverage {
    average: BTreeMap<String, Tensor>,
    backend: Backend,
}

impl MovingAverage {
    /// Begins at `parameters`, which are where `backend` computes.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(parameters: &BTreeMap<String, Var>, backend: &Backend) -> Result<Self> {
        let copy = |(name, parameter): (&String, &Var)| Ok((name.clone(), parameter.copy()?.detach()));
        let average = parameters.iter().map(copy).collect::<Result<_>>()?;
        Ok(Self { average, backend: backend.clone() })
    }

    /// average ← decay·average + (1 − decay)·parameter.
    ///
    /// # Errors
    /// When the parameters are not those it began with.
    pub fn update(&mut self, parameters: &BTreeMap<String, Var>, decay: f64) -> Result<()> {
        for (name, average) in &mut self.average {
            let Some(parameter) = parameters.get(name) else { bail!("parameter `{name}` is gone") };
            let take = (1.0 - decay) as f32;
            if let Backend::Device(operators) = &self.backend {
                operators.move_average(parameter, average, take)?;
                continue;
            }
            change_by("moving_average", average, parameter, |average, parameter| {
                average.par_chunks_mut(CHUNK).zip(parameter.par_chunks(CHUNK)).for_each(
                    |(average, parameter)| {
                        average.iter_mut().zip(parameter).for_each(|(a, &p)| *a += take * (p - *a));
                    },
                );
            })?;
        }
        Ok(())
    }

    /// The average by parameter.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.average
    }

    /// Takes the average that a checkpoint stored; `take` hands it out by parameter.
    ///
    /// # Errors
    /// When one is missing or of another shape.
    pub fn restore(&mut self, mut take: impl FnMut(&str) -> Result<Tensor>) -> Result<()> {
        for (name, average) in &mut self.average {
            let stored = take(name)?;
            if stored.shape() != average.shape() {
                bail!("the average of `{name}` has shape {:?}, not {:?}", stored.dims(), average.dims())
            }
            *average = stored.to_device(average.device())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_average_forgets_its_beginning_soon_and_then_slowly() {
        assert_eq!(decay_at(0, 0.999), 0.1);
        assert_eq!(decay_at(90, 0.999), 0.91);
        assert_eq!(decay_at(1_000_000, 0.999), 0.999);
    }

    #[test]
    fn an_update_moves_it_by_its_share_and_leaves_the_parameters() {
        let parameters = BTreeMap::from([("p".to_owned(), Var::new(&[1f32, 2.0], &Device::Cpu).unwrap())]);
        let mut average = MovingAverage::new(&parameters, &Backend::Cpu).unwrap();
        parameters["p"].set(&Tensor::new(&[3f32, -2.0], &Device::Cpu).unwrap()).unwrap();
        average.update(&parameters, 0.75).unwrap();
        assert_eq!(average.tensors()["p"].to_vec1::<f32>().unwrap(), [1.5, 1.0]);
        assert_eq!(parameters["p"].to_vec1::<f32>().unwrap(), [3.0, -2.0]);
    }
}
