//! The settings of a run as they are typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use spadework_model::{Modulation, Norm, Upsampling};

use crate::{
    compute::DeviceArgs, data::DataArgs, networks::Initialisation, objective::GanMode, record::Every,
};

/// Train a generator from label maps and images
#[derive(Clone, Debug, Args)]
pub struct FitArgs {
    /// The new folder of the run
    #[arg(long, env = "SPADEWORK_TRAIN_OUT", value_name = "DIR")]
    pub out: PathBuf,
    /// Go on from the newest checkpoint if the folder holds this very run already: for jobs that are started again
    #[arg(long, env = "SPADEWORK_TRAIN_RESUME")]
    pub resume: bool,
    /// Where the pairs come from.
    #[command(flatten)]
    pub data: DataArgs,
    /// The networks.
    #[command(flatten)]
    pub networks: NetworkArgs,
    /// What is minimised.
    #[command(flatten)]
    pub objective: ObjectiveArgs,
    /// How weights move.
    #[command(flatten)]
    pub optimization: OptimizationArgs,
    /// What is written.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Where it runs.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// A set of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TrainingPreset {
    /// COCO-Stuff as published: 182 classes, unknown label, edges, 256x256; batches of 32, 100 epochs
    Coco,
    /// ADE20K as published: 150 classes, unknown label, 256x256; batches of 32, 100 + 100 epochs
    Ade20k,
    /// Cityscapes as published: 35 classes, edges, 512x256 without a crop; batches of 32, 100 + 100 epochs
    Cityscapes,
    /// Facades by the published code's defaults: 13 classes, 256x256; batches of 1, 50 epochs
    Facades,
    /// The model that the server embeds: 14 classes, 256x256, small, with noise and an encoder for colour
    Landscape,
}

/// The networks; what is not given is the preset's
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Networks")]
pub struct NetworkArgs {
    /// A set of defaults for networks, losses and rates [default: landscape with --landscapes, else facades without its classes]
    #[arg(long, env = "SPADEWORK_TRAIN_PRESET", value_enum)]
    pub preset: Option<TrainingPreset>,
    /// Begin from the generator and encoder of a model directory; the discriminator is fresh
    #[arg(long, env = "SPADEWORK_TRAIN_WARM_START", value_name = "DIR")]
    pub warm_start: Option<PathBuf>,
    /// Classes, without the unknown label
    #[arg(long, env = "SPADEWORK_TRAIN_LABEL_NC", value_name = "N")]
    pub label_nc: Option<usize>,
    /// Whether the id after the last class stands for "unknown"
    #[arg(long, env = "SPADEWORK_TRAIN_UNKNOWN_LABEL", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub unknown_label: Option<bool>,
    /// Whether the network sees the edges of instances
    #[arg(long, env = "SPADEWORK_TRAIN_INSTANCE_EDGES", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub instance_edges: Option<bool>,
    /// Width of images
    #[arg(long, env = "SPADEWORK_TRAIN_CROP_SIZE", value_name = "PIXELS")]
    pub crop_size: Option<usize>,
    /// Width over height of images
    #[arg(long, env = "SPADEWORK_TRAIN_ASPECT_RATIO", value_name = "RATIO")]
    pub aspect_ratio: Option<f64>,
    /// How often the latent grid is doubled: normal (5), more (6) or most (7)
    #[arg(long, env = "SPADEWORK_TRAIN_UPSAMPLING", value_parser = by_name::<Upsampling>)]
    pub upsampling: Option<Upsampling>,
    /// Base width of the generator
    #[arg(long, env = "SPADEWORK_TRAIN_NGF", value_name = "N")]
    pub ngf: Option<usize>,
    /// Base width of the discriminator
    #[arg(long, env = "SPADEWORK_TRAIN_NDF", value_name = "N")]
    pub ndf: Option<usize>,
    /// Scales of the discriminator
    #[arg(long, env = "SPADEWORK_TRAIN_NUM_D", value_name = "N")]
    pub num_d: Option<usize>,
    /// Width of the hidden layer that predicts gamma and beta
    #[arg(long, env = "SPADEWORK_TRAIN_HIDDEN", value_name = "N")]
    pub hidden: Option<usize>,
    /// Kernel of the SPADE layers
    #[arg(long, env = "SPADEWORK_TRAIN_KERNEL", value_name = "N")]
    pub kernel: Option<usize>,
    /// Normalisation in the SPADE layers: sync_batch, batch or instance
    #[arg(long, env = "SPADEWORK_TRAIN_NORM", value_parser = by_name::<Norm>)]
    pub norm: Option<Norm>,
    /// Where gamma and beta come from: per_layer or shared
    #[arg(long, env = "SPADEWORK_TRAIN_MODULATION", value_parser = by_name::<Modulation>)]
    pub modulation: Option<Modulation>,
    /// Length of the latent; 0 for none
    #[arg(long, env = "SPADEWORK_TRAIN_Z_DIM", value_name = "N")]
    pub z_dim: Option<usize>,
    /// Whether residual blocks add weighted noise
    #[arg(long, env = "SPADEWORK_TRAIN_NOISE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub noise: Option<bool>,
    /// The style encoder
    #[arg(long, env = "SPADEWORK_TRAIN_ENCODER", value_enum)]
    pub encoder: Option<EncoderKind>,
    /// Base width of the encoder
    #[arg(long, env = "SPADEWORK_TRAIN_ENCODER_WIDTH", value_name = "N")]
    pub encoder_width: Option<usize>,
    /// Whether the generator's residual convs have spectral norm
    #[arg(long, env = "SPADEWORK_TRAIN_SPECTRAL", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub spectral: Option<bool>,
    /// What weights are drawn from: published or default (PyTorch's own)
    #[arg(long, env = "SPADEWORK_TRAIN_INITIALISATION", value_parser = by_name::<Initialisation>)]
    pub initialisation: Option<Initialisation>,
    /// The labels, JSON: [{"id": 0, "name": "sky", "color": [95, 219, 255]}, ...]
    #[arg(long, env = "SPADEWORK_TRAIN_LABEL_NAMES", value_name = "FILE")]
    pub label_names: Option<PathBuf>,
}

/// A style encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EncoderKind {
    /// None
    None,
    /// The published one, with instance norm
    Published,
    /// One without normalisation, so that global colour survives
    Color,
}

/// What is minimised; what is not given is the preset's
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Losses")]
pub struct ObjectiveArgs {
    /// Form of the adversarial loss: hinge, least_squares, original or wasserstein
    #[arg(long, env = "SPADEWORK_TRAIN_GAN_MODE", value_parser = by_name::<GanMode>)]
    pub gan_mode: Option<GanMode>,
    /// Weight of feature matching
    #[arg(long, env = "SPADEWORK_TRAIN_LAMBDA_FEAT", value_name = "WEIGHT")]
    pub lambda_feat: Option<f64>,
    /// Weight of the perceptual loss, which needs --vgg or --perceptual
    #[arg(long, env = "SPADEWORK_TRAIN_LAMBDA_VGG", value_name = "WEIGHT")]
    pub lambda_vgg: Option<f64>,
    /// VGG19's weights, torchvision's .pth or safetensors
    #[arg(long, env = "SPADEWORK_TRAIN_VGG", value_name = "FILE")]
    pub vgg: Option<PathBuf>,
    /// Folder that `spadework-train features` has written: features for the perceptual loss where there is no VGG19
    #[arg(long, env = "SPADEWORK_TRAIN_PERCEPTUAL", value_name = "DIR", conflicts_with = "vgg")]
    pub perceptual: Option<PathBuf>,
    /// Weight of the KL divergence of the encoder's posterior
    #[arg(long, env = "SPADEWORK_TRAIN_LAMBDA_KLD", value_name = "WEIGHT")]
    pub lambda_kld: Option<f64>,
    /// How the KL divergence is reduced: `sum` over a process's part of the batch, as published, or a number of images N: the
    /// mean over groups of N of a group's sum
    #[arg(long, env = "SPADEWORK_TRAIN_KL_REDUCTION", value_name = "sum|N")]
    pub kl_reduction: Option<String>,
    /// Weight of the L1 distance after 8x8 average pooling
    #[arg(long, env = "SPADEWORK_TRAIN_LAMBDA_L1", value_name = "WEIGHT")]
    pub lambda_l1: Option<f64>,
    /// What that weight has become at the end of the run, if it changes
    #[arg(long, env = "SPADEWORK_TRAIN_LAMBDA_L1_END", value_name = "WEIGHT")]
    pub lambda_l1_end: Option<f64>,
}

/// How weights move; what is not given is the preset's
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Optimisation")]
pub struct OptimizationArgs {
    /// Learning rate
    #[arg(long, env = "SPADEWORK_TRAIN_LR", value_name = "RATE")]
    pub lr: Option<f64>,
    /// Two time scales: the generator at half of --lr, the discriminator at twice
    #[arg(long, env = "SPADEWORK_TRAIN_TTUR", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub ttur: Option<bool>,
    /// Adam's first beta [default: 0 with two time scales, else 0.5]
    #[arg(long, env = "SPADEWORK_TRAIN_BETA1", value_name = "BETA")]
    pub beta1: Option<f64>,
    /// Adam's second beta [default: 0.9 with two time scales, else 0.999]
    #[arg(long, env = "SPADEWORK_TRAIN_BETA2", value_name = "BETA")]
    pub beta2: Option<f64>,
    /// Epochs at the full learning rate [default: the preset's, else 50]
    #[arg(long, env = "SPADEWORK_TRAIN_NITER", value_name = "EPOCHS", conflicts_with = "samples")]
    pub niter: Option<u64>,
    /// Epochs over which the learning rate then falls to zero, at the end of each [default: the preset's, else 0]
    #[arg(long, env = "SPADEWORK_TRAIN_NITER_DECAY", value_name = "EPOCHS", conflicts_with = "samples")]
    pub niter_decay: Option<u64>,
    /// Samples in all, instead of epochs; the rate then falls linearly with every step of the last part
    #[arg(long, env = "SPADEWORK_TRAIN_SAMPLES", value_name = "N")]
    pub samples: Option<u64>,
    /// Steps over which the rate rises, with --samples
    #[arg(long, env = "SPADEWORK_TRAIN_WARM_UP", value_name = "STEPS", default_value_t = 50)]
    pub warm_up: u64,
    /// The share of the run after which the rate falls, with --samples
    #[arg(long, env = "SPADEWORK_TRAIN_DECAY_FROM", value_name = "SHARE", default_value_t = 0.6)]
    pub decay_from: f64,
    /// Images of a step, over all processes [default: the preset's, else 4]
    #[arg(long, env = "SPADEWORK_TRAIN_BATCH", value_name = "N")]
    pub batch: Option<usize>,
    /// Parts in which a process computes its share of a batch, to save memory; batch norm sees a part at a time
    #[arg(long, env = "SPADEWORK_TRAIN_ACCUMULATE", value_name = "N", default_value_t = 1)]
    pub accumulate: usize,
    /// Decay of the moving average of the generator's weights, to which it rises
    #[arg(long, env = "SPADEWORK_TRAIN_EMA", value_name = "DECAY", default_value_t = 0.998)]
    pub ema: f64,
    /// The share of the run, at its end, with frozen batch-norm statistics [default: 0.25 for landscape, else 0]
    #[arg(long, env = "SPADEWORK_TRAIN_FREEZE_STATISTICS", value_name = "SHARE")]
    pub freeze_statistics: Option<f64>,
    /// What all random numbers are a function of
    #[arg(long, env = "SPADEWORK_TRAIN_SEED", value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// What is written
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Steps of a line of metrics
    #[arg(long, env = "SPADEWORK_TRAIN_LOG_EVERY", value_name = "STEPS", default_value_t = 20)]
    pub log_every: u64,
    /// Between two checkpoints: a number of steps, such as 500, or a time, such as 10m
    #[arg(long, env = "SPADEWORK_TRAIN_CHECKPOINT_EVERY", value_name = "STEPS|TIME", default_value = "10m")]
    pub checkpoint_every: Every,
    /// Between two previews, likewise
    #[arg(long, env = "SPADEWORK_TRAIN_PREVIEW_EVERY", value_name = "STEPS|TIME", default_value = "10m")]
    pub preview_every: Every,
    /// File to write metrics to for Prometheus, in the text format, with every line of metrics: for the node exporter's textfile
    /// collector, which wants a name that ends in .prom
    #[arg(long, env = "SPADEWORK_TRAIN_METRICS_TEXTFILE", value_name = "FILE")]
    pub metrics_textfile: Option<PathBuf>,
    /// Checkpoints that stay
    #[arg(long, env = "SPADEWORK_TRAIN_KEEP", value_name = "N", default_value_t = 3)]
    pub keep: usize,
}

/// Where it runs
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Compute")]
pub struct ComputeArgs {
    /// Where, and with which products.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Threads on a CPU; 0 is one for each core
    #[arg(long, env = "SPADEWORK_TRAIN_THREADS", default_value_t = 0)]
    pub threads: usize,
    /// Threads that read or render samples; 0 is one for each core
    #[arg(long, env = "SPADEWORK_TRAIN_LOADER_THREADS", value_name = "N", default_value_t = 0)]
    pub loader_threads: usize,
    /// With several processes: how long to wait for one another
    #[arg(long, env = "SPADEWORK_TRAIN_PEER_TIMEOUT", default_value = "10m")]
    pub peer_timeout: humantime::Duration,
    /// Exit code after a signal to stop; 0 unless whoever starts the job takes that for its end
    #[arg(long, env = "SPADEWORK_TRAIN_STOPPED_EXIT_CODE", value_name = "CODE", default_value_t = 0)]
    pub stopped_exit_code: u8,
}

/// A value by the name that files have for it.
fn by_name<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, serde::de::value::Error> {
    T::deserialize(serde::de::IntoDeserializer::into_deserializer(text))
}
