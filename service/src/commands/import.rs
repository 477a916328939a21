//! `spadework import`: a published checkpoint to a model directory.

use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use spadework_checkpoint::{
    ImportRequest, Imported, LabelConfig, Preset, StylePreset, TrainingOptions, WeightType, import,
    write_model,
};

use crate::{
    outcome::{Mistake, unreadable},
    output::outln,
};

/// What to import.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The generator: latest_net_G.pth or safetensors
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// What stands before the generator's tensors in its file, such as state_dict.netG; found out if there is only one
    #[arg(long)]
    prefix: Option<String>,
    /// The style encoder: latest_net_E.pth or safetensors
    #[arg(long, value_name = "FILE")]
    encoder: Option<PathBuf>,
    /// What stands before the encoder's tensors in its file; found out if there is only one
    #[arg(long, requires = "encoder")]
    encoder_prefix: Option<String>,
    /// The opt.txt of the training run; what it does not say is told from the tensors' shapes
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    options: Option<PathBuf>,
    /// The options and labels of a published data set
    #[arg(long, value_enum)]
    preset: Option<PresetName>,
    /// The labels, JSON: [{"id": 0, "name": "sky", "color": [95, 219, 255]}, ...]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Named styles, JSON: [{"name": "dusk", "latent": [...]}, ...]
    #[arg(long, value_name = "FILE")]
    styles: Option<PathBuf>,
    /// The new model directory; its name is the model's
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number format of the weights that are written: f32, f16 or bf16; they are computed in f32 all the same
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: WeightType,
    /// What the model makes, in a sentence
    #[arg(long, default_value = "")]
    description: String,
    /// Licence of the weights
    #[arg(long, default_value = "")]
    licence: String,
}

/// A published data set.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PresetName {
    Coco,
    Ade20k,
    Cityscapes,
    Facades,
}

/// Imports.
///
/// # Errors
/// When a file cannot be used or does not fit the others; then nothing is written.
pub fn run(args: ImportArgs) -> anyhow::Result<()> {
    let options = match (&args.options, args.preset) {
        (Some(path), _) => TrainingOptions::read(path)?,
        (None, Some(preset)) => TrainingOptions::preset(match preset {
            PresetName::Coco => Preset::Coco,
            PresetName::Ade20k => Preset::Ade20k,
            PresetName::Cityscapes => Preset::Cityscapes,
            PresetName::Facades => Preset::Facades,
        }),
        (None, None) => TrainingOptions::default(),
    };
    let labels: Vec<LabelConfig> = args.labels.as_ref().map(read_json).transpose()?.unwrap_or_default();
    let styles: Vec<StylePreset> = args.styles.as_ref().map(read_json).transpose()?.unwrap_or_default();
    let request = ImportRequest {
        weights: args.weights,
        prefix: args.prefix,
        encoder: args.encoder,
        encoder_prefix: args.encoder_prefix,
        options,
        labels,
        description: args.description,
        licence: args.licence,
    };
    let Imported { mut model, notes } = import(&request)?;
    model.config.styles = styles;
    write_model(&args.out, &model.config, &model.generator, model.encoder.as_ref(), args.dtype)?;
    for note in notes {
        outln!("{note}");
    }
    let parameters: usize = model.generator.values().map(|tensor| tensor.elem_count()).sum();
    outln!(
        "{} holds a generator of {:.1} million parameters for masks of {}x{}{}; try it with `spadework synthesize --model {} --mask MASK.png --out PICTURE.png`",
        args.out.display(),
        parameters as f64 / 1e6,
        model.config.architecture.mask.width,
        model.config.architecture.mask.height,
        if model.encoder.is_some() { " and a style encoder" } else { "" },
        args.out.display(),
    );
    Ok(())
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &PathBuf) -> anyhow::Result<T> {
    let text = fs::read(path).map_err(|error| unreadable(path, &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        Mistake::error(format!("{} does not have the form that --help shows: {error}", path.display()))
    })
}
