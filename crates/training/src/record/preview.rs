//! Previews: for some samples the mask, the real image, its reconstruction, and two images of other latents, as a
//! served model would make them for masks that come without instances: a network with an edge plane sees none.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use spadework_checkpoint::LabelConfig;
use spadework_engine::{Engine, Input, Settings};
use spadework_imaging::{LabelMap, RgbImage};
use spadework_model::{Architecture, Tensors};

use crate::{
    data::Sample,
    run::{Use, draws},
};

/// What previews are made with.
#[derive(Clone, Copy, Debug)]
pub struct PreviewModel<'a> {
    /// The networks.
    pub architecture: &'a Architecture,
    /// The generator, folded.
    pub generator: &'a Tensors,
    /// The encoder, folded.
    pub encoder: Option<&'a Tensors>,
    /// The labels, for their colours.
    pub labels: &'a [LabelConfig],
    /// What the latents are a function of.
    pub seed: u64,
    /// Threads that make the images; 0 is one for each core.
    pub threads: usize,
}

/// A preview.
#[derive(Clone, Debug)]
pub struct Preview {
    /// A row for each sample.
    pub grid: RgbImage,
    /// Mean difference of the two images of one mask, in levels of a byte; for a model with a latent.
    pub diversity: Option<f64>,
}

/// Makes a preview of `samples`.
///
/// # Errors
/// When the tensors or samples do not fit the architecture.
pub fn preview(model: PreviewModel<'_>, samples: &[Sample]) -> anyhow::Result<Preview> {
    let settings = Settings { threads: model.threads, ..Settings::default() };
    let mut engine = Engine::load(model.architecture, model.generator, model.encoder, settings)?;
    let mut rows = Vec::with_capacity(samples.len());
    let mut differences = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        let images = images(model, &mut engine, sample, index as u64)?;
        if let [.., one, other] = &images[..] {
            differences.push(difference(one, other));
        }
        let mask = colored(&sample.labels, model.labels)?.resized(sample.image.size());
        rows.push([vec![mask, sample.image.clone()], images].concat());
    }
    let diversity =
        (!differences.is_empty()).then(|| differences.iter().sum::<f64>() / differences.len() as f64);
    Ok(Preview { grid: tiled(&rows)?, diversity })
}

/// The reconstruction, if there is an encoder, and one image for each of two latents; without a latent, one image.
/// All have the same noise, so that what differs is the latent's doing.
fn images(
    model: PreviewModel<'_>,
    engine: &mut Engine,
    sample: &Sample,
    index: u64,
) -> anyhow::Result<Vec<RgbImage>> {
    let draw =
        |position| draws(model.architecture, model.seed, position..position + 1, Use::Preview, &Device::Cpu);
    let (own, shared) = (draw(2 + index)?, [draw(0)?, draw(1)?]);
    let noise = own.noise.iter().map(numbers).collect::<candle_core::Result<Vec<_>>>()?;
    let plan = Arc::new(engine.planner().plan(&sample.labels, None)?);
    let mut latents = Vec::new();
    if model.encoder.is_some() {
        latents
            .extend(engine.encode_style(&[&sample.image])?.into_iter().map(|posterior| Some(posterior.mu)));
    }
    match shared.map(|draws| draws.eps) {
        [Some(one), Some(other)] => latents.extend([Some(numbers(&one)?), Some(numbers(&other)?)]),
        _ => latents.push(None),
    }
    let inputs = latents.into_iter().map(|z| Input { plan: plan.clone(), z, noise: noise.clone() });
    Ok(engine.generate(&inputs.collect::<Vec<_>>())?)
}

fn numbers(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// Mean absolute difference of the bytes.
fn difference(one: &RgbImage, other: &RgbImage) -> f64 {
    let bytes = one.pixels().iter().zip(other.pixels());
    let sum: u64 = bytes.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.pixels().len() as f64
}

/// The label map in its labels' colours.
fn colored(labels: &LabelMap, configs: &[LabelConfig]) -> anyhow::Result<RgbImage> {
    let color = |id: u8| {
        let named = configs.iter().find(|label| label.id == id).and_then(|label| label.color);
        named.unwrap_or_else(|| plain_color(id))
    };
    let table: Vec<[u8; 3]> = (0..=u8::MAX).map(color).collect();
    let pixels = labels.ids().iter().flat_map(|id| table[usize::from(*id)]).collect();
    Ok(RgbImage::new(labels.width(), labels.height(), pixels)?)
}

/// A colour for an id without one: Pascal VOC's, which spreads the bits of the id over the three channels.
fn plain_color(id: u8) -> [u8; 3] {
    let bit = |place: u8| ((u16::from(id) >> place) & 1) as u8;
    let channel = |first: u8| (0..3).map(|step| bit(3 * step + first) << (7 - step)).sum();
    [channel(0), channel(1), channel(2)]
}

/// Images of one size beside and below one another.
fn tiled(rows: &[Vec<RgbImage>]) -> anyhow::Result<RgbImage> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let size = rows.iter().flatten().next().map(RgbImage::size);
    let Some(size) = size else { anyhow::bail!("a preview needs a sample") };
    let mut pixels = Vec::with_capacity(3 * size.width * size.height * columns * rows.len());
    for row in rows {
        for y in 0..size.height {
            for image in row {
                pixels.extend(&image.pixels()[3 * y * size.width..3 * (y + 1) * size.width]);
            }
        }
    }
    Ok(RgbImage::new(size.width * columns, size.height * rows.len(), pixels)?)
}
