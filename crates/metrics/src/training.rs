//! The metrics of a training run.

use prometheus::{Error, Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

use crate::{Network, TrainingAlarm};

/// All metrics of one training run, prefix `spadework_training_`, each with the run's name as its label `run`. They are
/// written to a file: a run has no server.
pub struct TrainingMetrics {
    registry: Registry,
    steps: IntCounter,
    samples: IntCounter,
    progress: Gauge,
    pictures_per_second: Gauge,
    loss: GaugeVec,
    learning_rate: GaugeVec,
    gradient_norm: GaugeVec,
    checkpoint: Gauge,
    alarms: IntCounterVec,
}

/// What a run tells of itself with each line of metrics.
#[derive(Clone, Copy, Debug)]
pub struct TrainingProgress<'a> {
    /// Steps since the beginning of the run.
    pub steps: u64,
    /// Samples since then.
    pub samples: u64,
    /// The share of all steps that is done.
    pub progress: f64,
    /// Samples a second of this process.
    pub pictures_per_second: f64,
    /// Mean losses since the last line, by name.
    pub losses: &'a [(String, f32)],
    /// Learning rates of the last step.
    pub learning_rates: &'a [(Network, f64)],
    /// Mean norms of the gradients since the last line.
    pub gradient_norms: &'a [(Network, f32)],
}

impl TrainingMetrics {
    /// Registers everything for the run named `run`.
    ///
    /// # Errors
    /// When a name is registered twice, which the names below exclude.
    pub fn new(run: &str) -> Result<Self, Error> {
        let opts = |name: &str, help: &str| {
            Opts::new(name, help).namespace("spadework_training").const_label("run", run)
        };
        let metrics = Self {
            registry: Registry::new(),
            steps: IntCounter::with_opts(opts(
                "steps_total",
                "Steps since the run began, earlier processes included.",
            ))?,
            samples: IntCounter::with_opts(opts("samples_total", "Samples since the run began."))?,
            progress: Gauge::with_opts(opts("progress_ratio", "The share of all steps that is done."))?,
            pictures_per_second: Gauge::with_opts(opts(
                "pictures_per_second",
                "Samples a second of this process.",
            ))?,
            loss: GaugeVec::new(
                opts("loss", "Mean losses over the last steps, by their published names."),
                &["loss"],
            )?,
            learning_rate: GaugeVec::new(
                opts("learning_rate", "The learning rate of the last step."),
                &["network"],
            )?,
            gradient_norm: GaugeVec::new(
                opts("gradient_norm", "Mean norms of the gradients over the last steps."),
                &["network"],
            )?,
            checkpoint: Gauge::with_opts(opts(
                "checkpoint_timestamp_seconds",
                "When the last checkpoint was written, seconds since 1970; 0 before the first.",
            ))?,
            alarms: IntCounterVec::new(
                opts("alarms_total", "What looked wrong in this process of the run."),
                &["alarm"],
            )?,
        };
        let collectors: [Box<dyn prometheus::core::Collector>; 9] = [
            Box::new(metrics.steps.clone()),
            Box::new(metrics.samples.clone()),
            Box::new(metrics.progress.clone()),
            Box::new(metrics.pictures_per_second.clone()),
            Box::new(metrics.loss.clone()),
            Box::new(metrics.learning_rate.clone()),
            Box::new(metrics.gradient_norm.clone()),
            Box::new(metrics.checkpoint.clone()),
            Box::new(metrics.alarms.clone()),
        ];
        collectors.into_iter().try_for_each(|collector| metrics.registry.register(collector))?;
        TrainingAlarm::ALL
            .iter()
            .for_each(|alarm| metrics.alarms.with_label_values(&[alarm.as_str()]).inc_by(0));
        Ok(metrics)
    }

    /// The run is this far.
    pub fn progress(&self, progress: TrainingProgress<'_>) {
        self.steps.inc_by(progress.steps.saturating_sub(self.steps.get()));
        self.samples.inc_by(progress.samples.saturating_sub(self.samples.get()));
        self.progress.set(progress.progress);
        self.pictures_per_second.set(progress.pictures_per_second);
        for (name, value) in progress.losses {
            self.loss.with_label_values(&[name]).set(f64::from(*value));
        }
        for (network, rate) in progress.learning_rates {
            self.learning_rate.with_label_values(&[network.as_str()]).set(*rate);
        }
        for (network, norm) in progress.gradient_norms {
            self.gradient_norm.with_label_values(&[network.as_str()]).set(f64::from(*norm));
        }
    }

    /// A checkpoint was written at `seconds` since 1970.
    pub fn checkpoint_written(&self, seconds: f64) {
        self.checkpoint.set(seconds);
    }

    /// An alarm was raised.
    pub fn alarm(&self, alarm: TrainingAlarm) {
        self.alarms.with_label_values(&[alarm.as_str()]).inc();
    }

    /// Everything in the Prometheus text format.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn render(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_counts_from_where_it_was() {
        let metrics = TrainingMetrics::new("mine").unwrap();
        let losses = [("GAN_Feat".to_owned(), 2.5)];
        let at = |steps| TrainingProgress {
            steps,
            samples: 4 * steps,
            progress: 0.25,
            pictures_per_second: 3.0,
            losses: &losses,
            learning_rates: &[(Network::Generator, 0.000_1)],
            gradient_norms: &[(Network::Discriminator, 0.5)],
        };
        metrics.progress(at(100));
        metrics.progress(at(120));
        let text = metrics.render().unwrap();
        for line in [
            "spadework_training_steps_total{run=\"mine\"} 120",
            "spadework_training_samples_total{run=\"mine\"} 480",
            "spadework_training_progress_ratio{run=\"mine\"} 0.25",
            "spadework_training_loss{loss=\"GAN_Feat\",run=\"mine\"} 2.5",
            "spadework_training_learning_rate{network=\"generator\",run=\"mine\"} 0.0001",
            "spadework_training_gradient_norm{network=\"discriminator\",run=\"mine\"} 0.5",
            "spadework_training_alarms_total{alarm=\"not_finite\",run=\"mine\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
