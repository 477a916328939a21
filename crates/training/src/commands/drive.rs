//! What `fit` and `resume` share: a run to its end, or to the signal that stops it.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Context as _;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use super::device;
use crate::{
    data::Source,
    distributed::{Group, Place, place_from_environment},
    outcome::Mistake,
    run::{Ending, RunConfig, RunFolder, Start, Stored, begin_from, build, checkpoints, shown},
};

/// How a process that is told twice to stop ends, as shells report an interrupt.
const INTERRUPTED: i32 = 130;

/// What is to be run.
pub(super) struct Job {
    pub(super) config: RunConfig,
    pub(super) source: Arc<dyn Source>,
    pub(super) place: Place,
    pub(super) patience: std::time::Duration,
    /// The checkpoint to go on from.
    pub(super) stored: Option<Stored>,
    /// Held by rank 0 alone.
    pub(super) folder: Option<RunFolder>,
}

/// This process's place among the others of its run.
pub(super) fn place() -> anyhow::Result<Place> {
    place_from_environment(|name| std::env::var(name).ok())
        .map_err(|mistakes| Mistake::error(mistakes.join("\n")))
}

/// Runs `job`, whose files are in `folder`.
pub(super) fn drive(job: Job, folder: &Path) -> anyhow::Result<()> {
    let stop = stop_on_signals()?;
    let device = device::open(&job.config.compute.device, job.place.local_rank)?;
    let group = Arc::new(Group::meet(&job.place, job.config.fingerprint()?, job.patience)?);
    let learner = build(&job.config, &device, &group)?;
    if let Some(model) = job.config.warm_start.as_ref().filter(|_| job.stored.is_none()) {
        begin_from(model, &learner.state)?;
    }
    let Job { config, source, stored, folder: held, .. } = job;
    let shown = if held.is_some() { shown(&*source)? } else { Vec::new() };
    let start = Start { config, learner, device, source, shown, group, stored, folder: held };
    let mut training = start.training()?;
    let leads = training.group.leads();
    let ending = training.run(&stop);
    let step = training.position.step;
    drop(training); // ends the bar before the last line
    match ending {
        Ok(_) if !leads => Ok(()),
        Ok(Ending::Finished) => {
            println!(
                "all {step} steps are done; make a model of them with `spadework-train export {} --out MODEL`",
                folder.display()
            );
            Ok(())
        }
        Ok(Ending::Stopped) => {
            println!(
                "stopped after step {step}, which is in a checkpoint; go on with `spadework-train resume {}`",
                folder.display()
            );
            Ok(())
        }
        Err(error) => Err(error).with_context(|| what_is_safe(folder)),
    }
}

/// The first signal asks for a checkpoint and an end, the second ends at once.
fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .context("listen for signals")?;
    }
    Ok(stop)
}

/// What a run that failed has left.
fn what_is_safe(folder: &Path) -> String {
    let newest = checkpoints(folder, 1).list().ok().and_then(|all| all.into_iter().next_back());
    match newest {
        Some((step, _)) => format!(
            "the run has ended; its last checkpoint, after step {step}, is whole, and `spadework-train resume {}` goes on from there",
            folder.display()
        ),
        None => "the run has ended before its first checkpoint".to_owned(),
    }
}
