//! `spadework-train resume`: a run from its last checkpoint on.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    drive::{TrainingJob, drive, newest, open_device, place},
    steer::SteerArgs,
    threads,
};
use crate::{
    compute::{DeviceChoice, Precision},
    outcome::Mistake,
    run::{Change, RunFolder, read_config},
};

/// Go on with a run from its last checkpoint
#[derive(Clone, Debug, Args)]
pub struct ResumeArgs {
    /// The run's folder
    #[arg(value_name = "DIR")]
    pub run: PathBuf,
    /// Threads on a CPU, if not as many as before; 0 is one for each core
    #[arg(long, env = "SPADEWORK_TRAIN_THREADS")]
    pub threads: Option<usize>,
    /// Where to compute, if not where it did before: auto, cpu, cuda or cuda:N
    #[arg(long, env = "SPADEWORK_TRAIN_DEVICE")]
    pub device: Option<DeviceChoice>,
    /// What convs and tables multiply, if not what they did before: auto, f32 or bf16
    #[arg(long, env = "SPADEWORK_TRAIN_PRECISION", value_enum)]
    pub precision: Option<Precision>,
    /// What is changed of the run.
    #[command(flatten)]
    pub steer: SteerArgs,
    /// With several processes: how long to wait for one another
    #[arg(long, env = "SPADEWORK_TRAIN_PEER_TIMEOUT", default_value = "10m")]
    pub peer_timeout: humantime::Duration,
    /// Exit code after a signal to stop; 0 unless whoever starts the job takes that for its end
    #[arg(long, env = "SPADEWORK_TRAIN_STOPPED_EXIT_CODE", value_name = "CODE", default_value_t = 0)]
    pub stopped_exit_code: u8,
}

/// Goes on.
///
/// # Errors
/// When there is no run, or it cannot go on.
pub(super) fn run(args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let place = place()?;
    let (folder, mut config) = if place.rank == 0 {
        let (folder, config) = RunFolder::open(&args.run)?;
        (Some(folder), config)
    } else {
        (None, read_config(&args.run)?)
    };
    config.compute.threads = args.threads.unwrap_or(config.compute.threads);
    config.compute.device = args.device.unwrap_or(config.compute.device);
    config.compute.precision = args.precision.unwrap_or(config.compute.precision);
    threads::set_threads(config.compute.threads)?;
    if let Some(sentence) =
        config.optimization.cannot_be_shared(config.networks.architecture.norm, place.world)
    {
        return Err(Mistake::error(sentence));
    }
    let backend = open_device(&config, &place)?;
    let stored = newest(&args.run, &config)?;
    let done = stored.as_ref().map_or(0, |stored| stored.position.step);
    let settings = args.steer.apply(&mut config, done)?;
    if let (false, Some(folder)) = (settings.is_empty(), &folder) {
        settings.iter().for_each(|setting| eprintln!("changed after step {done}: {setting}"));
        config.changes.push(Change { step: done, settings });
        folder.write_config(&config)?;
    }
    let architecture = &config.networks.architecture;
    let source = config.data.open(architecture, &config.labels, config.seed, |line| eprintln!("{line}"))?;
    let patience = args.peer_timeout.into();
    drive(
        TrainingJob {
            config,
            source,
            place,
            backend,
            patience,
            stopped: args.stopped_exit_code,
            stored,
            folder,
        },
        &args.run,
    )
}
