//! The first feature map, from a latent or from the mask itself.

use candle_core::{DType, Result, Tensor};
use spadework_model::{Architecture, Grid, Prefixed};

use super::{
    batch_level::lookup_rows,
    lookup::{Lookup, codes},
    operators::Operators,
    weights::{Target, read},
};
use crate::Input;

/// What the network starts from.
#[derive(Debug)]
pub(super) enum Start {
    /// Linear, z → (H, W, C).
    Latent { weight: Tensor, bias: Tensor },
    /// conv 3×3 on the mask at the latent grid's size.
    LabelMap { conv: Lookup, codes: usize },
}

const KERNEL: usize = 3;

impl Start {
    pub(super) fn read(root: &Prefixed<'_>, architecture: &Architecture, target: &Target) -> Result<Self> {
        let (part, width) = (root.part("fc"), architecture.start_width());
        let Some(z_dim) = architecture.z_dim else {
            let conv = Lookup::read(&part, architecture, width, KERNEL, target)?;
            return Ok(Self::LabelMap { conv, codes: codes(architecture) });
        };
        let cells = architecture.grid.height * architecture.grid.width;
        let weight = read(&part, "weight", &[width * cells, z_dim])?.reshape((width, cells, z_dim))?;
        let bias = read(&part, "bias", &[width * cells])?.reshape((width, cells))?;
        Ok(Self::Latent {
            weight: target.rounded(&weight.permute((2, 1, 0))?.contiguous()?.flatten_from(1)?)?, // (z, cells · C)
            bias: target.exact(&bias.t()?.contiguous()?.flatten_all()?)?,
        })
    }

    /// The first feature map (N, H, W, C).
    pub(super) fn run(
        &self,
        operators: &dyn Operators,
        inputs: &[Input],
        grid: Grid,
        target: &Target,
    ) -> Result<Tensor> {
        let Grid { height, width } = grid;
        let x = match self {
            // One by one: the product of a single row must not depend on how many there are.
            Self::Latent { weight, bias } => {
                let latents: Vec<f32> =
                    inputs.iter().filter_map(|input| input.z.as_deref()).flatten().copied().collect();
                let latents = operators.upload_real(&latents)?.reshape((inputs.len(), ()))?;
                let latents = latents.to_dtype(target.dtype)?;
                let row = |place: usize| {
                    let row = operators.blank(&[1, weight.dim(1)?], target.dtype)?;
                    operators.product(&latents.narrow(0, place, 1)?, weight, &row)?;
                    row.to_dtype(DType::F32)?.broadcast_add(bias)
                };
                let rows = (0..inputs.len()).map(row).collect::<Result<Vec<_>>>()?;
                Tensor::cat(&rows, 0)?.to_dtype(target.dtype)?
            }
            Self::LabelMap { conv, codes } => {
                let maps = inputs.iter().filter_map(|input| input.plan.start.as_ref());
                let patches: Vec<u16> = maps.flat_map(|map| map.windows(KERNEL)).collect();
                let area = KERNEL * KERNEL;
                let mut write = |memory: &mut [u32]| {
                    let rows = lookup_rows(&patches, area, *codes);
                    memory.iter_mut().zip(rows).for_each(|(place, row)| *place = row);
                };
                let rows =
                    operators.upload(patches.len(), &mut write)?.reshape((patches.len() / area, area))?;
                operators.lookup(&rows, conv, false)?
            }
        };
        x.reshape((inputs.len(), height, width, ()))
    }
}
