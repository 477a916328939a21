//! Measures a model before its first request: what a batch of each size takes, on every device.

use std::time::Duration;

use anyhow::anyhow;
use spadework_batching::{CostError, CostModel};
use spadework_engine::EngineError;

use crate::synthesis::ServedModel;

/// About how long the measuring of a model may take on a device.
const BUDGET: Duration = Duration::from_secs(2);

/// The time of batches up to `max_batch`, or as many as can be measured in a few seconds and fit the memory of every
/// device. The slowest device counts.
///
/// # Errors
/// When a batch fails, or one picture does not fit: the model cannot be served.
pub fn measure(model: &ServedModel, devices: usize, max_batch: usize) -> anyhow::Result<CostModel> {
    let jobs = model.sample_jobs(max_batch, 0)?;
    let mut slowest: Option<CostModel> = None;
    let mut too_large: Option<usize> = None;
    for device in 0..devices {
        model.time(device, &jobs[..1])?; // the first run allocates and compiles
        let one = model.time(device, &jobs[..1])?;
        let largest = largest_batch(one, max_batch);
        let time = |size: usize| -> Result<Option<Duration>, Failed> {
            let time = || model.time(device, &jobs[..size]);
            // The first of a size allocates, and what else runs on the machine only ever adds.
            match time().and_then(|first| Ok(first.min(time()?))) {
                Ok(time) => Ok(Some(time)),
                Err(error) if size > 1 && is_out_of_memory(&error) => {
                    too_large = Some(too_large.map_or(size, |least| least.min(size)));
                    Ok(None)
                }
                Err(error) => Err(Failed(error)),
            }
        };
        let cost = CostModel::warm_up(largest, time).map_err(|Failed(error)| error)?;
        if slowest.as_ref().is_none_or(|slowest| slowest.time(1) < cost.time(1)) {
            slowest = Some(cost);
        }
    }
    let mut cost = slowest.ok_or_else(|| anyhow!("there is no device"))?;
    if let Some(size) = too_large {
        cost.lower_limit(size); // any device may bind the next batch
    }
    Ok(cost)
}

/// As many pictures as fit a quarter of the budget, if batching gains nothing: a batch that long is long enough.
fn largest_batch(one: Duration, max_batch: usize) -> usize {
    let fitting = BUDGET.as_secs_f64() / 4.0 / one.as_secs_f64().max(1e-6);
    (fitting as usize).clamp(4.min(max_batch), max_batch)
}

fn is_out_of_memory(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(EngineError::is_out_of_memory)
}

/// Lets the cost model's own error pass beside the engine's.
struct Failed(anyhow::Error);

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl From<CostError> for Failed {
    fn from(error: CostError) -> Self {
        Self(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_model_is_not_measured_for_long() {
        assert_eq!(largest_batch(Duration::from_millis(300), 32), 4);
        assert_eq!(largest_batch(Duration::from_millis(50), 32), 10);
        assert_eq!(largest_batch(Duration::from_micros(300), 32), 32);
        assert_eq!(largest_batch(Duration::from_secs(9), 1), 1);
    }
}
