//! One model on one device.

use spadework_imaging::RgbImage;
use spadework_model::{Architecture, Tensors};

use crate::{
    Device, EngineError, Input, Planner, Posterior, Precision, Settings, cpu::Network, isa::Isa,
    plain::PlainEncoder,
};
#[cfg(feature = "cuda")]
use crate::{cuda, tables};

/// One model on one device, used by that device's thread alone.
pub struct Engine {
    architecture: Architecture,
    generator: AnyGenerator,
    encoder: Option<PlainEncoder>,
}

/// Who makes the pictures.
enum AnyGenerator {
    /// Exact tables and packed convs, on the processor.
    Cpu(Box<Network>),
    /// Exact tables and whole batches, on a GPU.
    #[cfg(feature = "cuda")]
    Cuda(Box<tables::Network>, Precision),
}

impl Engine {
    /// Builds the engine from folded tensors under their published names.
    ///
    /// # Errors
    /// When the device cannot be had, or a tensor is missing or misshapen.
    pub fn load(
        architecture: &Architecture,
        generator: &Tensors,
        encoder: Option<&Tensors>,
        settings: Settings,
    ) -> Result<Self, EngineError> {
        let (device, generator) = match settings.device {
            Device::Cpu => {
                let network = Network::load(architecture, generator, Isa::best(), settings.threads)?;
                (candle_core::Device::Cpu, AnyGenerator::Cpu(Box::new(network)))
            }
            #[cfg(feature = "cuda")]
            Device::Cuda(ordinal) => on_cuda(architecture, generator, ordinal, settings.precision)?,
            #[cfg(not(feature = "cuda"))]
            Device::Cuda(_) => return Err(crate::devices::without_cuda(&settings.device.to_string())),
        };
        let encoder =
            encoder.map(|tensors| PlainEncoder::load(architecture, tensors, &device)).transpose()?;
        Ok(Self { architecture: architecture.clone(), generator, encoder })
    }

    /// Plans masks for this engine, on any thread.
    pub fn planner(&self) -> Planner {
        Planner::new(&self.architecture)
    }

    /// The precision this engine computes in.
    pub fn precision(&self) -> Precision {
        match &self.generator {
            AnyGenerator::Cpu(_) => Precision::Highest,
            #[cfg(feature = "cuda")]
            AnyGenerator::Cuda(_, precision) => *precision,
        }
    }

    /// The instruction set of the kernels on a processor, such as `avx512`; none on a GPU.
    pub fn instruction_set(&self) -> Option<&'static str> {
        match &self.generator {
            AnyGenerator::Cpu(network) => Some(network.isa().name()),
            #[cfg(feature = "cuda")]
            AnyGenerator::Cuda(..) => None,
        }
    }

    /// Pictures, one for each input, in order. A picture does not depend on its batch; on a GPU, whose libraries choose
    /// by a batch's size, that is to be shown for each device.
    ///
    /// Bytes are truncated, not rounded, as the published code does: `trunc(clip((x + 1) / 2 · 255, 0, 255))`.
    pub fn generate(&mut self, inputs: &[Input]) -> Result<Vec<RgbImage>, EngineError> {
        let picture = self.architecture.picture();
        #[cfg(feature = "cuda")]
        if let AnyGenerator::Cuda(network, _) = &self.generator {
            let pictures = network.generate(inputs)?.into_iter();
            return pictures.map(|bytes| rgb(bytes, picture.width, picture.height)).collect();
        }
        self.generate_tensor(inputs)?
            .iter()
            .map(|values| to_rgb(values, picture.width, picture.height))
            .collect()
    }

    /// The network's own numbers in [-1, 1], C H W, one for each input.
    pub fn generate_tensor(&mut self, inputs: &[Input]) -> Result<Vec<Vec<f32>>, EngineError> {
        match &mut self.generator {
            AnyGenerator::Cpu(network) => network.generate(inputs),
            #[cfg(feature = "cuda")]
            AnyGenerator::Cuda(network, _) => network.generate_tensor(inputs),
        }
    }

    /// The posterior of `z` for each style picture. Pictures come at the mask's size.
    pub fn encode_style(&mut self, pictures: &[&RgbImage]) -> Result<Vec<Posterior>, EngineError> {
        match &self.encoder {
            Some(encoder) => encoder.encode(pictures),
            None => Err(EngineError::Input("this model has no style encoder".to_owned())),
        }
    }
}

fn to_rgb(values: &[f32], width: usize, height: usize) -> Result<RgbImage, EngineError> {
    let plane = width * height;
    let mut pixels = vec![0; 3 * plane];
    for (i, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        for (c, byte) in pixel.iter_mut().enumerate() {
            *byte = ((values[c * plane + i] + 1.0) / 2.0 * 255.0).clamp(0.0, 255.0) as u8; // `as` truncates
        }
    }
    rgb(pixels, width, height)
}

fn rgb(pixels: Vec<u8>, width: usize, height: usize) -> Result<RgbImage, EngineError> {
    RgbImage::new(width, height, pixels).map_err(|error| EngineError::Input(error.to_string()))
}

/// The generator on a CUDA device of its own stream.
#[cfg(feature = "cuda")]
fn on_cuda(
    architecture: &Architecture,
    generator: &Tensors,
    ordinal: usize,
    precision: Option<Precision>,
) -> Result<(candle_core::Device, AnyGenerator), EngineError> {
    let device = cuda::open(ordinal)?;
    let precision = match precision {
        Some(precision) => precision,
        None => cuda::best_precision(&device)?,
    };
    let network = cuda::network(architecture, generator, &device, precision)?;
    Ok((candle_core::Device::Cuda(device), AnyGenerator::Cuda(Box::new(network), precision)))
}
