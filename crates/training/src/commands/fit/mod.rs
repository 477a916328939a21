//! `spadework-train fit`: a run from its beginning.

mod args;
mod defaults;
mod differences;
mod resolve;

pub use args::FitArgs;

use std::{path::Path, process::ExitCode};

use super::{
    drive::{TrainingJob, drive, newest, open_device, place},
    threads,
};
use crate::{
    outcome::Mistake,
    run::{Difference, RunConfig, RunFolder, Stored, differences, is_run, read_config},
};

/// Begins a run and makes its steps.
///
/// # Errors
/// With every mistake in the settings at once, before any work; later when the run cannot go on.
pub(super) fn run(args: &FitArgs) -> anyhow::Result<ExitCode> {
    let place = place()?;
    threads::set_threads(args.compute.threads)?;
    let say = |line: &str| {
        if place.rank == 0 {
            eprintln!("{line}");
        }
    };
    let (mut config, source) = resolve::resolve(args, place.world, say)?;
    let backend = open_device(&config, &place)?;
    let earlier = args.resume && is_run(&args.out);
    let stored = if earlier { earlier_checkpoint(&args.out, &mut config)? } else { None };
    let folder = match (place.rank, earlier) {
        (0, true) => Some(RunFolder::open(&args.out)?.0),
        (0, false) => Some(RunFolder::create(&args.out, &config)?),
        _ => None,
    };
    let (patience, stopped) = (args.compute.peer_timeout.into(), args.compute.stopped_exit_code);
    drive(TrainingJob { config, source, place, backend, patience, stopped, stored, folder }, &args.out)
}

/// The newest checkpoint of the run in `out`, which must be the run that the settings describe. Where `resume` has changed
/// that run, its own settings are gone on with.
fn earlier_checkpoint(out: &Path, config: &mut RunConfig) -> anyhow::Result<Option<Stored>> {
    let stored = read_config(out)?;
    if !stored.changes.is_empty() {
        let (output, compute) = (config.output.clone(), config.compute.clone());
        *config = RunConfig { output, compute, ..stored };
    } else if stored.fingerprint()? != config.fingerprint()? {
        let told = |Difference { name, one, other }| format!("{name} ({one} there, {other} here)");
        let others: Vec<String> =
            differences(&stored.course(), &config.course()).into_iter().map(told).collect();
        return Err(Mistake::error(format!(
            "{} holds a run with another course: {}; give what is in its config.json, or another --out",
            out.display(),
            others.join(", ")
        )));
    }
    newest(out, config)
}
