//! `spadework-train features`: the network that the perceptual loss of our own compares images with.

use std::{collections::HashMap, fs, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;

use crate::{
    data::Landscapes,
    features::{BATCH, FeatureTraining, SEED},
    networks::FEATURES_FILE,
    outcome::Mistake,
};

/// Train a network on what the renderer knows of its landscapes, for `fit --perceptual`
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// Folder to write to; made if it does not exist
    #[arg(long, env = "SPADEWORK_TRAIN_OUT", value_name = "DIR")]
    out: PathBuf,
    /// Steps of four landscapes
    #[arg(long, env = "SPADEWORK_TRAIN_STEPS", value_name = "N", default_value_t = 1500)]
    steps: u64,
    /// Decides the landscapes and the first weights
    #[arg(long, env = "SPADEWORK_TRAIN_SEED", default_value_t = 0)]
    seed: u64,
    /// Share of the landscapes that are made from a painted label map
    #[arg(long, env = "SPADEWORK_TRAIN_PAINTED", default_value_t = 0.45)]
    painted: f64,
}

/// Trains and writes it.
///
/// # Errors
/// When a setting makes no sense or a file cannot be written.
pub(super) fn run(args: &FeaturesArgs) -> anyhow::Result<()> {
    if !(0.0..=1.0).contains(&args.painted) || args.steps == 0 {
        return Err(Mistake::error("--painted is a share from 0 to 1, and --steps at least 1"));
    }
    fs::create_dir_all(&args.out).with_context(|| format!("make the folder {}", args.out.display()))?;
    let source =
        Landscapes { seed: args.seed ^ SEED, epoch: args.steps * BATCH as u64, painted: args.painted };
    let mut training = FeatureTraining::new(source, args.seed).context("build the network")?;
    let bar = ProgressBar::new(args.steps);
    let (mut sum, mut count) = (0.0, 0u64);
    for step in 0..args.steps {
        sum += f64::from(training.step(step, args.steps).context("train the features")?);
        count += 1;
        bar.inc(1);
        if (step + 1) % 100 == 0 || step + 1 == args.steps {
            bar.suspend(|| eprintln!("step {}: loss {:.4}", step + 1, sum / count as f64));
            (sum, count) = (0.0, 0);
        }
    }
    bar.finish_and_clear();
    let path = args.out.join(FEATURES_FILE);
    let tensors: HashMap<_, _> = training.tensors()?.into_iter().collect();
    candle_core::safetensors::save(&tensors, &path).with_context(|| format!("write {}", path.display()))?;
    println!(
        "{} holds the features; train with `spadework-train fit --perceptual {}`",
        path.display(),
        args.out.display()
    );
    Ok(())
}
