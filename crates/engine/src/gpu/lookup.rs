//! A conv whose input is one-hot: a sum of weight rows, one for each tap.

use candle_core::{DType, Device, Result, Tensor};
use spadework_model::{Architecture, Prefixed};

use super::weights::{Target, read};
use crate::plan::codes::decode;

/// A "same" conv over semantic planes, as a table with a row for each tap and code.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// (taps · codes, width), f32.
    pub(crate) weights: Tensor,
    /// (width), f32.
    pub(crate) bias: Tensor,
    /// The type of what it makes.
    pub(crate) dtype: DType,
}

/// The codes that a model's masks may have: [`OUTSIDE`](crate::plan::codes::OUTSIDE), one that is not used, and two for
/// each label.
pub(super) fn codes(architecture: &Architecture) -> usize {
    2 * (architecture.label_planes() + 1)
}

impl Lookup {
    /// Reads `weight` (width, planes, k, k) and `bias` of a conv of odd `kernel`.
    pub(super) fn read(
        part: &Prefixed<'_>,
        architecture: &Architecture,
        width: usize,
        kernel: usize,
        target: &Target,
    ) -> Result<Self> {
        let (planes, taps) = (architecture.semantic_nc(), kernel * kernel);
        let weight = read(part, "weight", &[width, planes, kernel, kernel])?;
        let weight = weight.flatten_from(2)?.permute((2, 1, 0))?.flatten_all()?.to_vec1::<f32>()?; // [tap][plane][width]
        let mut rows = vec![0.0; taps * codes(architecture) * width];
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            let (tap, code) = (i / codes(architecture), i % codes(architecture));
            let Some((label, edge)) = (code > 1).then(|| decode(code as u16)).flatten() else { continue };
            let edge = edge.then_some(architecture.label_planes()).filter(|&plane| plane < planes);
            for plane in [Some(label), edge].into_iter().flatten() {
                let weight = &weight[(tap * planes + plane) * width..][..width];
                row.iter_mut().zip(weight).for_each(|(sum, weight)| *sum += weight);
            }
        }
        let rows = Tensor::from_vec(rows, (taps * codes(architecture), width), &Device::Cpu)?;
        Ok(Self {
            weights: target.exact(&rows)?,
            bias: target.exact(&read(part, "bias", &[width])?)?,
            dtype: target.dtype,
        })
    }
}
