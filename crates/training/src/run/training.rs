//! The loop: steps, and what is written between them. All decisions are elsewhere; this is the order of things.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::Context as _;
use candle_core::{Device, Tensor};

use super::{
    checkpoint::Position,
    config::RunConfig,
    feed::Feed,
    learning::{Learner, Learning, StepSettings},
    snapshot,
    step_error::{NotFinite, StepError, StepReport},
};
use crate::{
    distributed::Group,
    record::{Record, Timer},
};

/// A run in memory.
pub struct Training<L> {
    /// Everything it depends on.
    pub config: RunConfig,
    /// The networks.
    pub learner: L,
    /// The optimisers and averages.
    pub learning: Learning,
    /// Where it is.
    pub position: Position,
    /// The batches from there on.
    pub feed: Feed,
    /// The processes that share the work.
    pub group: Arc<Group>,
    /// What is written; rank 0 alone has one.
    pub record: Option<Record>,
    /// Steps in a row that were skipped, since a loss or gradient was no number.
    pub skipped: u64,
}

/// Steps in a row that are skipped. One more is no odd sample but a run that has gone wrong.
const MOST_SKIPPED: u64 = 5;

/// How a run's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done.
    Finished,
    /// It was asked to stop, and has written a checkpoint.
    Stopped,
}

impl<L: Learner> Training<L> {
    /// Makes steps until all are done or `stop` is set, which every process learns of. The last thing is a checkpoint.
    ///
    /// # Errors
    /// When a step fails, a sample cannot be read, or a file cannot be written. The last checkpoint is then as it was.
    pub fn run(&mut self, stop: &AtomicBool) -> anyhow::Result<Ending> {
        let total = self.config.total_steps();
        let now = Instant::now();
        let mut checkpoint = Timer::new(self.config.output.checkpoint_every, now);
        let mut preview = Timer::new(self.config.output.preview_every, now);
        while self.position.step < total {
            let report = self.step()?;
            let (step, now) = (self.position.step, Instant::now());
            self.tell(&report, now)?;
            let stopping = self.anyone_stops(stop)?;
            let last = stopping || step == total;
            if checkpoint.is_due(step, now) || last {
                self.write_checkpoint()?;
            }
            if preview.is_due(step, now) || step == total {
                self.show()?;
            }
            if stopping && step < total {
                return Ok(Ending::Stopped);
            }
        }
        Ok(Ending::Finished)
    }

    fn step(&mut self) -> anyhow::Result<StepReport> {
        let (step, started) = (self.position.step, Instant::now());
        let optimization = self.config.optimization;
        let parts =
            self.feed.next_step().with_context(|| format!("take the samples of step {}", step + 1))?;
        self.learner.freeze_statistics(optimization.statistics_are_frozen(step));
        self.learner.advance(step as f64 / self.config.total_steps().max(1) as f64);
        let pace = StepSettings {
            step,
            rates: optimization.rates.scaled(optimization.schedule.factor(step)),
            average_decay: optimization.average_decay,
        };
        let buffers = snapshot::copied_buffers(self.learner.state())?;
        let report = match self.learning.step(&mut self.learner, &parts, pace, &self.group) {
            Err(StepError::NotFinite(error)) => {
                // What a forward pass has moved may hold the same numbers.
                snapshot::restore_buffers(self.learner.state(), &buffers)?;
                self.skip(error)?;
                StepReport::new()
            }
            report => {
                self.skipped = 0;
                report.with_context(|| format!("step {}", step + 1))?
            }
        };
        self.position.step += 1;
        self.position.seconds += started.elapsed().as_secs_f64();
        Ok(report)
    }

    /// Goes over a step whose numbers are none, which all processes find alike. After too many in a row the run ends, with a
    /// checkpoint behind them, so that one that goes on does not meet the same samples and draws again.
    fn skip(&mut self, error: NotFinite) -> anyhow::Result<()> {
        self.skipped += 1;
        let step = self.position.step + 1;
        self.learning.count(step);
        if let Some(record) = &self.record {
            record.not_finite();
            record.say(&format!("warning: step {step} is skipped: {} is not finite", error.what));
        }
        if self.skipped <= MOST_SKIPPED {
            return Ok(());
        }
        self.position.step += 1;
        self.write_checkpoint()?;
        Err(error).with_context(|| {
            format!(
                "step {step}: {} steps in a row were skipped; go on with `resume --lr` and a lower rate",
                self.skipped
            )
        })
    }

    fn tell(&mut self, report: &StepReport, now: Instant) -> anyhow::Result<()> {
        self.position.window.add(report.iter().map(|(name, value)| (name.as_str(), *value)));
        let Some(record) = &mut self.record else { return Ok(()) };
        record.step(&self.config, &mut self.position, report, now)
    }

    /// One process that is told to stop stops all of them, after the same step.
    fn anyone_stops(&self, stop: &AtomicBool) -> anyhow::Result<bool> {
        let mut asked = [u32::from(stop.load(Ordering::Relaxed))];
        self.group.sum(&mut asked)?;
        Ok(asked[0] > 0)
    }

    fn write_checkpoint(&mut self) -> anyhow::Result<()> {
        let Some(record) = &mut self.record else { return Ok(()) };
        let on_cpu = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_device(&Device::Cpu)?));
        let tensors = snapshot::tensors(self.learner.state(), &self.learning).into_iter().map(on_cpu);
        let tensors = tensors.collect::<candle_core::Result<Vec<_>>>()?;
        record.checkpoint(&self.position, &tensors).map(drop)
    }

    fn show(&mut self) -> anyhow::Result<()> {
        let Some(record) = &mut self.record else { return Ok(()) };
        record.preview(&self.config, &self.position, self.learner.state(), &self.learning)
    }
}
