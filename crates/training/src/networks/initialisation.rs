//! The tensors that a training begins with.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal, Uniform};
use serde::{Deserialize, Serialize};

use super::{
    discriminator::MultiscaleDiscriminator,
    encoder::Encoder,
    layers::conv_name,
    specification::{ConvNorm, Networks, Normalisation},
};
use crate::state::{TrainingState, Variables};
use spadework_autograd::power_iteration;
use spadework_model::{Architecture, Modulation, Norm, Stage};

/// What weights are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initialisation {
    /// What the published run had: convs with spectral norm keep PyTorch's default with biases of 0; all others are
    /// Xavier normal with gain 0.02.
    Published,
    /// PyTorch's default everywhere: uniform in ±1/√fan_in, biases too.
    Default,
}

/// Weight of every channel's noise.
const NOISE: f64 = 0.2;

/// Gain of the published initialisation.
const GAIN: f64 = 0.02;

/// Steps of the power iteration that `u` and `v` begin with.
const POWER_ITERATIONS: usize = 15;

/// Draws all networks' tensors, the same for the same seed.
///
/// # Errors
/// When a tensor cannot be made on `device`.
pub fn initialise(
    networks: &Networks,
    initialisation: Initialisation,
    seed: u64,
    device: &Device,
) -> Result<TrainingState> {
    let network = |stream: u64, build: &dyn Fn(&mut Builder<'_>) -> Result<()>| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        let mut builder = Builder { initialisation, rng, device: &Device::Cpu, tensors: BTreeMap::new() };
        build(&mut builder)?;
        // Drawn on a CPU, so that they have the same bits wherever they go.
        let there = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_device(device)?));
        Variables::from_tensors(builder.tensors.into_iter().map(there).collect::<Result<Vec<_>>>()?)
    };
    let encoder = Encoder::new(networks)
        .map(|encoder| network(1, &|builder| builder.encoder(networks, &encoder)))
        .transpose()?;
    Ok(TrainingState {
        generator: network(0, &|builder| builder.generator(networks))?,
        encoder,
        discriminator: network(2, &|builder| builder.discriminator(networks))?,
    })
}

struct Builder<'a> {
    initialisation: Initialisation,
    rng: ChaCha8Rng,
    device: &'a Device,
    tensors: BTreeMap<String, Tensor>,
}

impl Builder<'_> {
    fn generator(&mut self, networks: &Networks) -> Result<()> {
        let architecture = &networks.architecture;
        let Architecture { hidden, kernel, .. } = *architecture;
        let (width, semantic_nc) = (architecture.start_width(), architecture.semantic_nc());
        match architecture.z_dim {
            Some(z_dim) => {
                let cells = architecture.grid.height * architecture.grid.width;
                self.weight("fc", &[width * cells, z_dim], false, true)?;
            }
            None => self.weight("fc", &[width, semantic_nc, 3, 3], false, true)?,
        }
        let mut widths = 0;
        for stage in architecture.stages() {
            widths += self.block(networks, &stage)?;
        }
        if architecture.modulation == Modulation::Shared {
            self.weight("modulation.mlp_shared.0", &[hidden, semantic_nc, kernel, kernel], false, true)?;
            self.weight("modulation.mlp_gamma_beta", &[2 * widths, hidden, kernel, kernel], false, true)?;
        }
        self.weight("conv_img", &[3, architecture.final_width(), 3, 3], false, true)
    }

    /// Returns the sum of the widths of the block's SPADE layers.
    fn block(&mut self, networks: &Networks, stage: &Stage) -> Result<usize> {
        let (name, input, middle, output) = (stage.name, stage.input, stage.middle(), stage.output);
        let spectral = networks.generator_spectral;
        self.weight(&format!("{name}.conv_0"), &[middle, input, 3, 3], spectral, true)?;
        self.weight(&format!("{name}.conv_1"), &[output, middle, 3, 3], spectral, true)?;
        let mut layers = vec![("norm_0", input), ("norm_1", middle)];
        if stage.learned_shortcut() {
            self.weight(&format!("{name}.conv_s"), &[output, input, 1, 1], spectral, false)?;
            layers.push(("norm_s", input));
        }
        for (layer, channels) in &layers {
            self.spade(&networks.architecture, &format!("{name}.{layer}"), *channels)?;
        }
        if networks.architecture.noise {
            self.constant(&format!("{name}.noise_w"), middle, NOISE)?;
        }
        Ok(layers.iter().map(|(_, channels)| channels).sum())
    }

    fn spade(&mut self, architecture: &Architecture, name: &str, channels: usize) -> Result<()> {
        let Architecture { hidden, kernel, .. } = *architecture;
        if architecture.norm != Norm::Instance {
            self.running(&format!("{name}.param_free_norm"), channels)?;
        }
        if architecture.modulation == Modulation::PerLayer {
            let shape = [hidden, architecture.semantic_nc(), kernel, kernel];
            self.weight(&format!("{name}.mlp_shared.0"), &shape, false, true)?;
            for part in ["mlp_gamma", "mlp_beta"] {
                self.weight(&format!("{name}.{part}"), &[channels, hidden, kernel, kernel], false, true)?;
            }
        }
        Ok(())
    }

    fn encoder(&mut self, networks: &Networks, encoder: &Encoder) -> Result<()> {
        let norm = networks.encoder_conv_norm().unwrap_or_default();
        let mut input = 3;
        for (name, output) in encoder.layers() {
            self.conv(&name, [output, input, 3, 3], norm)?;
            input = output;
        }
        let z_dim = networks.architecture.z_dim.unwrap_or_default();
        for name in ["fc_mu", "fc_var"] {
            self.weight(name, &[z_dim, input * 16], false, true)?;
        }
        Ok(())
    }

    fn discriminator(&mut self, networks: &Networks) -> Result<()> {
        let discriminator = MultiscaleDiscriminator::new(networks);
        for scale in 0..networks.discriminator.scales {
            for (name, shape, _, norm) in discriminator.layers(scale) {
                self.conv(&name, shape, norm)?;
            }
        }
        Ok(())
    }

    /// A conv and the norm layer behind it.
    fn conv(&mut self, name: &str, shape: [usize; 4], norm: ConvNorm) -> Result<()> {
        self.weight(&conv_name(name, norm), &shape, norm.spectral, norm.norm == Normalisation::None)?;
        if matches!(norm.norm, Normalisation::Batch | Normalisation::SyncBatch) {
            let (name, channels) = (format!("{name}.1"), shape[0]);
            self.running(&name, channels)?;
            self.constant(&format!("{name}.weight"), channels, 1.0)?;
            self.constant(&format!("{name}.bias"), channels, 0.0)?;
        }
        Ok(())
    }

    /// A weight (out, in, ...) and its bias, or a weight with spectral norm.
    fn weight(&mut self, name: &str, shape: &[usize], spectral: bool, bias: bool) -> Result<()> {
        let (output, count) = (shape[0], shape.iter().product::<usize>());
        let fan_in = count / output;
        let bound = (fan_in as f64).sqrt().recip();
        let published = self.initialisation == Initialisation::Published;
        let weight = if published && !spectral {
            let fan_out = output * shape[2..].iter().product::<usize>();
            self.normal(count, GAIN * (2.0 / (fan_in + fan_out) as f64).sqrt())
        } else {
            self.uniform(count, bound)?
        };
        let weight = self.tensor(weight, shape)?;
        if bias {
            let values = if published { vec![0.0; output] } else { self.uniform(output, bound)? };
            let bias = self.tensor(values, &[output])?;
            self.tensors.insert(format!("{name}.bias"), bias);
        }
        if !spectral {
            self.tensors.insert(format!("{name}.weight"), weight);
            return Ok(());
        }
        let values = self.normal(output, 1.0);
        let mut vectors = (self.tensor(values, &[output])?, self.tensor(vec![0.0; fan_in], &[fan_in])?);
        for _ in 0..POWER_ITERATIONS {
            vectors = power_iteration(&weight, &vectors.0)?;
        }
        self.tensors.insert(format!("{name}.weight_orig"), weight);
        self.tensors.insert(format!("{name}.weight_u"), vectors.0);
        self.tensors.insert(format!("{name}.weight_v"), vectors.1);
        Ok(())
    }

    fn running(&mut self, name: &str, channels: usize) -> Result<()> {
        self.constant(&format!("{name}.running_mean"), channels, 0.0)?;
        self.constant(&format!("{name}.running_var"), channels, 1.0)?;
        let batches = Tensor::zeros((), DType::I64, self.device)?;
        self.tensors.insert(format!("{name}.num_batches_tracked"), batches);
        Ok(())
    }

    fn constant(&mut self, name: &str, count: usize, value: f64) -> Result<()> {
        let tensor = self.tensor(vec![value as f32; count], &[count])?;
        self.tensors.insert(name.to_owned(), tensor);
        Ok(())
    }

    fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        Tensor::from_vec(values, shape, self.device)
    }

    fn normal(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        let mut draw = || -> f64 { StandardNormal.sample(&mut self.rng) };
        (0..count).map(|_| (draw() * deviation) as f32).collect()
    }

    fn uniform(&mut self, count: usize, bound: f64) -> Result<Vec<f32>> {
        let range = Uniform::new(-bound, bound).map_err(candle_core::Error::wrap)?;
        Ok((0..count).map(|_| range.sample(&mut self.rng) as f32).collect())
    }
}
