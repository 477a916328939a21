//! A run's configuration to a run in memory.

use std::sync::Arc;

use anyhow::Context as _;
use candle_core::Device;

use super::{
    checkpoint::{Position, Stored},
    config::RunConfig,
    feed::{Feed, Sharing},
    folder::RunFolder,
    learning::{Learner, Learning},
    memory, snapshot,
    training::Training,
};
use crate::{
    data::{Sample, SampleSource},
    distributed::Group,
    outcome::Mistake,
    record::Record,
};
use spadework_autograd::Backend;

/// Samples that previews show.
const SHOWN: u64 = 6;
/// Positions that no run reaches, for samples that are only shown.
const UNSEEN: u64 = 1 << 40;

/// A process's part in a run.
pub struct RunStart<L> {
    /// What the run depends on.
    pub config: RunConfig,
    /// The networks at their beginning.
    pub learner: L,
    /// Where they compute.
    pub backend: Backend,
    /// The pairs.
    pub source: Arc<dyn SampleSource>,
    /// What previews show.
    pub shown: Vec<Sample>,
    /// The processes that share the work.
    pub group: Arc<Group>,
    /// The checkpoint to go on from.
    pub stored: Option<Stored>,
    /// The folder to write to; rank 0 alone has one.
    pub folder: Option<RunFolder>,
}

impl<L: Learner> RunStart<L> {
    /// Puts everything into place.
    ///
    /// # Errors
    /// When the checkpoint does not fit the networks, memory is short, or a file cannot be used.
    pub fn training(self) -> anyhow::Result<Training<L>> {
        let optimization = self.config.optimization;
        let world = self.group.world();
        let part = optimization.part(world).context("the batch does not divide among the processes")?;
        let sharing = Sharing { batch: optimization.batch, world, rank: self.group.rank(), part };
        if self.group.leads() {
            tell_memory(&self.config, &self.learner, part, self.backend.device());
        }
        let mut learning = Learning::new(optimization.betas, self.learner.state(), &self.backend)?;
        let position = match self.stored {
            Some(mut stored) => {
                snapshot::restore(&mut stored, self.learner.state(), &mut learning)?;
                stored.position
            }
            None => Position::default(),
        };
        same_step(&self.group, position.step)?;
        let threads = match self.config.compute.loader_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let record = match self.folder {
            Some(folder) => Some(Record::open(folder, &self.config, &position, self.shown)?),
            None => None,
        };
        let architecture = &self.config.networks.architecture;
        let feed = Feed::start(
            self.source,
            architecture,
            sharing,
            self.config.seed,
            self.backend.device().clone(),
            position.step,
            threads,
        )?;
        let Self { config, learner, group, .. } = self;
        Ok(Training { config, learner, learning, position, feed, group, record, skipped: 0 })
    }
}

/// Processes that found different checkpoints would silently train different weights.
fn same_step(group: &Group, step: u64) -> anyhow::Result<()> {
    let mut first = [step];
    group.broadcast(&mut first)?;
    if first[0] == step {
        return Ok(());
    }
    Err(Mistake::error(format!(
        "rank 0 goes on from step {} and rank {} from step {step}; all processes must see the same folder",
        first[0],
        group.rank()
    )))
}

/// Samples for previews, which the run does not see.
///
/// # Errors
/// When one cannot be made.
pub fn shown(source: &dyn SampleSource) -> anyhow::Result<Vec<Sample>> {
    (0..SHOWN).map(|index| source.sample(UNSEEN + index)).collect()
}

fn tell_memory(config: &RunConfig, learner: &impl Learner, part: usize, device: &Device) {
    let estimate = memory::estimate(&config.networks, learner.state(), part);
    eprintln!(
        "about {} of memory: {} for weights and their moments, {} for the gradients of {part} images at a time",
        memory::readable(estimate.total()),
        memory::readable(estimate.weights),
        memory::readable(estimate.activations),
    );
    let available = memory::available().filter(|_| device.is_cpu());
    if let Some(available) = available.filter(|available| *available < estimate.total()) {
        eprintln!(
            "warning: {} are free; give --accumulate to compute a batch in more parts, or a smaller --batch",
            memory::readable(available)
        );
    }
}
