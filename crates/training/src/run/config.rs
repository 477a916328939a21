//! `config.json` of a run: everything that its course depends on, so that `resume` asks for nothing again.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use spadework_checkpoint::LabelConfig;
use spadework_model::Norm;

use crate::record::Every;
use crate::{
    compute::{DeviceChoice, Precision},
    data::DataArgs,
    networks::{Initialisation, Networks},
    objective::Objective,
    optimizer::{Betas, Rates, Schedule},
};

/// The version that is written, and the latest that is read.
pub const RUN_VERSION: u64 = 1;

/// A run's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// [`RUN_VERSION`] of the release that wrote it.
    pub version: u64,
    /// The networks.
    pub networks: Networks,
    /// What their weights are drawn from.
    pub initialisation: Initialisation,
    /// What is minimised.
    pub objective: Objective,
    /// VGG19's weights, for a perceptual loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vgg: Option<PathBuf>,
    /// A folder with features of our own, for the perceptual loss in VGG19's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceptual: Option<PathBuf>,
    /// The labels, for what is exported.
    pub labels: Vec<LabelConfig>,
    /// Where label maps and images come from.
    pub data: DataArgs,
    /// How weights move.
    pub optimization: Optimization,
    /// What all random numbers are a function of.
    pub seed: u64,
    /// Where the settings differ from the published ones of the preset, item by item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs_from_published: Vec<String>,
    /// What was changed on the way, by `resume`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The model directory that the generator and encoder began from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<PathBuf>,
    /// What is written, and how often.
    pub output: Output,
    /// Where it runs; `resume` may change it.
    pub compute: Compute,
}

/// Settings that `resume` has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Steps that were done before.
    pub step: u64,
    /// What was changed, as `generator 0.0001 -> 0.00005`.
    pub settings: Vec<String>,
}

/// How weights move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimization {
    /// Learning rates before the schedule.
    pub rates: Rates,
    /// Adam's.
    pub betas: Betas,
    /// The rates' course.
    pub schedule: Schedule,
    /// Images of a step, over all processes.
    pub batch: usize,
    /// Parts that a process's share of a batch is computed in.
    pub accumulate: usize,
    /// The moving average's decay.
    pub average_decay: f64,
    /// The share of steps, at the end, in which batch norm uses its running statistics.
    pub freeze_statistics: f64,
}

/// What is written, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Steps of a line of metrics.
    pub log_every: u64,
    /// Between two checkpoints.
    pub checkpoint_every: Every,
    /// Between two previews.
    pub preview_every: Every,
    /// Checkpoints that stay.
    pub keep: usize,
    /// Where metrics are written for Prometheus, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_textfile: Option<PathBuf>,
}

/// Where it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    /// The device.
    pub device: DeviceChoice,
    /// What convs and tables multiply there.
    #[serde(default)]
    pub precision: Precision,
    /// Threads on a CPU; 0 is one for each core.
    pub threads: usize,
    /// Threads that read or render samples; 0 is one for each core.
    pub loader_threads: usize,
}

impl RunConfig {
    /// The same number for runs that take the same course: what is written and where it runs do not matter.
    ///
    /// # Errors
    /// When there is no JSON of it, which numbers that are not finite would be a reason for.
    pub fn fingerprint(&self) -> serde_json::Result<u64> {
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(&self.course())?.hash(&mut hasher);
        Ok(hasher.finish())
    }

    /// The settings that the course depends on; the others are the same for all.
    pub fn course(&self) -> Self {
        Self {
            output: Output {
                log_every: 1,
                checkpoint_every: Every::Steps(1),
                preview_every: Every::Steps(1),
                keep: 1,
                metrics_textfile: None,
            },
            compute: Compute {
                device: DeviceChoice::Auto,
                precision: Precision::Auto,
                threads: 0,
                loader_threads: 0,
            },
            changes: Vec::new(),
            ..self.clone()
        }
    }

    /// All steps of the run.
    pub fn total_steps(&self) -> u64 {
        self.optimization.schedule.total_steps()
    }
}

impl Optimization {
    /// Why `world` processes cannot share a run of networks with `norm`, if they cannot.
    pub fn cannot_be_shared(&self, norm: Norm, world: usize) -> Option<String> {
        if self.part(world).is_none() {
            return Some(format!(
                "a batch of {} does not divide evenly among {world} processes and --accumulate {}; change --batch or \
                 start another number of processes",
                self.batch, self.accumulate
            ));
        }
        (world > 1 && norm == Norm::Batch).then(|| {
            "with --norm batch each process would train against statistics of its own; several processes need \
             --norm sync_batch"
                .to_owned()
        })
    }

    /// Whether batch norm uses its running statistics in step `step`, counted from 0.
    pub fn statistics_are_frozen(&self, step: u64) -> bool {
        let total = self.schedule.total_steps() as f64;
        self.freeze_statistics > 0.0 && step as f64 >= total * (1.0 - self.freeze_statistics)
    }

    /// Images that one process computes at a time, if they divide evenly.
    pub fn part(&self, world: usize) -> Option<usize> {
        let parts = world * self.accumulate;
        (parts > 0 && self.batch.is_multiple_of(parts)).then(|| self.batch / parts).filter(|part| *part > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::config;

    #[test]
    fn several_processes_need_an_even_share_and_statistics_in_common() {
        let optimization = Optimization { batch: 4, accumulate: 1, ..config(1).optimization };
        let refused = |norm, world| optimization.cannot_be_shared(norm, world);
        for norm in [Norm::SyncBatch, Norm::Batch, Norm::Instance] {
            assert_eq!(refused(norm, 1), None);
        }
        assert_eq!(refused(Norm::SyncBatch, 2), None);
        assert_eq!(refused(Norm::Instance, 2), None);
        assert!(refused(Norm::Batch, 2).unwrap().contains("--norm sync_batch"));
        assert!(refused(Norm::SyncBatch, 3).unwrap().contains("--batch"));
    }
}
