//! The networks as `spadework-model` writes them: the encoder that every engine uses, and the generator that tests hold
//! the faster ones to.

use candle_core::{DType, Tensor};
use spadework_imaging::RgbImage;
use spadework_model::{Architecture, Encoder, Tensors};
#[cfg(test)]
use spadework_model::{Generator, GeneratorInput, LabelBatch, one_hot};

#[cfg(test)]
use crate::Input;
use crate::{EngineError, Posterior};

/// `spadework-model`'s generator on a device.
#[cfg(test)]
pub(crate) struct PlainGenerator {
    architecture: Architecture,
    device: candle_core::Device,
    generator: Generator,
}

/// `spadework-model`'s encoder on a device.
pub(crate) struct PlainEncoder {
    device: candle_core::Device,
    encoder: Encoder,
}

#[cfg(test)]
impl PlainGenerator {
    pub(crate) fn load(
        architecture: &Architecture,
        tensors: &Tensors,
        device: &candle_core::Device,
    ) -> Result<Self, EngineError> {
        let generator = Generator::new(&on_device(tensors, device)?, architecture)?;
        Ok(Self { architecture: architecture.clone(), device: device.clone(), generator })
    }

    /// One forward pass for each input, so that no image can depend on its batch.
    pub(crate) fn generate(&self, inputs: &[Input]) -> Result<Vec<Vec<f32>>, EngineError> {
        inputs.iter().map(|input| self.one(input)).collect()
    }

    fn one(&self, input: &Input) -> Result<Vec<f32>, EngineError> {
        let batch = LabelBatch {
            ids: input.plan.labels.ids(),
            edges: input.plan.edges.as_ref().map(spadework_imaging::EdgeMap::edges),
        };
        let semantics = one_hot(&self.architecture, batch, DType::F32, &self.device)?;
        let z = input.z.as_ref().map(|z| Tensor::from_slice(z, (1, z.len()), &self.device)).transpose()?;
        let noise = input
            .noise
            .iter()
            .zip(self.architecture.noise_planes())
            .map(|(plane, grid)| Tensor::from_slice(plane, (1, 1, grid.height, grid.width), &self.device))
            .collect::<Result<Vec<_>, _>>()?;
        let images =
            self.generator.forward(GeneratorInput { semantics: &semantics, z: z.as_ref(), noise: &noise })?;
        Ok(images.flatten_all()?.to_vec1()?)
    }
}

impl PlainEncoder {
    pub(crate) fn load(
        architecture: &Architecture,
        tensors: &Tensors,
        device: &candle_core::Device,
    ) -> Result<Self, EngineError> {
        let encoder = Encoder::new(&on_device(tensors, device)?, architecture)?;
        Ok(Self { device: device.clone(), encoder })
    }

    pub(crate) fn encode(&self, images: &[&RgbImage]) -> Result<Vec<Posterior>, EngineError> {
        images
            .iter()
            .map(|image| {
                let posterior = self.encoder.forward(&self.scaled(image)?)?;
                Ok(Posterior {
                    mu: posterior.mu.flatten_all()?.to_vec1()?,
                    logvar: posterior.logvar.flatten_all()?.to_vec1()?,
                })
            })
            .collect()
    }

    /// (1, 3, H, W) in [-1, 1].
    fn scaled(&self, image: &RgbImage) -> Result<Tensor, EngineError> {
        let shape = (image.height(), image.width(), 3);
        let bytes = Tensor::from_slice(image.pixels(), shape, &self.device)?;
        let planes = bytes.permute((2, 0, 1))?.unsqueeze(0)?.to_dtype(DType::F32)?;
        // As torchvision does it: to [0, 1], then (x - 0.5) / 0.5.
        Ok((((planes / 255.0)? - 0.5)? / 0.5)?.contiguous()?)
    }
}

fn on_device(tensors: &Tensors, device: &candle_core::Device) -> Result<Tensors, EngineError> {
    let moved = tensors.iter().map(|(name, tensor)| Ok((name.clone(), tensor.to_device(device)?)));
    moved.collect::<Result<_, candle_core::Error>>().map_err(EngineError::from)
}
