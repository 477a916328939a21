//! What the settings mean. Resolving them reports every mistake at once, before any work.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use spadework_checkpoint::{LabelConfig, ModelConfig, read_model};
use spadework_model::{Architecture, EncoderArchitecture, Grid};

use super::{
    args::{EncoderKind, FitArgs, NetworkArgs, ObjectiveArgs, OptimizationArgs, TrainingPreset},
    defaults::{Defaults, betas, defaults},
    differences::differences,
};
use crate::{
    commands::numbers::{not_a_rate, not_a_weight},
    data::{DataArgs, SampleSource, read_labels},
    networks::{FEATURES_FILE, Networks},
    objective::{KlReduction, Objective},
    optimizer::{Betas, Rates, Schedule},
    outcome::Mistake,
    run::{Compute, Optimization, Output, RUN_VERSION, RunConfig},
};

/// The run that `args` describe, for `world` processes.
///
/// # Errors
/// With every mistake, one a line.
pub(super) fn resolve(
    args: &FitArgs,
    world: usize,
    mut report: impl FnMut(&str),
) -> anyhow::Result<(RunConfig, Arc<dyn SampleSource>)> {
    let mut mistakes = Mistakes::default();
    let preset = args.networks.preset.or(args.data.landscapes.map(|_| TrainingPreset::Landscape));
    let mut defaults = defaults(preset);
    let model = args
        .networks
        .warm_start
        .as_deref()
        .and_then(|path| mistakes.keep(read_model(path)).map(|model| model.config));
    if let Some(model) = &model {
        defaults.networks.architecture = model.architecture.clone();
    }
    let networks = networks(&args.networks, &defaults, model.as_ref(), &mut mistakes);
    let data =
        DataArgs { preprocess: args.data.preprocess.or(Some(defaults.preprocess)), ..args.data.clone() };
    let objective = objective(&args.objective, &defaults, &networks, &mut mistakes);
    let labels = labels(args, model, &networks.architecture, &mut mistakes);
    let architecture = &networks.architecture;
    // The scan of files would only repeat what is wrong with the networks.
    let source = match mistakes.0.is_empty() {
        true => mistakes.keep(data.open(architecture, &labels, args.optimization.seed, &mut report)),
        false => None,
    };
    let epoch = source.as_ref().map_or(1, |source| source.epoch());
    let optimization = optimization(&args.optimization, &defaults, epoch, &mut mistakes);
    mistakes.0.extend(optimization.cannot_be_shared(networks.architecture.norm, world));
    let output = Output {
        log_every: args.output.log_every,
        checkpoint_every: args.output.checkpoint_every,
        preview_every: args.output.preview_every,
        keep: args.output.keep,
        metrics_textfile: args.output.metrics_textfile.as_deref().map(absolute),
    };
    mistakes.unless(output.log_every > 0, || "--log-every must be at least 1".to_owned());
    mistakes.unless(output.keep > 0, || "--keep must be at least 1".to_owned());
    let (Some(source), Some(objective)) = (source, objective) else { return Err(mistakes.error()) };
    mistakes.none()?;
    let mut config = RunConfig {
        version: RUN_VERSION,
        networks,
        initialisation: args.networks.initialisation.unwrap_or(defaults.initialisation),
        objective,
        vgg: args.objective.vgg.as_deref().map(absolute),
        perceptual: args.objective.perceptual.as_deref().map(absolute),
        labels,
        data: wherever_resumed(&data),
        optimization,
        seed: args.optimization.seed,
        differs_from_published: Vec::new(),
        changes: Vec::new(),
        warm_start: args.networks.warm_start.as_deref().map(absolute),
        output,
        compute: Compute {
            device: args.compute.device.device,
            precision: args.compute.device.precision,
            threads: args.compute.threads,
            loader_threads: args.compute.loader_threads,
        },
    };
    if defaults.published {
        config.differs_from_published = differences(&config, &defaults);
        for item in &config.differs_from_published {
            report(&format!("differs from published: {item}"));
        }
    }
    Ok((config, source))
}

/// The data, found from any working directory.
fn wherever_resumed(data: &DataArgs) -> DataArgs {
    let [labels, images, instances, root] =
        [&data.labels, &data.images, &data.instances, &data.data].map(|path| path.as_deref().map(absolute));
    DataArgs { labels, images, instances, data: root, ..data.clone() }
}

/// As it was typed where the working directory cannot be told.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What is wrong so far.
#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn unless(&mut self, holds: bool, sentence: impl FnOnce() -> String) {
        if !holds {
            self.0.push(sentence());
        }
    }

    fn keep<T, E: Into<anyhow::Error>>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{:#}", error.into()))).ok()
    }

    fn share(&mut self, flag: &str, value: f64) {
        self.unless((0.0..=1.0).contains(&value), || format!("{flag} is {value}; a share goes from 0 to 1"));
    }

    fn error(self) -> anyhow::Error {
        Mistake::error(self.0.join("\n"))
    }

    fn none(self) -> anyhow::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(self.error()) }
    }
}

fn networks(
    args: &NetworkArgs,
    defaults: &Defaults,
    model: Option<&ModelConfig>,
    mistakes: &mut Mistakes,
) -> Networks {
    let mut networks = defaults.networks.clone();
    shape(&mut networks.architecture, args, mistakes);
    networks.generator_spectral = args.spectral.unwrap_or(networks.generator_spectral);
    networks.discriminator.width = args.ndf.unwrap_or(networks.discriminator.width);
    networks.discriminator.scales = args.num_d.unwrap_or(networks.discriminator.scales);
    mistakes.unless(networks.discriminator.width > 0, || "--ndf must be at least 1".to_owned());
    mistakes.unless(networks.discriminator.scales > 0, || "--num-d must be at least 1".to_owned());
    let architecture = &networks.architecture;
    if architecture.label_nc == 0 {
        mistakes.0.push("say how many classes there are: --label-nc, --preset or --warm-start".to_owned());
    } else if let Err(error) = architecture.check() {
        mistakes.0.push(error.to_string());
    }
    if model.is_some_and(|model| model.architecture != *architecture) {
        mistakes.0.push(
            "--warm-start brings its own networks: leave out the flags that change the generator or encoder"
                .to_owned(),
        );
    }
    networks
}

/// Applies what was given about the generator and encoder.
fn shape(architecture: &mut Architecture, args: &NetworkArgs, mistakes: &mut Mistakes) {
    let set = |field: &mut usize, value: Option<usize>| *field = value.unwrap_or(*field);
    set(&mut architecture.label_nc, args.label_nc);
    set(&mut architecture.ngf, args.ngf);
    set(&mut architecture.hidden, args.hidden);
    set(&mut architecture.kernel, args.kernel);
    architecture.unknown_label = args.unknown_label.unwrap_or(architecture.unknown_label);
    architecture.instance_edges = args.instance_edges.unwrap_or(architecture.instance_edges);
    architecture.norm = args.norm.unwrap_or(architecture.norm);
    architecture.modulation = args.modulation.unwrap_or(architecture.modulation);
    architecture.noise = args.noise.unwrap_or(architecture.noise);
    if let Some(z_dim) = args.z_dim {
        architecture.z_dim = (z_dim > 0).then_some(z_dim);
    }
    let width = args.encoder_width.unwrap_or(match architecture.encoder {
        Some(EncoderArchitecture::Published { width } | EncoderArchitecture::Color { width }) => width,
        None => architecture.ngf,
    });
    let published = matches!(architecture.encoder, Some(EncoderArchitecture::Published { .. }));
    architecture.encoder = match (args.encoder, architecture.encoder) {
        (Some(EncoderKind::None), _) | (None, None) => None,
        (Some(EncoderKind::Published), _) => Some(EncoderArchitecture::Published { width }),
        (None, Some(_)) if published => Some(EncoderArchitecture::Published { width }),
        (Some(EncoderKind::Color) | None, _) => Some(EncoderArchitecture::Color { width }),
    };
    if architecture.encoder.is_some() && architecture.z_dim.is_none() && args.z_dim.is_none() {
        architecture.z_dim = Some(256); // as published, where only --encoder was given
    }
    resize(architecture, args, mistakes);
}

/// Applies the published size rules to what was given about sizes.
fn resize(architecture: &mut Architecture, args: &NetworkArgs, mistakes: &mut Mistakes) {
    if args.crop_size.is_none() && args.aspect_ratio.is_none() && args.upsampling.is_none() {
        return;
    }
    let Grid { height, width } = architecture.mask;
    let crop = args.crop_size.unwrap_or(width);
    let aspect = args.aspect_ratio.unwrap_or(width as f64 / height as f64);
    architecture.upsampling = args.upsampling.unwrap_or(architecture.upsampling);
    let cell = 1 << architecture.upsampling.doublings();
    let rows = (crop as f64 / aspect).round() as usize;
    let grid = Grid { height: rows / cell, width: crop / cell };
    architecture.mask = Grid { height: grid.height * cell, width: grid.width * cell };
    architecture.grid = grid;
    mistakes.unless(aspect > 0.0 && architecture.mask == Grid { height: rows, width: crop }, || {
        format!("images of {crop}x{rows} pixels do not divide into cells of {cell}; choose --crop-size and --aspect-ratio so that they do")
    });
}

fn objective(
    args: &ObjectiveArgs,
    defaults: &Defaults,
    networks: &Networks,
    mistakes: &mut Mistakes,
) -> Option<Objective> {
    let default = defaults.objective;
    let kl_reduction = match args.kl_reduction.as_deref().map(|text| (text, text.parse())) {
        None => default.kl_reduction,
        Some(("sum", _)) => KlReduction::Sum,
        Some((_, Ok(groups))) if groups > 0 => KlReduction::Groups(groups),
        Some((text, _)) => {
            mistakes.0.push(format!("--kl-reduction is `{text}`; give `sum` or a number of images"));
            return None;
        }
    };
    // A user who brings a network wants its loss, VGG19's at the published weight.
    let perceptual = match (&args.vgg, &args.perceptual) {
        (Some(_), _) => 10.0,
        (None, Some(_)) => 5.0,
        // As published it takes VGG19, whose weights nobody can be given here: the run tells that it goes without.
        (None, None) => 0.0,
    };
    let objective = Objective {
        gan: args.gan_mode.unwrap_or(default.gan),
        feature_matching: args.lambda_feat.unwrap_or(default.feature_matching),
        perceptual: args.lambda_vgg.unwrap_or(perceptual),
        kl: args.lambda_kld.unwrap_or(default.kl),
        kl_reduction,
        low_resolution: args.lambda_l1.unwrap_or(default.low_resolution),
        low_resolution_end: args.lambda_l1_end.or(default.low_resolution_end),
    };
    for (flag, weight) in [
        ("--lambda-feat", objective.feature_matching),
        ("--lambda-vgg", objective.perceptual),
        ("--lambda-kld", objective.kl),
        ("--lambda-l1", objective.low_resolution),
        ("--lambda-l1-end", objective.low_resolution_end.unwrap_or_default()),
    ] {
        mistakes.0.extend(not_a_weight(flag, weight));
    }
    if objective.perceptual > 0.0 {
        match (&args.vgg, &args.perceptual) {
            (None, None) => mistakes.0.push(
                "a perceptual loss needs --vgg FILE, torchvision's VGG19 weights, or --perceptual DIR"
                    .to_owned(),
            ),
            (None, Some(path)) => mistakes.unless(path.join(FEATURES_FILE).is_file(), || {
                format!("--perceptual: there is no file {}", path.join(FEATURES_FILE).display())
            }),
            (Some(path), _) => {
                mistakes.unless(path.is_file(), || format!("--vgg: there is no file {}", path.display()))
            }
        }
    }
    let Grid { height, width } = networks.architecture.picture();
    mistakes.unless(objective.low_resolution == 0.0 || (height % 8 == 0 && width % 8 == 0), || {
        "--lambda-l1 pools images by 8, and their sides are no multiples of 8".to_owned()
    });
    Some(objective)
}

fn labels(
    args: &FitArgs,
    model: Option<ModelConfig>,
    architecture: &Architecture,
    mistakes: &mut Mistakes,
) -> Vec<LabelConfig> {
    let labels = match (&args.networks.label_names, model) {
        (Some(path), _) => mistakes.keep(read_labels(path)).unwrap_or_default(),
        (None, Some(model)) => model.labels,
        (None, None) if args.data.landscapes.is_some() => landscape_labels(),
        (None, None) => Vec::new(),
    };
    let planes = architecture.label_planes();
    if let Some(label) = labels.iter().find(|label| usize::from(label.id) >= planes) {
        mistakes.0.push(format!("label `{}` has id {}, the model has {planes} ids", label.name, label.id));
    }
    labels
}

fn landscape_labels() -> Vec<LabelConfig> {
    let label = |(id, (name, color)): (usize, &(&str, [u8; 3]))| LabelConfig {
        id: id as u8, // there are fourteen
        name: (*name).to_owned(),
        color: Some(*color),
    };
    spadework_scenery::CLASSES.iter().enumerate().map(label).collect()
}

fn optimization(
    args: &OptimizationArgs,
    defaults: &Defaults,
    epoch: u64,
    mistakes: &mut Mistakes,
) -> Optimization {
    let lr = args.lr.unwrap_or(defaults.lr);
    mistakes.0.extend(not_a_rate(lr));
    let two_time_scales = args.ttur.unwrap_or(defaults.two_time_scales);
    let default = betas(two_time_scales);
    let betas =
        Betas { first: args.beta1.unwrap_or(default.first), second: args.beta2.unwrap_or(default.second) };
    let batch = args.batch.unwrap_or(defaults.batch);
    for (flag, beta) in [("--beta1", betas.first), ("--beta2", betas.second), ("--ema", args.ema)] {
        mistakes.unless((0.0..1.0).contains(&beta), || {
            format!("{flag} is {beta}; it goes from 0 to just below 1")
        });
    }
    let freeze_statistics = args.freeze_statistics.unwrap_or(defaults.freeze_statistics);
    mistakes.share("--freeze-statistics", freeze_statistics);
    mistakes.unless((0.0..1.0).contains(&args.decay_from), || {
        format!("--decay-from is {}; it goes from 0 to just below 1", args.decay_from)
    });
    let optimization = Optimization {
        rates: Rates::new(lr, two_time_scales),
        betas,
        schedule: schedule(args, defaults, batch, epoch),
        batch,
        accumulate: args.accumulate,
        average_decay: args.ema,
        freeze_statistics,
    };
    mistakes.unless(optimization.schedule.total_steps() > 0, || {
        "the run has no steps: give --samples of at least --batch, or --niter".to_owned()
    });
    optimization
}

fn schedule(args: &OptimizationArgs, defaults: &Defaults, batch: usize, epoch: u64) -> Schedule {
    let batch = batch.max(1) as u64;
    match args.samples {
        Some(samples) => Schedule::Steps {
            total: samples / batch,
            warm_up: args.warm_up,
            decay_from: args.decay_from,
            floor: 0.05,
        },
        None => Schedule::Epochs {
            niter: args.niter.unwrap_or(defaults.niter),
            niter_decay: args.niter_decay.unwrap_or(defaults.niter_decay),
            steps_per_epoch: (epoch / batch).max(1),
        },
    }
}
