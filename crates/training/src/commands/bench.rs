//! `spadework-train bench`: how long a step takes, on networks and a batch from files.

use std::{collections::HashMap, fs, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};
use candle_core::{Device, Tensor};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{
    compute::{self, DeviceArgs},
    distributed::RankPlacement,
    networks::{Initialisation, Networks, initialise},
    objective::Objective,
    outcome::Mistake,
    step::{Batch, Draws, Trainer},
};

/// Times a generator step with a discriminator step behind it, without an optimiser.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// JSON with the run's `networks` and `objective`.
    #[arg(long, value_name = "FILE", env = "SPADEWORK_RUN")]
    run: PathBuf,
    /// Safetensors with `labels` and, as the networks need them, `edges`, `images`, `eps` and planes `noise.N`.
    #[arg(long, value_name = "FILE", env = "SPADEWORK_BATCH")]
    batch: PathBuf,
    /// Steps that are timed, after one that is not.
    #[arg(long, value_name = "COUNT", default_value_t = 5, env = "SPADEWORK_ROUNDS")]
    rounds: usize,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    networks: Networks,
    objective: Objective,
}

/// What is printed, as one line of JSON for each step.
#[derive(Serialize)]
struct Timing {
    generator_ms: f64,
    discriminator_ms: f64,
}

/// Times the steps and prints them.
///
/// # Errors
/// When a file cannot be read, or the batch does not fit the networks.
pub(super) fn run(args: &BenchArgs) -> Result<()> {
    let text = fs::read_to_string(&args.run)
        .map_err(|error| Mistake::error(format!("read {}: {error}", args.run.display())))?;
    let run: Run = serde_json::from_str(&text)
        .map_err(|error| Mistake::error(format!("{}: {error}", args.run.display())))?;
    let tensors = candle_core::safetensors::load(&args.batch, &Device::Cpu)
        .map_err(|error| Mistake::error(format!("read {}: {error}", args.batch.display())))?;
    let backend =
        compute::open(args.device.device, args.device.precision, &RankPlacement::alone(), |_| None)?;
    let (batch, draws) = read_batch(&tensors, backend.device())?;
    let state = initialise(&run.networks, Initialisation::Default, 0, backend.device())?;
    let mut trainer = Trainer::new(run.networks, run.objective, state, None, None, backend)?;
    for round in 0..=args.rounds {
        let timing = step(&mut trainer, &batch, &draws).context("a step")?;
        if round > 0 {
            println!("{}", serde_json::to_string(&timing)?);
        }
    }
    Ok(())
}

fn step(trainer: &mut Trainer, batch: &Batch, draws: &Draws) -> Result<Timing> {
    // A batch of its own, so that its masks are read anew as in training.
    let batch = Batch { labels: batch.labels.copy()?, ..batch.clone() };
    let start = Instant::now();
    trainer.generator_step(&batch, draws)?;
    let middle = Instant::now();
    trainer.discriminator_step(&batch, draws)?;
    let milliseconds = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
    Ok(Timing {
        generator_ms: milliseconds(start, middle),
        discriminator_ms: milliseconds(middle, Instant::now()),
    })
}

/// Images and draws on `device`; masks stay.
fn read_batch(tensors: &HashMap<String, Tensor>, device: &Device) -> Result<(Batch, Draws)> {
    let get = |name: &str| {
        tensors.get(name).cloned().ok_or_else(|| Mistake::error(format!("the batch has no `{name}`")))
    };
    let images = get("pictures")?.to_device(device)?;
    let batch = Batch { labels: get("labels")?, edges: tensors.get("edges").cloned(), images };
    let noise = (0..).map_while(|index| tensors.get(&format!("noise.{index}")));
    let noise = noise.map(|plane| plane.to_device(device)).collect::<candle_core::Result<_>>()?;
    let eps = tensors.get("eps").map(|eps| eps.to_device(device)).transpose()?;
    Ok((batch, Draws { eps, noise }))
}
