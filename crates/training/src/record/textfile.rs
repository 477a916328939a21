//! The metrics of a run as a file that a Prometheus exporter reads.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use spadework_metrics::{Network, TrainingAlarm, TrainingMetrics, TrainingProgress};

use super::losses::is_loss;
use crate::{
    optimizer::Rates,
    run::{Position, RunConfig},
};

/// The file and what is in it.
pub(super) struct Textfile {
    path: PathBuf,
    metrics: TrainingMetrics,
}

impl Textfile {
    /// A file about the run named `run`, written for the first time with the first line of metrics.
    pub(super) fn new(path: PathBuf, run: &str) -> anyhow::Result<Self> {
        Ok(Self { path, metrics: TrainingMetrics::new(run)? })
    }

    /// The run is at `position`; `values` is what a line of metrics says, `rates` are the last step's.
    pub(super) fn progress(
        &self,
        config: &RunConfig,
        position: &Position,
        rate: Option<f64>,
        rates: Rates,
        values: &[(String, f32)],
    ) -> anyhow::Result<()> {
        let losses: Vec<_> = values.iter().filter(|(name, _)| is_loss(name)).cloned().collect();
        let norm = |network, norm: &str| {
            values.iter().find(|(name, _)| name == norm).map(|(_, value)| (network, *value))
        };
        let norms =
            [norm(Network::Generator, "gradient_norm_G"), norm(Network::Discriminator, "gradient_norm_D")];
        self.metrics.progress(TrainingProgress {
            steps: position.step,
            samples: position.step * config.optimization.batch as u64,
            progress: position.step as f64 / config.total_steps() as f64,
            pictures_per_second: rate.unwrap_or(0.0),
            losses: &losses,
            learning_rates: &[
                (Network::Generator, rates.generator),
                (Network::Discriminator, rates.discriminator),
            ],
            gradient_norms: &norms.into_iter().flatten().collect::<Vec<_>>(),
        });
        self.write()
    }

    /// A checkpoint was written at `seconds` since 1970.
    pub(super) fn checkpoint_written(&self, seconds: f64) -> anyhow::Result<()> {
        self.metrics.checkpoint_written(seconds);
        self.write()
    }

    /// An alarm was raised; the next line of metrics tells of it.
    pub(super) fn alarm(&self, alarm: TrainingAlarm) {
        self.metrics.alarm(alarm);
    }

    /// An alarm was raised after which there is no line any more.
    pub(super) fn last_alarm(&self, alarm: TrainingAlarm) -> anyhow::Result<()> {
        self.metrics.alarm(alarm);
        self.write()
    }

    fn write(&self) -> anyhow::Result<()> {
        let text = self.metrics.render()?;
        replace(&self.path, &text).with_context(|| format!("write {}", self.path.display()))
    }
}

/// A reader sees the old text or the new one, never a half.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, text)?;
    fs::rename(&partial, path)
}
