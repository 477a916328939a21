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
    run::{RunConfig, RunFolder, Stored, is_run, read_config},
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
    let (config, source) = resolve::resolve(args, place.world, say)?;
    let backend = open_device(&config, &place)?;
    let earlier = args.resume && is_run(&args.out);
    let stored = if earlier { earlier_checkpoint(&args.out, &config)? } else { None };
    let folder = match (place.rank, earlier) {
        (0, true) => Some(RunFolder::open(&args.out)?.0),
        (0, false) => Some(RunFolder::create(&args.out, &config)?),
        _ => None,
    };
    let (patience, stopped) = (args.compute.peer_timeout.into(), args.compute.stopped_exit_code);
    drive(TrainingJob { config, source, place, backend, patience, stopped, stored, folder }, &args.out)
}

/// The newest checkpoint of the run in `out`, which must be the run that the settings describe.
fn earlier_checkpoint(out: &Path, config: &RunConfig) -> anyhow::Result<Option<Stored>> {
    if read_config(out)?.fingerprint()? != config.fingerprint()? {
        return Err(Mistake::error(format!(
            "{} holds a run with other settings; give those that are in its config.json, or another --out",
            out.display()
        )));
    }
    newest(out, config)
}
