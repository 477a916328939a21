//! What rank 0 writes about a run: metrics as lines and TensorBoard events, checkpoints, previews, alarms, progress.

use std::{
    fs,
    path::PathBuf,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use candle_core::Tensor;
use serde_json::{Map, Value};
use spadework_imaging::encode_png;
use spadework_metrics::TrainingAlarm;

use super::{
    alarms::{Alarm, Alarms},
    events::{EncodedImage, EventFile},
    losses::is_loss,
    metrics_file::{MetricsFile, MetricsLine},
    preview::{PreviewModel, preview},
    progress::RunProgress,
    textfile::Textfile,
};
use crate::{
    data::Sample,
    export::{Averaged, ModelTensors},
    run::{Checkpoints, Learning, Position, RunConfig, RunFolder, StepReport},
    state::TrainingState,
};

/// The files of a run, open for writing.
pub struct Record {
    folder: RunFolder,
    checkpoints: Checkpoints,
    metrics: MetricsFile,
    events: EventFile,
    progress: RunProgress,
    alarms: Alarms,
    textfile: Option<Textfile>,
    /// What previews show.
    shown: Vec<Sample>,
}

impl Record {
    /// Opens the files of a run that goes on at `position`. Previews show `shown`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn open(
        folder: RunFolder,
        config: &RunConfig,
        position: &Position,
        shown: Vec<Sample>,
    ) -> anyhow::Result<Self> {
        let checkpoints = folder.checkpoints(config.output.keep);
        checkpoints.remove_partial()?;
        let metrics = MetricsFile::open_after(&folder.metrics(), position.step)
            .with_context(|| format!("write {}", folder.metrics().display()))?;
        let events = EventFile::create(folder.path(), now())
            .with_context(|| format!("write an event file in {}", folder.path().display()))?;
        let batch = config.optimization.batch as u64;
        let textfile = config.output.metrics_textfile.clone();
        let textfile = textfile.map(|path| Textfile::new(path, &folder.name())).transpose()?;
        let progress = RunProgress::new(position.step * batch, config.total_steps() * batch, Instant::now());
        Ok(Self {
            folder,
            checkpoints,
            metrics,
            events,
            progress,
            alarms: Alarms::default(),
            textfile,
            shown,
        })
    }

    /// Tells of a step, and writes a line of metrics if one is due.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn step(
        &mut self,
        config: &RunConfig,
        position: &mut Position,
        report: &StepReport,
        at: Instant,
    ) -> anyhow::Result<()> {
        let batch = config.optimization.batch as u64;
        self.progress.add(batch, at, || brief(report));
        if let Some(alarm) = self.alarms.step(report) {
            self.raise(alarm, position)?;
        }
        if !position.step.is_multiple_of(config.output.log_every) {
            return Ok(());
        }
        let Some(mut values) = position.window.take() else { return Ok(()) };
        let optimization = &config.optimization;
        let rates = optimization.rates.scaled(optimization.schedule.factor(position.step - 1));
        if let Some(textfile) = &self.textfile {
            textfile.progress(config, position, self.progress.rate(at), rates, &values)?;
        }
        values.push(("lr_G".to_owned(), rates.generator as f32));
        values.push(("lr_D".to_owned(), rates.discriminator as f32));
        if let Some(rate) = self.progress.rate(at) {
            values.push(("pictures_per_second".to_owned(), rate as f32));
        }
        self.events.scalars(now(), position.step, &values).context("write the event file")?;
        let values = values.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        self.line(position, batch, values)
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn checkpoint(
        &mut self,
        position: &Position,
        tensors: &[(String, Tensor)],
    ) -> anyhow::Result<PathBuf> {
        let path = self.checkpoints.write(position, tensors).context(
            "the checkpoint could not be written; the earlier ones are whole, and `resume` goes on from the newest",
        )?;
        if let Some(textfile) = &self.textfile {
            textfile.checkpoint_written(now())?;
        }
        Ok(path)
    }

    /// Makes and writes a preview.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn preview(
        &mut self,
        config: &RunConfig,
        position: &Position,
        state: &TrainingState,
        learning: &Learning,
    ) -> anyhow::Result<()> {
        if self.shown.is_empty() {
            return Ok(());
        }
        let tensors = ModelTensors::of(&Averaged::of(state, learning)?)?;
        let model = PreviewModel {
            architecture: &config.networks.architecture,
            generator: &tensors.generator,
            encoder: tensors.encoder.as_ref(),
            labels: &config.labels,
            seed: config.seed,
            threads: config.compute.threads,
        };
        let made = preview(model, &self.shown).context("make a preview")?;
        let png = encode_png(&made.grid)?;
        let path = self.folder.preview(position.step);
        fs::write(&path, &png).with_context(|| format!("write {}", path.display()))?;
        let image = EncodedImage { width: made.grid.width(), height: made.grid.height(), png: &png };
        self.events.image(now(), position.step, "preview", image).context("write the event file")?;
        let Some(diversity) = made.diversity else { return Ok(()) };
        let values = [("diversity".to_owned(), diversity as f32)];
        self.events.scalars(now(), position.step, &values).context("write the event file")?;
        match self.alarms.diversity(diversity) {
            Some(alarm) => self.raise(alarm, position),
            None => Ok(()),
        }
    }

    /// A step was skipped for a number that is none. Whoever watches the metrics learns of it, even if the run ends.
    pub fn not_finite(&self) {
        let Some(textfile) = &self.textfile else { return };
        if let Err(error) = textfile.last_alarm(TrainingAlarm::NotFinite) {
            // The step's own error is what the run ends with.
            self.progress.line(&format!("warning: {error:#}"));
        }
    }

    /// Says something, beside the progress.
    pub fn say(&self, text: &str) {
        self.progress.line(text);
    }

    fn raise(&mut self, alarm: Alarm, position: &Position) -> anyhow::Result<()> {
        self.progress.line(&format!("warning: step {}: {alarm}", position.step));
        if let Some(textfile) = &self.textfile {
            textfile.alarm(alarm.label());
        }
        let tag = format!("alarm/{}", alarm.label().as_str());
        self.events.scalars(now(), position.step, &[(tag, 1.0)]).context("write the event file")
    }

    fn line(&mut self, position: &Position, batch: u64, values: Map<String, Value>) -> anyhow::Result<()> {
        let (step, samples) = (position.step, position.step * batch);
        let line = MetricsLine { step, samples, seconds: position.seconds, values };
        self.metrics.append(&line).with_context(|| format!("write {}", self.folder.metrics().display()))
    }
}

/// The losses that fit a line.
fn brief(report: &StepReport) -> String {
    let losses = report.iter().filter(|(name, _)| is_loss(name));
    losses.map(|(name, value)| format!("{name} {value:.3}")).collect::<Vec<_>>().join(" ")
}

/// Seconds since 1970, as event files want them.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
