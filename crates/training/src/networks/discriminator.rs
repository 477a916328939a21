//! The multi-scale patch discriminator (paper appendix A).

use candle_core::{Result, Tensor};

use super::{
    layers::ConvLayer,
    pass::Pass,
    specification::{ConvNorm, Discriminator, Networks, Normalisation},
};
use spadework_autograd::{Conv, SLOPE};

const KERNEL: usize = 4;
const PADDING: usize = 2;
const MOST_CHANNELS: usize = 512;

/// A discriminator that is trained or trained against.
#[derive(Clone, Debug)]
pub struct MultiscaleDiscriminator {
    specification: Discriminator,
    semantic_nc: usize,
}

/// For each scale, the maps behind every conv; the last is the decision, patch by patch.
pub type Features = Vec<Vec<Tensor>>;

/// The discriminator in one pass over one batch of masks: its weights, and what it makes of the masks alone.
///
/// The first conv reads masks and images side by side. It is linear, so the masks' share is computed once for all
/// images that are shown with them.
pub struct Condition<'a> {
    discriminator: &'a MultiscaleDiscriminator,
    pass: Pass<'a>,
    scales: Vec<Scale>,
}

struct Scale {
    masks: Tensor, // (N, H', W', width), with the bias
    image: Tensor, // the first conv's weight for the image, (width, 3, 4, 4)
    weights: Vec<Tensor>,
}

impl MultiscaleDiscriminator {
    /// The discriminator of `networks`.
    pub fn new(networks: &Networks) -> Self {
        Self { specification: networks.discriminator, semantic_nc: networks.architecture.semantic_nc() }
    }

    /// Names, shapes, strides and norms of one scale's convs, first to last.
    pub(super) fn layers(&self, scale: usize) -> Vec<(String, [usize; 4], usize, ConvNorm)> {
        let Discriminator { layers, width, norm, .. } = self.specification;
        let plain = ConvNorm { spectral: false, norm: Normalisation::None };
        let mut input = self.semantic_nc + 3;
        (0..=layers)
            .map(|index| {
                let output = match index {
                    _ if index == layers => 1,
                    0 => width,
                    _ => (2 * input).min(MOST_CHANNELS),
                };
                let shape = [output, input, KERNEL, KERNEL];
                input = output;
                let stride = if index + 1 < layers || index == 0 { 2 } else { 1 };
                let norm = if index == 0 || index == layers { plain } else { norm };
                (format!("discriminator_{scale}.model{index}.0"), shape, stride, norm)
            })
            .collect()
    }

    /// Begins a pass over the masks `semantics` (N, H, W, semantic_nc).
    ///
    /// # Errors
    /// When a parameter is missing.
    pub fn condition<'a>(&'a self, pass: Pass<'a>, semantics: &Tensor) -> Result<Condition<'a>> {
        let mut semantics = semantics.detach();
        let mut scales = Vec::new();
        for scale in 0..self.specification.scales {
            if scale > 0 {
                semantics = pass.backend.average_pool(&semantics)?;
            }
            let layers = self.layers(scale);
            let weights = layers
                .iter()
                .map(|(name, shape, _, norm)| {
                    pass.weight(&super::layers::conv_name(name, *norm), shape, norm.spectral)
                })
                .collect::<Result<Vec<_>>>()?;
            let bias = pass.parameter(&format!("{}.bias", layers[0].0), &layers[0].1[..1])?;
            let first = |start, count| weights[0].narrow(1, start, count)?.contiguous();
            let conv = Conv { padding: PADDING, stride: layers[0].2, slope: 1.0 };
            let masks = pass.backend.conv2d(&semantics, &first(0, self.semantic_nc)?, Some(&bias), conv)?;
            scales.push(Scale { masks, image: first(self.semantic_nc, 3)?, weights });
        }
        Ok(Condition { discriminator: self, pass, scales })
    }

    /// Whether an image's features depend on the other images of its pass.
    fn mixes_images(&self) -> bool {
        matches!(self.specification.norm.norm, Normalisation::Batch | Normalisation::SyncBatch)
    }
}

impl Condition<'_> {
    /// Features of fake and of real images, each (N, H, W, 3), as of one batch.
    ///
    /// # Errors
    /// When sizes do not agree.
    pub fn features(&self, fake: &Tensor, real: &Tensor) -> Result<(Features, Features)> {
        if !self.discriminator.mixes_images() {
            return Ok((self.run(fake)?, self.run(real)?));
        }
        let half = |map: &Tensor, index: usize| map.narrow(0, index * (map.dim(0)? / 2), map.dim(0)? / 2);
        let both = self.run(&Tensor::cat(&[fake, real], 0)?)?;
        let part = |index| {
            let scale = |maps: &Vec<Tensor>| maps.iter().map(|map| half(map, index)).collect();
            both.iter().map(scale).collect::<Result<Features>>()
        };
        Ok((part(0)?, part(1)?))
    }

    fn run(&self, images: &Tensor) -> Result<Features> {
        let mut images = images.clone();
        let mut features = Features::new();
        for (index, scale) in self.scales.iter().enumerate() {
            if index > 0 {
                images = self.pass.backend.average_pool(&images)?;
            }
            features.push(self.run_scale(index, scale, &images)?);
        }
        Ok(features)
    }

    fn run_scale(&self, index: usize, scale: &Scale, images: &Tensor) -> Result<Vec<Tensor>> {
        let layers = self.discriminator.layers(index);
        let conv = Conv { padding: PADDING, stride: layers[0].2, slope: 1.0 };
        let shown = self.pass.backend.conv2d(images, &scale.image, None, conv)?;
        let masks = if shown.dim(0)? == scale.masks.dim(0)? {
            scale.masks.clone()
        } else {
            Tensor::cat(&[&scale.masks, &scale.masks], 0)?
        };
        let mut x = self.pass.backend.leaky_relu(&shown.add(&masks)?)?;
        let mut maps = vec![x.clone()];
        for (index, (name, shape, stride, norm)) in layers.iter().enumerate().skip(1) {
            let slope = if index + 1 == layers.len() { 1.0 } else { SLOPE };
            let conv = Conv { padding: PADDING, stride: *stride, slope };
            let layer = ConvLayer { name, shape: *shape, conv, norm: *norm };
            x = layer.apply(self.pass, &x, &scale.weights[index])?;
            maps.push(x.clone());
        }
        Ok(maps)
    }
}
