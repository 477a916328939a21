//! The features of VGG19 that the perceptual loss compares (Simonyan and Zisserman 2014).

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, bail};

use spadework_autograd::{Backend, Conv};

/// Index in torchvision's `features`, input and output channels of the convs up to relu5_1.
const CONVS: [(usize, usize, usize); 13] = [
    (0, 3, 64),
    (2, 64, 64),
    (5, 64, 128),
    (7, 128, 128),
    (10, 128, 256),
    (12, 256, 256),
    (14, 256, 256),
    (16, 256, 256),
    (19, 256, 512),
    (21, 512, 512),
    (23, 512, 512),
    (25, 512, 512),
    (28, 512, 512),
];

/// Convs that a 2×2 max-pooling precedes. The map behind each of these, and behind the first, is a feature.
const POOLED: [usize; 4] = [5, 10, 19, 28];

/// The first thirteen convs, frozen.
#[derive(Clone, Debug)]
pub struct Vgg19 {
    convs: Vec<(Tensor, Tensor)>,
    backend: Backend,
}

impl Vgg19 {
    /// Takes `features.N.weight` and `features.N.bias`, torchvision's names, to where `backend` computes; other tensors are
    /// left alone.
    ///
    /// # Errors
    /// When one is missing or has another shape.
    pub fn new(tensors: &BTreeMap<String, Tensor>, backend: &Backend) -> Result<Self> {
        let get = |name: String, shape: &[usize]| match tensors.get(&name) {
            Some(tensor) if tensor.dims() == shape => {
                tensor.detach().to_device(backend.device())?.contiguous()
            }
            Some(tensor) => bail!("VGG19's `{name}` has shape {:?}, expected {shape:?}", tensor.dims()),
            None => bail!("VGG19's `{name}` is missing; expected one of shape {shape:?}"),
        };
        let convs = CONVS.iter().map(|&(index, input, output)| {
            let weight = get(format!("features.{index}.weight"), &[output, input, 3, 3])?;
            Ok((weight, get(format!("features.{index}.bias"), &[output])?))
        });
        Ok(Self { convs: convs.collect::<Result<_>>()?, backend: backend.clone() })
    }

    /// relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of images (N, H, W, 3).
    ///
    /// # Errors
    /// Where the tensor is not in the memory of a CPU.
    pub fn features(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        let mut x = images.clone();
        let mut features = Vec::new();
        for ((weight, bias), &(index, ..)) in self.convs.iter().zip(&CONVS) {
            let pooled = POOLED.contains(&index);
            if pooled {
                x = self.backend.max_pool(&x)?;
            }
            x = self.backend.conv2d(&x, weight, Some(bias), Conv { slope: 0.0, ..Conv::same(3) })?;
            if pooled || index == 0 {
                features.push(x.clone());
            }
        }
        Ok(features)
    }
}

#[cfg(test)]
impl Vgg19 {
    /// Weights without a meaning that keep the size of what they are multiplied with.
    pub(crate) fn made_up(dtype: candle_core::DType) -> Result<Self> {
        use spadework_autograd::testing::numbers;
        let conv = |&(index, input, output): &(usize, usize, usize)| {
            let bound = (6.0 / (9 * input) as f64).sqrt();
            let weight = (numbers(&[output, input, 3, 3], index as u64) * bound)?;
            let bias = (numbers(&[output], index as u64) * 0.1)?;
            Ok((weight.to_dtype(dtype)?, bias.to_dtype(dtype)?))
        };
        Ok(Self { convs: CONVS.iter().map(conv).collect::<Result<_>>()?, backend: Backend::Cpu })
    }
}
