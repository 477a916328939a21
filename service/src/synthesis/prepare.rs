//! Files and options, checked for one model, to jobs. Nothing that is wrong gets past here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::trace::SpanContext;
use spadework_engine::EngineError;
use spadework_imaging::{
    ErrorKind, InstancesError, Limits, Mask, MaskError, MaskOptions, MaskReport, ReadError, RgbImage,
    decode_instances, decode_mask, decode_picture, peek,
};
use spadework_model::Grid;

use super::{Job, Latent, ServedModel, SynthesisOptions, random};

/// The files of a request.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The mask, PNG.
    pub mask: &'a [u8],
    /// The style picture, PNG, JPEG or WebP.
    pub style: Option<&'a [u8]>,
    /// The instance map, PNG.
    pub instances: Option<&'a [u8]>,
}

/// A request that can run.
#[derive(Debug)]
pub struct Prepared {
    /// One for each picture.
    pub jobs: Vec<Job>,
    /// The seed of each picture.
    pub seeds: Vec<u64>,
    /// How the mask was read.
    pub report: MaskReport,
    /// When reading began.
    pub began: Instant,
    /// How long the files took to read.
    pub decoding: Duration,
    /// How long the plan took.
    pub planning: Duration,
}

/// Why a request cannot run.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The mask.
    #[error("the mask cannot be used: {0}")]
    Mask(#[source] MaskError),
    /// The instance map.
    #[error("the instance map cannot be used: {0}")]
    Instances(#[source] InstancesError),
    /// The style picture.
    #[error("the style picture cannot be used: {0}")]
    Style(#[source] ReadError),
    /// An option or file that does not fit the model or another option.
    #[error("{0}")]
    Option(String),
    /// Nobody waits for it any more.
    #[error("the caller has left")]
    Abandoned,
    /// A fault of ours.
    #[error("plan the mask")]
    Plan(#[from] EngineError),
}

/// What sort of mistake a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of its files.
    File(ErrorKind),
    /// Its options.
    Options,
    /// None: its caller has left.
    Abandoned,
    /// None: the fault is ours.
    Ours,
}

impl PrepareError {
    /// What sort of mistake it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Mask(error) => Kind::File(error.kind()),
            Self::Instances(error) => Kind::File(error.kind()),
            Self::Style(error) => Kind::File(error.kind()),
            Self::Option(_) => Kind::Options,
            Self::Abandoned => Kind::Abandoned,
            Self::Plan(_) => Kind::Ours,
        }
    }

    /// Whether the caller can mend it.
    pub fn is_user_error(&self) -> bool {
        !matches!(self.kind(), Kind::Ours | Kind::Abandoned)
    }
}

/// Reads the files, checks them and the options for `model`, plans the mask and draws what is random. `is_gone` is asked
/// between the steps, so that nothing more is done for a caller that has left.
///
/// # Errors
/// With a sentence that says what to change.
pub fn prepare(
    model: &ServedModel,
    files: &Files<'_>,
    options: &SynthesisOptions,
    limits: &Limits,
    is_gone: &dyn Fn() -> bool,
) -> Result<Prepared, PrepareError> {
    let go_on = || if is_gone() { Err(PrepareError::Abandoned) } else { Ok(()) };
    check_latent_sources(model, files, options)?;
    let began = Instant::now();
    let mask = read_mask(model, files, options, limits)?;
    go_on()?;
    let instances = read_instances(model, files, &mask, limits)?;
    go_on()?;
    let style = files.style.map(|bytes| read_style(model, bytes, limits)).transpose()?.map(Arc::new);
    go_on()?;
    let decoding = began.elapsed();
    let plan = Arc::new(model.planner().plan(&mask.labels, instances.as_ref())?);

    let first = options.seed.unwrap_or_else(random::fresh_seed);
    let seeds: Vec<u64> = (0..options.count.get() as u64).map(|i| first.wrapping_add(i)).collect();
    let job = |&seed: &u64| Job {
        plan: plan.clone(),
        latent: latent(model, style.as_ref(), options, seed),
        noise: noise(&model.config().architecture.noise_planes(), seed),
        caller: SpanContext::NONE,
    };
    let jobs = seeds.iter().map(job).collect();
    let planning = began.elapsed() - decoding;
    Ok(Prepared { jobs, seeds, report: mask.report, began, decoding, planning })
}

/// At most one of style picture, style preset and latent, and only for a model that can use it.
fn check_latent_sources(
    model: &ServedModel,
    files: &Files<'_>,
    options: &SynthesisOptions,
) -> Result<(), PrepareError> {
    let refuse = |sentence: String| Err(PrepareError::Option(sentence));
    let name = model.name();
    let sources = [files.style.is_some(), options.style_preset.is_some(), options.latent.is_some()];
    if sources.iter().filter(|given| **given).count() > 1 {
        return refuse("`style`, `style_preset` and `latent` exclude one another; send one of them".into());
    }
    if files.style.is_some() && !model.accepts_style() {
        return refuse(format!(
            "model `{name}` has no style encoder; leave `style` out or choose another model"
        ));
    }
    if let Some(amount) = options.style_noise {
        if !(0.0..=1.0).contains(&amount) {
            return refuse(format!("`style_noise` is {amount}; it goes from 0 (the mean) to 1 (a sample)"));
        }
        if amount > 0.0 && files.style.is_none() {
            return refuse(
                "`style_noise` varies a style picture; send one as `style` or leave it out".into(),
            );
        }
    }
    if let Some(latent) = &options.latent {
        return check_latent(model, latent);
    }
    match &options.style_preset {
        Some(preset) if find_preset(model, preset).is_none() => {
            let styles = model.config().styles.iter().map(|style| format!("`{}`", style.name));
            let styles: Vec<String> = styles.collect();
            let known = if styles.is_empty() { "none".to_owned() } else { styles.join(", ") };
            refuse(format!("model `{name}` has no style `{preset}`; it has {known}"))
        }
        _ => Ok(()),
    }
}

fn check_latent(model: &ServedModel, latent: &[f32]) -> Result<(), PrepareError> {
    let refuse = |sentence: String| Err(PrepareError::Option(sentence));
    match model.config().architecture.z_dim {
        None => refuse(format!("model `{}` has no latent; leave `latent` out", model.name())),
        Some(z_dim) if latent.len() != z_dim => refuse(format!(
            "`latent` has {} numbers and model `{}` takes {z_dim}",
            latent.len(),
            model.name()
        )),
        Some(_) if latent.iter().any(|number| !number.is_finite()) => {
            refuse("`latent` holds a number that does not fit 32-bit floating point".into())
        }
        Some(_) => Ok(()),
    }
}

fn find_preset<'a>(model: &'a ServedModel, name: &str) -> Option<&'a Vec<f32>> {
    model.config().styles.iter().find(|style| style.name == name).map(|style| &style.latent)
}

/// Reads the mask of `files` for `model`.
///
/// # Errors
/// When it cannot be read, or `options` do not say which of two readings is meant.
pub fn read_mask(
    model: &ServedModel,
    files: &Files<'_>,
    options: &SynthesisOptions,
    limits: &Limits,
) -> Result<Mask, PrepareError> {
    let reading = MaskOptions {
        format: options.mask_format.into(),
        resize: options.resize.into(),
        instance_edges: model.config().architecture.instance_edges,
    };
    decode_mask(files.mask, model.labels(), model.mask_size(), reading, limits).map_err(PrepareError::Mask)
}

/// The instances sent beside the mask, else those in it. A model without an edge plane has no use for them.
fn read_instances(
    model: &ServedModel,
    files: &Files<'_>,
    mask: &Mask,
    limits: &Limits,
) -> Result<Option<spadework_imaging::InstanceMap>, PrepareError> {
    let wanted = model.config().architecture.instance_edges;
    match files.instances {
        None => Ok(mask.instances.clone().filter(|_| wanted)),
        Some(_) if !wanted => Err(PrepareError::Option(format!(
            "model `{}` does not use instances; leave `instances` out",
            model.name()
        ))),
        Some(bytes) => decode_instances(bytes, mask.report.original_size, model.mask_size(), limits)
            .map(Some)
            .map_err(PrepareError::Instances),
    }
}

/// The style picture at the model's size. A picture that has it already is not touched.
fn read_style(model: &ServedModel, bytes: &[u8], limits: &Limits) -> Result<RgbImage, PrepareError> {
    // A header that lies about its size is caught by the decoder; one that is honest is refused before it.
    peek(bytes).and_then(|header| limits.check_size(header.size)).map_err(PrepareError::Style)?;
    let picture = decode_picture(bytes, limits).map_err(PrepareError::Style)?;
    let size = model.mask_size();
    Ok(if picture.size() == size { picture } else { picture.resized(size) })
}

fn latent(
    model: &ServedModel,
    style: Option<&Arc<RgbImage>>,
    options: &SynthesisOptions,
    seed: u64,
) -> Latent {
    let Some(z_dim) = model.config().architecture.z_dim else { return Latent::None };
    let preset = options.style_preset.as_deref().and_then(|name| find_preset(model, name));
    if let Some(picture) = style {
        let amount = options.style_noise.unwrap_or(0.0);
        Latent::Style { picture: picture.clone(), amount, eps: random::normals(seed, random::STYLE, z_dim) }
    } else {
        let known = options.latent.as_ref().or(preset).cloned();
        Latent::Given(known.unwrap_or_else(|| random::normals(seed, random::LATENT, z_dim)))
    }
}

fn noise(planes: &[Grid], seed: u64) -> Vec<Vec<f32>> {
    let plane = |(block, grid): (usize, &Grid)| random::noise_plane(seed, block, grid.height * grid.width);
    planes.iter().enumerate().map(plane).collect()
}
