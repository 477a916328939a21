//! `spadework-train export`: a run's averaged weights as a model directory that the server reads.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use candle_core::Device;
use clap::Args;
use spadework_checkpoint::{CONFIG_VERSION, ModelConfig, StylePreset, WeightType, write_model};
use spadework_engine::{Engine, Posterior, Settings};
use spadework_imaging::{Limits, RgbImage, Size, decode_picture};
use spadework_model::Norm;

use super::{drive::newest, threads};
use crate::{
    data::SampleSource,
    distributed::Group,
    export::{Averaged, ModelTensors, reestimate},
    outcome::Mistake,
    run::{
        Learner as _, Learning, RunConfig, Stored, Use, batch_of, build, checkpoints, draws, read_config,
        restore,
    },
    step::{Batch, Draws},
};
use spadework_autograd::Backend;

/// Positions that no run reaches, for samples that statistics are estimated from.
const UNSEEN: u64 = 1 << 41;

/// Make a model directory of a run
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The run's folder
    #[arg(value_name = "DIR")]
    run: PathBuf,
    /// The new model directory; its name is the model's
    #[arg(long, env = "SPADEWORK_TRAIN_OUT", value_name = "DIR")]
    out: PathBuf,
    /// The step of the checkpoint to export; without it, the newest
    #[arg(long, env = "SPADEWORK_TRAIN_STEP", value_name = "N")]
    step: Option<u64>,
    /// Number format of the weights that are written: f32, f16 or bf16
    #[arg(long, env = "SPADEWORK_TRAIN_DTYPE", value_name = "TYPE", default_value = "f16")]
    dtype: WeightType,
    /// Batches that batch-norm statistics are estimated from again, for the averaged weights; 0 keeps the running ones
    #[arg(long, env = "SPADEWORK_TRAIN_STATISTICS_BATCHES", value_name = "N", default_value_t = 16)]
    statistics_batches: u64,
    /// A style with a name, from an image that the encoder sees; repeat it for several. Of images with one name the
    /// style is the mean
    #[arg(long = "style", value_name = "NAME=IMAGE")]
    styles: Vec<StyleFile>,
    /// Named styles, JSON: [{"name": "dusk", "latent": [...]}, ...]
    #[arg(long, env = "SPADEWORK_TRAIN_STYLES", value_name = "FILE")]
    styles_file: Option<PathBuf>,
    /// What the model makes, in a sentence
    #[arg(long, env = "SPADEWORK_TRAIN_DESCRIPTION", default_value = "")]
    description: String,
    /// Licence of the weights
    #[arg(long, env = "SPADEWORK_TRAIN_LICENCE", default_value = "")]
    licence: String,
}

/// A name and an image.
#[derive(Clone, Debug)]
struct StyleFile {
    name: String,
    image: PathBuf,
}

impl std::str::FromStr for StyleFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, image)) if !name.is_empty() && !image.is_empty() => {
                Ok(Self { name: name.to_owned(), image: image.into() })
            }
            _ => Err(format!("`{text}` does not have the form NAME=IMAGE")),
        }
    }
}

/// Exports.
///
/// # Errors
/// When there is no checkpoint, or a file cannot be used; then nothing is written.
pub(super) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let config = read_config(&args.run)?;
    threads::set_threads(config.compute.threads)?;
    let stored = find(args, &config)?;
    let (step, seconds) = (stored.position.step, stored.position.seconds);
    let tensors = tensors(args, &config, stored)?;
    let model = ModelConfig {
        version: CONFIG_VERSION,
        description: args.description.clone(),
        licence: args.licence.clone(),
        provenance: provenance(&config, step, seconds),
        architecture: config.networks.architecture.clone(),
        labels: config.labels.clone(),
        styles: styles(args, &config, &tensors)?,
    };
    write_model(&args.out, &model, &tensors.generator, tensors.encoder.as_ref(), args.dtype)?;
    println!(
        "{} holds the model after step {step}; serve it with `spadework serve --models {}`",
        args.out.display(),
        args.out.display()
    );
    Ok(())
}

fn find(args: &ExportArgs, config: &RunConfig) -> anyhow::Result<Stored> {
    let Some(step) = args.step else {
        let none = || Mistake::error(format!("{} has no checkpoint yet", args.run.display()));
        return newest(&args.run, config)?.ok_or_else(none);
    };
    let checkpoints = checkpoints(&args.run, config.output.keep);
    let all = checkpoints.list()?;
    match all.iter().find(|(of, _)| *of == step) {
        Some((_, path)) => Ok(Stored::read(path)?),
        None => {
            let steps: Vec<String> = all.iter().map(|(step, _)| step.to_string()).collect();
            Err(Mistake::error(format!(
                "there is no checkpoint of step {step}; there are {}",
                steps.join(", ")
            )))
        }
    }
}

/// The averaged weights of a checkpoint, with statistics of their own.
fn tensors(args: &ExportArgs, config: &RunConfig, mut stored: Stored) -> anyhow::Result<ModelTensors> {
    let trainer = build(config, &Backend::Cpu, &Arc::new(Group::alone()))?;
    let mut learning = Learning::new(config.optimization.betas, trainer.state(), &Backend::Cpu)?;
    restore(&mut stored, trainer.state(), &mut learning)?;
    let averaged = Averaged::of(trainer.state(), &learning)?;
    let architecture = &config.networks.architecture;
    if args.statistics_batches > 0 && architecture.norm != Norm::Instance {
        let source = config.data.open(architecture, &config.labels, config.seed, |_| {})?;
        let batches = (0..args.statistics_batches).map(|index| batch(config, &source, index));
        reestimate(&trainer, &averaged, batches).context("estimate the statistics again")?;
    }
    Ok(ModelTensors::of(&averaged)?)
}

/// A batch from where the run does not get to.
fn batch(config: &RunConfig, source: &Arc<dyn SampleSource>, index: u64) -> anyhow::Result<(Batch, Draws)> {
    let size = config.optimization.batch as u64;
    let positions = UNSEEN + index * size..UNSEEN + (index + 1) * size;
    let samples =
        positions.clone().map(|position| source.sample(position)).collect::<anyhow::Result<Vec<_>>>()?;
    let architecture = &config.networks.architecture;
    let draws = draws(architecture, config.seed, positions, Use::Statistics, &Device::Cpu)?;
    Ok((batch_of(&samples, &Device::Cpu)?, draws))
}

/// The styles of files of latents, then those of images.
fn styles(args: &ExportArgs, config: &RunConfig, tensors: &ModelTensors) -> anyhow::Result<Vec<StylePreset>> {
    let mut styles = match &args.styles_file {
        Some(path) => read_styles(path)?,
        None => Vec::new(),
    };
    if args.styles.is_empty() {
        return Ok(styles);
    }
    let architecture = &config.networks.architecture;
    if tensors.encoder.is_none() {
        return Err(Mistake::error("--style needs an encoder, which this run has not trained"));
    }
    let mut engine =
        Engine::load(architecture, &tensors.generator, tensors.encoder.as_ref(), Settings::default())?;
    let size = Size::new(architecture.mask.width, architecture.mask.height);
    for (name, files) in by_name(&args.styles) {
        let images = files.iter().map(|path| Ok(read_image(path)?.resized(size)));
        let images = images.collect::<anyhow::Result<Vec<RgbImage>>>()?;
        let posteriors = engine.encode_style(&images.iter().collect::<Vec<_>>())?;
        styles.push(StylePreset { name: name.to_owned(), latent: mean(&posteriors) });
    }
    Ok(styles)
}

/// The images of each name, in the order in which names first come.
fn by_name(styles: &[StyleFile]) -> Vec<(&str, Vec<&Path>)> {
    let mut named: Vec<(&str, Vec<&Path>)> = Vec::new();
    for StyleFile { name, image } in styles {
        match named.iter_mut().find(|(of, _)| of == name) {
            Some((_, images)) => images.push(image),
            None => named.push((name, vec![image])),
        }
    }
    named
}

/// The mean of posteriors' means.
fn mean(posteriors: &[Posterior]) -> Vec<f32> {
    let length = posteriors.first().map_or(0, |posterior| posterior.mu.len());
    let sum = |i: usize| posteriors.iter().map(|posterior| posterior.mu[i]).sum::<f32>();
    (0..length).map(|i| rounded(sum(i) / posteriors.len() as f32)).collect()
}

/// Four decimals are as exact as a latent that people read needs to be.
fn rounded(value: f32) -> f32 {
    (value * 1e4).round() / 1e4
}

fn read_styles(path: &Path) -> anyhow::Result<Vec<StylePreset>> {
    let sentence = |error: &dyn std::fmt::Display| Mistake::error(format!("{}: {error}", path.display()));
    let text = fs::read(path).map_err(|error| sentence(&error))?;
    serde_json::from_slice(&text).map_err(|error| sentence(&error))
}

fn read_image(path: &Path) -> anyhow::Result<RgbImage> {
    let sentence = |error: &dyn std::fmt::Display| Mistake::error(format!("{}: {error}", path.display()));
    let bytes = fs::read(path).map_err(|error| sentence(&error))?;
    decode_picture(&bytes, &Limits::default()).map_err(|error| sentence(&error))
}

/// Where the weights come from, for whoever finds the folder.
fn provenance(config: &RunConfig, step: u64, seconds: f64) -> String {
    let samples = step * config.optimization.batch as u64;
    let warm = config.warm_start.as_ref().map(|path| format!(", begun from {}", path.display()));
    format!(
        "trained by spadework-train {} on {samples} samples in {step} steps and {:.1} hours, seed {}{}",
        env!("CARGO_PKG_VERSION"),
        seconds / 3600.0,
        config.seed,
        warm.unwrap_or_default(),
    )
}
