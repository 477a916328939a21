//! Label ids to the semantic map the networks read.

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::architecture::Architecture;

/// Label maps and instance edges of a batch, both (N, H, W), row-major, at the architecture's mask size.
#[derive(Clone, Copy, Debug)]
pub struct LabelBatch<'a> {
    /// Class ids, each below [`Architecture::label_planes`].
    pub ids: &'a [u8],
    /// 1 on instance boundaries, else 0; needed exactly when the model has an edge plane.
    pub edges: Option<&'a [u8]>,
}

/// One-hot planes of the labels with the edge plane behind them: (N, semantic_nc, H, W).
///
/// # Errors
/// When a length does not fit the mask size, an id has no plane, or edges are missing or not wanted.
pub fn one_hot(
    architecture: &Architecture,
    batch: LabelBatch<'_>,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let pixels = architecture.mask.height * architecture.mask.width;
    let planes = architecture.semantic_nc();
    if batch.ids.is_empty() || !batch.ids.len().is_multiple_of(pixels) {
        bail!("{} label ids are not a whole number of {pixels}-pixel maps", batch.ids.len())
    }
    if batch.edges.map(<[u8]>::len) != architecture.instance_edges.then_some(batch.ids.len()) {
        bail!("instance edges must be given for every pixel of a model with edges, and for no other")
    }
    let mut values = vec![0f32; batch.ids.len() * planes];
    for (i, &id) in batch.ids.iter().enumerate() {
        if usize::from(id) >= architecture.label_planes() {
            bail!("label id {id} has no plane; the model has {}", architecture.label_planes())
        }
        let picture = i / pixels * planes * pixels;
        values[picture + usize::from(id) * pixels + i % pixels] = 1.0;
        if let Some(edges) = batch.edges {
            values[picture + (planes - 1) * pixels + i % pixels] = f32::from(edges[i]);
        }
    }
    let shape = (batch.ids.len() / pixels, planes, architecture.mask.height, architecture.mask.width);
    Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
}
