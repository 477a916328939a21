//! The generator through tables (paper appendix A).

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use spadework_model::{Architecture, Modulation, Norm, Stage, resize_nearest};

use super::{
    layers::{channels_first, channels_last, linear},
    pass::Pass,
};
use spadework_autograd::{Conv, Moments, Neighbourhoods, Span, upsample_twice};

/// A generator that is trained.
#[derive(Clone, Debug)]
pub struct Generator {
    architecture: Architecture,
    spectral: bool,
}

/// What a batch's images are made from, besides the parameters.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The masks, at every resolution, from [`Neighbourhoods::of_batch`].
    pub masks: &'a [Arc<Neighbourhoods>],
    /// One-hot planes with the edge plane, (N, H, W, semantic_nc); read by a generator that starts from the mask.
    pub semantics: &'a Tensor,
    /// (N, z_dim), for an architecture with a latent.
    pub z: Option<&'a Tensor>,
    /// One (N, 1, h, w) plane for each residual block, for an architecture with noise.
    pub noise: &'a [Tensor],
}

impl Generator {
    /// The generator of `architecture`; `spectral` says whether its residual convs have spectral norm.
    pub fn new(architecture: &Architecture, spectral: bool) -> Self {
        Self { architecture: architecture.clone(), spectral }
    }

    /// Images (N, H, W, 3) in [-1, 1].
    ///
    /// # Errors
    /// When inputs do not fit the architecture, or a parameter is missing.
    pub fn forward(&self, pass: Pass<'_>, inputs: Inputs<'_>) -> Result<Tensor> {
        let expected = self.architecture.noise_planes().len();
        if inputs.noise.len() != expected {
            bail!("{} noise planes were given, the model takes {expected}", inputs.noise.len())
        }
        let mut tables = Tables::new(&self.architecture, pass, inputs.masks)?;
        let mut x = self.start(pass, inputs)?; // (N, sh, sw, 16·ngf)
        for (index, stage) in self.architecture.stages().into_iter().enumerate() {
            let Some(level) = inputs.masks.iter().position(|mask| mask.grid == stage.grid) else {
                bail!("the masks have no level of {:?}", stage.grid)
            };
            let block = Block { generator: self, pass, stage, mask: &inputs.masks[level], level };
            x = block.forward(&x, &mut tables, inputs.noise.get(index))?;
        }
        let weight = pass.parameter("conv_img.weight", &[3, self.architecture.final_width(), 3, 3])?;
        let bias = pass.parameter("conv_img.bias", &[3])?;
        let x = pass.backend.leaky_relu(&x)?;
        pass.backend.conv2d(&x, &weight, Some(&bias), Conv::same(3))?.tanh()
    }

    fn start(&self, pass: Pass<'_>, inputs: Inputs<'_>) -> Result<Tensor> {
        let (grid, width) = (self.architecture.grid, self.architecture.start_width());
        match (self.architecture.z_dim, inputs.z) {
            (Some(_), Some(z)) => {
                let flat = linear(pass, "fc", z, width * grid.height * grid.width)?;
                channels_last(&flat.reshape((z.dim(0)?, width, grid.height, grid.width))?)
            }
            (None, None) => {
                let planes = channels_first(inputs.semantics)?;
                let small = channels_last(&resize_nearest(&planes, grid.height, grid.width)?)?;
                let weight = pass.parameter("fc.weight", &[width, self.architecture.semantic_nc(), 3, 3])?;
                pass.backend.conv2d(
                    &small,
                    &weight,
                    Some(&pass.parameter("fc.bias", &[width])?),
                    Conv::same(3),
                )
            }
            (Some(_), None) => bail!("this model takes a latent `z`; none was given"),
            (None, Some(_)) => bail!("this model has no latent; `z` was given"),
        }
    }
}

/// Where layers get gamma and beta from.
struct Tables<'a> {
    architecture: &'a Architecture,
    pass: Pass<'a>,
    shared: Option<Shared>,
}

/// The network that predicts gamma and beta of all layers.
struct Shared {
    hidden: Vec<Tensor>, // of every resolution
    weight: Tensor,
    bias: Tensor,
    next: usize, // first row of the next layer
}

impl<'a> Tables<'a> {
    fn new(architecture: &'a Architecture, pass: Pass<'a>, masks: &[Arc<Neighbourhoods>]) -> Result<Self> {
        let mut tables = Self { architecture, pass, shared: None };
        if architecture.modulation == Modulation::Shared {
            let layers = architecture.stages().into_iter().map(|stage| {
                stage.input + stage.middle() + if stage.learned_shortcut() { stage.input } else { 0 }
            });
            let rows = 2 * layers.sum::<usize>();
            let Architecture { hidden, kernel, .. } = *architecture;
            let name = "modulation.mlp_gamma_beta";
            tables.shared = Some(Shared {
                hidden: masks.iter().map(|mask| tables.hidden("modulation", mask)).collect::<Result<_>>()?,
                weight: pass.parameter(&format!("{name}.weight"), &[rows, hidden, kernel, kernel])?,
                bias: pass.parameter(&format!("{name}.bias"), &[rows])?,
                next: 0,
            });
        }
        Ok(tables)
    }

    fn hidden(&self, part: &str, mask: &Arc<Neighbourhoods>) -> Result<Tensor> {
        let Architecture { hidden: width, kernel, .. } = *self.architecture;
        let shape = [width, self.architecture.semantic_nc(), kernel, kernel];
        let weight = self.pass.parameter(&format!("{part}.mlp_shared.0.weight"), &shape)?;
        let bias = self.pass.parameter(&format!("{part}.mlp_shared.0.bias"), &[width])?;
        self.pass.backend.hidden(&weight, &bias, mask, self.architecture.label_planes())
    }

    /// The table (neighbourhoods, 2C) of the layer `name`; layers must ask in network order.
    fn layer(
        &mut self,
        name: &str,
        channels: usize,
        mask: &Arc<Neighbourhoods>,
        level: usize,
    ) -> Result<Tensor> {
        if let Some(shared) = &mut self.shared {
            let (start, rows) = (shared.next, 2 * channels);
            shared.next += rows;
            let (weight, bias) = (shared.weight.narrow(0, start, rows)?, shared.bias.narrow(0, start, rows)?);
            return self.pass.backend.table(&shared.hidden[level], &weight, &bias, mask);
        }
        let Architecture { hidden, kernel, .. } = *self.architecture;
        let both = |leaf: &str, shape: &[usize]| {
            let [gamma, beta] = ["mlp_gamma", "mlp_beta"]
                .map(|part| self.pass.parameter(&format!("{name}.{part}.{leaf}"), shape));
            Tensor::cat(&[gamma?, beta?], 0)
        };
        let (weight, bias) =
            (both("weight", &[channels, hidden, kernel, kernel])?, both("bias", &[channels])?);
        self.pass.backend.table(&self.hidden(name, mask)?, &weight, &bias, mask)
    }
}

/// One residual block in a pass (paper figure 4).
struct Block<'a> {
    generator: &'a Generator,
    pass: Pass<'a>,
    stage: Stage,
    mask: &'a Arc<Neighbourhoods>,
    level: usize,
}

impl Block<'_> {
    /// (N, h, w, in) → (N, H, W, out): the input is not up-sampled yet where the block doubles.
    fn forward(&self, x: &Tensor, tables: &mut Tables<'_>, noise: Option<&Tensor>) -> Result<Tensor> {
        let Stage { name, input, output, doubled, .. } = self.stage;
        let middle = self.stage.middle();
        let repeats = if doubled { 4 } else { 1 };
        let shortcut_norm = self.stage.learned_shortcut().then_some("norm_s");
        let names: Vec<&str> = std::iter::once("norm_0").chain(shortcut_norm).collect();
        let moments = self.moments(&names, x, repeats)?;

        let rows = tables.layer(&format!("{name}.norm_0"), input, self.mask, self.level)?;
        let dx = self.pass.backend.modulate(x, &rows, self.mask, &moments[0], true)?;
        let mut dx = self.conv("conv_0", &dx, [middle, input, 3, 3], true)?;
        if let Some(noise) = noise {
            dx = self.pass.backend.add_noise(
                &dx,
                &self.pass.parameter(&format!("{name}.noise_w"), &[middle])?,
                noise,
            )?;
        }
        let inner = self.moments(&["norm_1"], &dx, 1)?;
        let rows = tables.layer(&format!("{name}.norm_1"), middle, self.mask, self.level)?;
        let dx = self.pass.backend.modulate(&dx, &rows, self.mask, &inner[0], true)?;
        let dx = self.conv("conv_1", &dx, [output, middle, 3, 3], true)?;

        if shortcut_norm.is_some() {
            let rows = tables.layer(&format!("{name}.norm_s"), input, self.mask, self.level)?;
            let shortcut = self.pass.backend.modulate(x, &rows, self.mask, &moments[1], false)?; // no activation
            self.conv("conv_s", &shortcut, [output, input, 1, 1], false)?.add(&dx)
        } else if doubled {
            upsample_twice(x)?.add(&dx)
        } else {
            x.add(&dx)
        }
    }

    fn conv(&self, conv: &str, x: &Tensor, shape: [usize; 4], bias: bool) -> Result<Tensor> {
        let name = format!("{}.{conv}", self.stage.name);
        let weight = self.pass.weight(&name, &shape, self.generator.spectral)?;
        let bias = if bias { Some(self.pass.parameter(&format!("{name}.bias"), &shape[..1])?) } else { None };
        self.pass.backend.conv2d(x, &weight, bias.as_ref(), Conv::same(shape[2]))
    }

    /// The statistics that the block's norms called `names`, which all read `x`, normalise by.
    fn moments(&self, names: &[&str], x: &Tensor, repeats: usize) -> Result<Vec<Arc<Moments>>> {
        let norm = self.generator.architecture.norm;
        if norm == Norm::Instance {
            let moments = Arc::new(self.pass.backend.moments(x, Span::Image)?);
            return Ok(vec![moments; names.len()]);
        }
        let names: Vec<String> =
            names.iter().map(|norm| format!("{}.{norm}.param_free_norm", self.stage.name)).collect();
        self.pass.batch_moments(&names, x, repeats, norm == Norm::SyncBatch)
    }
}
