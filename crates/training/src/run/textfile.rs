//! The metrics of a run as a file that a Prometheus exporter reads.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use spadework_metrics::{TrainingAlarm, TrainingMetrics, TrainingProgress};

use super::{checkpoint::Position, config::RunConfig};

/// The file and what is in it.
pub(super) struct Textfile {
    path: PathBuf,
    metrics: TrainingMetrics,
}

impl Textfile {
    /// A file that is written for the first time with the first line of metrics.
    pub(super) fn new(path: PathBuf) -> anyhow::Result<Self> {
        Ok(Self { path, metrics: TrainingMetrics::new()? })
    }

    /// The run is at `position`.
    pub(super) fn progress(
        &self,
        config: &RunConfig,
        position: &Position,
        rate: Option<f64>,
        losses: &[(String, f32)],
    ) -> anyhow::Result<()> {
        self.metrics.progress(TrainingProgress {
            steps: position.step,
            samples: position.step * config.optimization.batch as u64,
            progress: position.step as f64 / config.total_steps() as f64,
            pictures_per_second: rate.unwrap_or(0.0),
            losses,
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
