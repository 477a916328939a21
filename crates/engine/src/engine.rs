//! One model on one device.

use std::sync::Arc;

use spadework_imaging::RgbImage;
use spadework_model::{Architecture, Grid, Tensors};

use crate::{
    CacheUse, Cached, Device, EngineError, Event, Input, Planner, Posterior, Precision, ProfileSink,
    Settings, Submitted,
    cache::Images,
    cpu::{CpuGenerator, Policy},
    in_flight::rgb,
    reference::PlainEncoder,
};
#[cfg(feature = "cuda")]
use crate::{
    InFlight,
    gpu::{self, cuda},
};
use spadework_kernels::cpu::{InstructionSet, Instructions};

/// Images get one part in so many of the cache; tables get the rest.
const IMAGES_SHARE: usize = 8;

/// One model on one device, used by that device's thread alone.
pub struct Engine {
    architecture: Architecture,
    generator: AnyGenerator,
    encoder: Option<PlainEncoder>,
    images: Images,
    cache_use: Arc<CacheUse>,
    warnings: Vec<String>,
}

/// Who makes the images.
enum AnyGenerator {
    /// Exact tables and packed convs, on the processor.
    Cpu { network: Box<CpuGenerator>, precision: Precision },
    /// Exact tables and whole batches, on a GPU.
    #[cfg(feature = "cuda")]
    Cuda(Box<gpu::GpuGenerator>, Precision),
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
        let (generator, warnings) = match settings.device {
            Device::Cpu => on_cpu(architecture, generator, settings)?,
            #[cfg(feature = "cuda")]
            Device::Cuda(ordinal) => on_cuda(architecture, generator, ordinal, settings)?,
            #[cfg(not(feature = "cuda"))]
            Device::Cuda(_) => return Err(crate::devices::without_cuda(&settings.device.to_string())),
        };
        let encoder = encoder.map(|tensors| on_stream_of_its_own(architecture, tensors, settings.device));
        Ok(Self {
            architecture: architecture.clone(),
            generator,
            encoder: encoder.transpose()?,
            images: Images::new(settings.cache_bytes / IMAGES_SHARE),
            cache_use: Arc::default(),
            warnings,
        })
    }

    /// Plans masks for this engine, on any thread.
    pub fn planner(&self) -> Planner {
        Planner::new(&self.architecture)
    }

    /// The precision this engine computes in, which may be better than what was asked for.
    pub fn precision(&self) -> Precision {
        match &self.generator {
            AnyGenerator::Cpu { precision, .. } => *precision,
            #[cfg(feature = "cuda")]
            AnyGenerator::Cuda(_, precision) => *precision,
        }
    }

    /// The instruction set of the kernels on a processor, such as `avx512`; none on a GPU.
    pub fn instruction_set(&self) -> Option<InstructionSet> {
        match &self.generator {
            AnyGenerator::Cpu { network, .. } => Some(network.instruction_set()),
            #[cfg(feature = "cuda")]
            AnyGenerator::Cuda(..) => None,
        }
    }

    /// What could not be used and why, since it was asked for the last time: sentences for a log. There may be some when the
    /// engine was loaded and after every batch that it has begun.
    pub fn drain_warnings(&mut self) -> Vec<String> {
        let warnings = std::mem::take(&mut self.warnings);
        match &self.generator {
            AnyGenerator::Cpu { .. } => warnings,
            #[cfg(feature = "cuda")]
            AnyGenerator::Cuda(network, _) => [warnings, network.drain_warnings()].concat(),
        }
    }

    /// How the cache has been used, readable from any thread.
    pub fn cache_use(&self) -> Arc<CacheUse> {
        self.cache_use.clone()
    }

    /// Counts the cache's use in `cache_use` from now on.
    pub fn count_in(&mut self, cache_use: Arc<CacheUse>) {
        self.cache_use = cache_use;
    }

    /// Forgets all tables and images.
    pub fn forget(&mut self) {
        self.images.clear();
        match &mut self.generator {
            AnyGenerator::Cpu { network, .. } => network.forget(),
            #[cfg(feature = "cuda")]
            AnyGenerator::Cuda(..) => {}
        }
        self.count(None);
    }

    /// Images, one for each input, in order. An image depends neither on its batch nor on what is cached; on a GPU, whose
    /// libraries choose by a batch's size, that is to be shown for each device.
    ///
    /// Bytes are truncated, not rounded, as the published code does: `trunc(clip((x + 1) / 2 · 255, 0, 255))`.
    ///
    /// # Errors
    /// When an input is not one of this model's, or the device fails.
    pub fn generate(&mut self, inputs: &[Input]) -> Result<Vec<RgbImage>, EngineError> {
        match self.begin(inputs, &Event::default())? {
            Submitted::Finished(images) => Ok(images),
            Submitted::InFlight(pending) => Ok(pending.finish()?.0),
        }
    }

    /// [`generate`](Self::generate), but on a GPU without waiting for the images. The device begins when it has come to
    /// `after`, the end of the batch that it was given before, by this engine or another.
    ///
    /// # Errors
    /// As [`generate`](Self::generate); what goes wrong on the device later, [`InFlight::finish`](crate::InFlight::finish)
    /// tells.
    pub fn begin(&mut self, inputs: &[Input], after: &Event) -> Result<Submitted, EngineError> {
        #[cfg(feature = "cuda")]
        if let AnyGenerator::Cuda(network, _) = &self.generator
            && let Some(download) = network.begin(inputs, after)?
        {
            let Grid { height, width } = self.architecture.picture();
            return Ok(Submitted::InFlight(InFlight::new(download, width, height)));
        }
        let _ = after; // a processor has ended what it was given before
        Ok(Submitted::Finished(inputs.iter().map(|input| self.one(input)).collect::<Result<_, _>>()?))
    }

    fn one(&mut self, input: &Input) -> Result<RgbImage, EngineError> {
        if let Some(image) = self.images.find(input) {
            self.count(Some(Cached::Hit));
            return Ok(image);
        }
        let Grid { height, width } = self.architecture.picture();
        let image = to_rgb(&self.profile(input, &mut |_| ())?, width, height)?;
        self.images.keep(input, &image);
        Ok(image)
    }

    /// The network's own numbers in [-1, 1], C H W, one for each input.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn generate_tensor(&mut self, inputs: &[Input]) -> Result<Vec<Vec<f32>>, EngineError> {
        #[cfg(feature = "cuda")]
        if let AnyGenerator::Cuda(network, _) = &self.generator {
            return network.generate_tensor(inputs);
        }
        inputs.iter().map(|input| self.profile(input, &mut |_| ())).collect()
    }

    /// The network's own numbers for one input; `sink` is told each part of the work as it ends, on a processor.
    ///
    /// # Errors
    /// As [`generate_tensor`](Self::generate_tensor).
    pub fn profile(&mut self, input: &Input, sink: ProfileSink<'_>) -> Result<Vec<f32>, EngineError> {
        let (values, cached) = match &mut self.generator {
            AnyGenerator::Cpu { network, .. } => network.generate(input, sink)?,
            #[cfg(feature = "cuda")]
            AnyGenerator::Cuda(network, _) => {
                return Ok(network.generate_tensor(std::slice::from_ref(input))?.concat());
            }
        };
        self.count(Some(cached));
        Ok(values)
    }

    fn count(&self, cached: Option<Cached>) {
        cached.into_iter().for_each(|cached| self.cache_use.add(cached));
        let tables = match &self.generator {
            AnyGenerator::Cpu { network, .. } => network.table_bytes(),
            #[cfg(feature = "cuda")]
            AnyGenerator::Cuda(..) => 0,
        };
        self.cache_use.set_bytes(tables + self.images.bytes());
    }

    /// The posterior of `z` for each style image. Images come at the mask's size.
    ///
    /// # Errors
    /// When the model has no encoder, an image has another size than the model's, or the device fails.
    pub fn encode_style(&mut self, images: &[&RgbImage]) -> Result<Vec<Posterior>, EngineError> {
        match &self.encoder {
            Some(encoder) => encoder.encode(images),
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

/// The generator on the processor.
fn on_cpu(
    architecture: &Architecture,
    generator: &Tensors,
    settings: Settings,
) -> Result<(AnyGenerator, Vec<String>), EngineError> {
    let instructions = Instructions::choose(settings.instruction_set);
    let (policy, precision) = Policy::new(settings.precision, &instructions);
    let tables = settings.cache_bytes - settings.cache_bytes / IMAGES_SHARE;
    let network = CpuGenerator::load(architecture, generator, policy, settings.threads, tables)?;
    let mut warnings = instructions.warnings;
    if settings.cuda_graphs {
        warnings.push("`--cuda-graphs` has no effect on a processor".to_owned());
    }
    Ok((AnyGenerator::Cpu { network: Box::new(network), precision }, warnings))
}

/// The generator on a CUDA device of its own stream.
#[cfg(feature = "cuda")]
fn on_cuda(
    architecture: &Architecture,
    generator: &Tensors,
    ordinal: usize,
    settings: Settings,
) -> Result<(AnyGenerator, Vec<String>), EngineError> {
    let device = spadework_kernels::cuda::open(ordinal)?;
    let precision = match settings.precision {
        Some(precision) => precision,
        None => cuda::best_precision(&device)?,
    };
    let (network, warnings) =
        cuda::network(architecture, generator, &device, precision, settings.cuda_graphs)?;
    Ok((AnyGenerator::Cuda(Box::new(network), precision), warnings))
}

/// The encoder. On a CUDA device it is waited for, which on the generator's stream would be for the batch that runs.
fn on_stream_of_its_own(
    architecture: &Architecture,
    encoder: &Tensors,
    device: Device,
) -> Result<PlainEncoder, EngineError> {
    let device = match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(ordinal) => candle_core::Device::Cuda(spadework_kernels::cuda::open(ordinal)?),
        _ => candle_core::Device::Cpu,
    };
    PlainEncoder::load(architecture, encoder, &device)
}
