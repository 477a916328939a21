//! The generator: a latent or a label map in, a picture out (paper appendix A).

use candle_core::{Result, Tensor, bail};

use crate::{
    architecture::{Architecture, Modulation, Stage},
    conv::{Conv2d, Linear, leaky_relu},
    modulation::SharedModulation,
    norm::BatchStatistics,
    parameters::{Parameters, Prefixed},
    residual::{SpadeResBlock, Surroundings},
    resize::{resize_nearest, upsample_twice},
};

/// The SPADE generator with spectral norm folded away.
#[derive(Clone, Debug)]
pub struct Generator {
    architecture: Architecture,
    start: Start,
    blocks: Vec<(Stage, SpadeResBlock)>,
    modulation: Option<SharedModulation>,
    conv_img: Conv2d,
}

/// What the first feature map is made from.
#[derive(Clone, Debug)]
enum Start {
    Latent(Linear),
    LabelMap(Conv2d),
}

/// What one batch of pictures is made from.
#[derive(Clone, Copy)]
pub struct GeneratorInput<'a> {
    /// (N, semantic_nc, H, W) at the mask's resolution; see [`crate::one_hot`].
    pub semantics: &'a Tensor,
    /// (N, z_dim), for a model with a latent.
    pub z: Option<&'a Tensor>,
    /// One (N, 1, h, w) plane for each residual block, for a model with noise; see [`Architecture::noise_planes`].
    pub noise: &'a [Tensor],
}

impl Generator {
    /// Builds the network from its folded tensors under their published names.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape than the architecture asks for.
    pub fn new(parameters: &dyn Parameters, architecture: &Architecture) -> Result<Self> {
        architecture.check().map_err(candle_core::Error::wrap)?;
        let root = Prefixed::root(parameters);
        let width = architecture.start_width();
        let start = match architecture.z_dim {
            Some(z_dim) => {
                let cells = architecture.grid.height * architecture.grid.width;
                Start::Latent(Linear::new(&root.part("fc"), z_dim, width * cells)?)
            }
            None => Start::LabelMap(Conv2d::same(&root.part("fc"), architecture.semantic_nc(), width, 3)?),
        };
        let blocks = architecture
            .stages()
            .into_iter()
            .map(|stage| Ok((stage, SpadeResBlock::new(&root.part(stage.name), architecture, &stage)?)))
            .collect::<Result<_>>()?;
        let modulation = match architecture.modulation {
            Modulation::PerLayer => None,
            Modulation::Shared => Some(SharedModulation::new(parameters, architecture)?),
        };
        let conv_img = Conv2d::same(&root.part("conv_img"), architecture.final_width(), 3, 3)?;
        Ok(Self { architecture: architecture.clone(), start, blocks, modulation, conv_img })
    }

    /// Pictures (N, 3, H, W) in [-1, 1], with running statistics.
    ///
    /// # Errors
    /// When shapes or types do not agree.
    pub fn forward(&self, input: GeneratorInput<'_>) -> Result<Tensor> {
        self.run(input, None)
    }

    /// The same with batch statistics, which `statistics` supplies and records.
    ///
    /// # Errors
    /// When shapes or types do not agree.
    pub fn forward_train(
        &self,
        input: GeneratorInput<'_>,
        statistics: &dyn BatchStatistics,
    ) -> Result<Tensor> {
        self.run(input, Some(statistics))
    }

    fn run(&self, input: GeneratorInput<'_>, training: Option<&dyn BatchStatistics>) -> Result<Tensor> {
        let expected = self.architecture.noise_planes().len();
        if input.noise.len() != expected {
            bail!("{} noise planes were given, the model takes {expected}", input.noise.len())
        }
        let semantics = input.semantics;
        let hidden = match &self.modulation {
            Some(modulation) => Some((modulation, modulation.hidden(semantics)?)),
            None => None,
        };
        let mut layer = 0;
        let mut x = self.start(&input)?; // (N, 16·ngf, sh, sw)
        for (index, (stage, block)) in self.blocks.iter().enumerate() {
            if stage.doubled {
                x = upsample_twice(&x)?;
            }
            let layers = 2 + usize::from(stage.learned_shortcut());
            let shared = match &hidden {
                Some((modulation, hidden)) => (layer..layer + layers)
                    .map(|layer| modulation.layer(hidden, layer, stage.grid.height, stage.grid.width))
                    .collect::<Result<_>>()?,
                None => Vec::new(),
            };
            layer += layers;
            let noise = input.noise.get(index);
            x = block.forward(&x, Surroundings { semantics, noise, shared, training })?;
        }
        self.conv_img.forward(&leaky_relu(&x)?)?.tanh()
    }

    fn start(&self, input: &GeneratorInput<'_>) -> Result<Tensor> {
        let grid = self.architecture.grid;
        match (&self.start, input.z) {
            (Start::Latent(fc), Some(z)) => {
                fc.forward(z)?.reshape((z.dim(0)?, self.architecture.start_width(), grid.height, grid.width))
            }
            (Start::LabelMap(fc), None) => {
                fc.forward(&resize_nearest(input.semantics, grid.height, grid.width)?)
            }
            (Start::Latent(_), None) => bail!("this model takes a latent `z`; none was given"),
            (Start::LabelMap(_), Some(_)) => bail!("this model has no latent; `z` was given"),
        }
    }
}
