//! `spadework-train fit`: a run from its beginning.

mod args;
mod defaults;
mod resolve;

pub use args::FitArgs;

use super::{
    device,
    drive::{Job, drive, place},
};
use crate::run::RunFolder;

/// Begins a run and makes its steps.
///
/// # Errors
/// With every mistake in the settings at once, before any work; later when the run cannot go on.
pub(super) fn run(args: &FitArgs) -> anyhow::Result<()> {
    let place = place()?;
    device::set_threads(args.compute.threads)?;
    let say = |line: &str| {
        if place.rank == 0 {
            eprintln!("{line}");
        }
    };
    let (config, source) = resolve::resolve(args, place.world, say)?;
    let folder = (place.rank == 0).then(|| RunFolder::create(&args.out, &config)).transpose()?;
    let patience = args.compute.peer_timeout.into();
    drive(Job { config, source, place, patience, stored: None, folder }, &args.out)
}
