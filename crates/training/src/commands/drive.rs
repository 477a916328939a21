//! What `fit` and `resume` share: a run to its end, or to the signal that stops it.

use std::{
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Context as _;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use crate::{
    compute,
    data::SampleSource,
    distributed::{Group, RankPlacement, place_from_environment},
    outcome::Mistake,
    run::{Ending, RunConfig, RunFolder, RunStart, Stored, begin_from, build, checkpoints, shown},
};
use spadework_autograd::Backend;

/// How a process that is told twice to stop ends, as shells report an interrupt.
const INTERRUPTED: i32 = 130;

/// What is to be run.
pub(super) struct TrainingJob {
    pub(super) config: RunConfig,
    pub(super) source: Arc<dyn SampleSource>,
    pub(super) place: RankPlacement,
    pub(super) backend: Backend,
    pub(super) patience: std::time::Duration,
    /// How the process ends when it was told to stop before all steps were done.
    pub(super) stopped: u8,
    /// The checkpoint to go on from.
    pub(super) stored: Option<Stored>,
    /// Held by rank 0 alone.
    pub(super) folder: Option<RunFolder>,
}

/// This process's place among the others of its run.
pub(super) fn place() -> anyhow::Result<RankPlacement> {
    place_from_environment(|name| std::env::var(name).ok())
        .map_err(|mistakes| Mistake::error(mistakes.join("\n")))
}

/// What the run is computed on, opened before anything is written.
pub(super) fn open_device(config: &RunConfig, place: &RankPlacement) -> anyhow::Result<Backend> {
    let compute = &config.compute;
    compute::open(compute.device, compute.precision, place, |name| std::env::var(name).ok())
}

/// The newest whole checkpoint of the run in `folder`.
pub(super) fn newest(folder: &Path, config: &RunConfig) -> anyhow::Result<Option<Stored>> {
    let (stored, passed_over) = checkpoints(folder, config.output.keep).newest()?;
    for sentence in passed_over {
        eprintln!("warning: {sentence}; an earlier one is used");
    }
    Ok(stored)
}

/// Runs `job`, whose files are in `folder`.
pub(super) fn drive(job: TrainingJob, folder: &Path) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signals()?;
    let from = job.stored.as_ref().map_or(0, |stored| stored.position.step);
    if from >= job.config.total_steps() {
        println!("all {from} steps of the run are done");
        return Ok(ExitCode::SUCCESS);
    }
    if from > 0 && job.place.rank == 0 {
        eprintln!("going on after step {from} of {}", job.config.total_steps());
    }
    eprintln!("{}", compute::described(&job.backend));
    let group = Arc::new(meet(&job)?);
    let learner = build(&job.config, &job.backend, &group)?;
    if let Some(model) = job.config.warm_start.as_ref().filter(|_| job.stored.is_none()) {
        begin_from(model, &learner.state)?;
    }
    let TrainingJob { config, source, backend, stored, stopped, folder: held, .. } = job;
    let shown = if held.is_some() { shown(&*source)? } else { Vec::new() };
    let start = RunStart { config, learner, backend, source, shown, group, stored, folder: held };
    let mut training = start.training()?;
    let leads = training.group.leads();
    let ending = training.run(&stop);
    let step = training.position.step;
    drop(training); // ends the bar before the last line
    let ending = ending.with_context(|| what_is_safe(folder))?;
    let folder = folder.display();
    match ending {
        Ending::Finished if leads => println!(
            "all {step} steps are done; make a model of them with `spadework-train export {folder} --out MODEL`"
        ),
        Ending::Stopped if leads => println!(
            "stopped after step {step}, which is in a checkpoint; go on with `spadework-train resume {folder}`"
        ),
        _ => {}
    }
    Ok(match ending {
        Ending::Finished => ExitCode::SUCCESS,
        Ending::Stopped => ExitCode::from(stopped),
    })
}

/// The others, and their devices where this process has one.
fn meet(job: &TrainingJob) -> anyhow::Result<Group> {
    let backend = &job.backend;
    let group = Group::meet(&job.place, job.config.fingerprint()?, job.patience)?;
    compute::agree(&group, backend)?;
    #[cfg(feature = "cuda")]
    if !backend.device().is_cpu() {
        let mut group = group;
        group.connect_devices(backend.device())?;
        return Ok(group);
    }
    Ok(group)
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
