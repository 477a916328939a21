//! A small network whose features the perceptual loss compares where VGG19's weights cannot be had. It has learnt what a
//! renderer knows of its images: class, substance, direction, distance and light (`spadework-train features`).

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, bail};

use spadework_autograd::{Backend, Conv, SLOPE};

/// The file in the folder that `--perceptual` takes.
pub const FEATURES_FILE: &str = "features.safetensors";

/// Name, output and input channels, and stride of each conv; all are 3×3, with a leaky ReLU behind them. What the last
/// conv of a size gives is a feature.
pub(crate) const CONVS: [(&str, usize, usize, usize); 7] = [
    ("stage_1.0", 16, 3, 1),
    ("stage_2.0", 32, 16, 2),
    ("stage_2.1", 32, 32, 1),
    ("stage_3.0", 64, 32, 2),
    ("stage_3.1", 64, 64, 1),
    ("stage_4.0", 128, 64, 2),
    ("stage_4.1", 128, 128, 1),
];

/// Convs behind which there is a feature.
const FEATURES: [&str; LEVELS] = ["stage_1.0", "stage_2.1", "stage_3.1", "stage_4.1"];
/// How many features there are.
pub(crate) const LEVELS: usize = 4;
/// Their weights in the loss, the coarsest the heaviest, as VGG19's are.
const WEIGHTS: [f64; LEVELS] = [1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0, 1.0];
/// The tensor of the features' mean magnitudes, by which the loss divides.
pub(crate) const MAGNITUDES: &str = "magnitudes";

/// The network, frozen.
#[derive(Clone, Debug)]
pub struct SceneFeatures {
    convs: Vec<(Tensor, Tensor)>,
    weights: [f64; LEVELS],
    backend: Backend,
}

impl SceneFeatures {
    /// Takes the tensors that `spadework-train features` writes to where `backend` computes.
    ///
    /// # Errors
    /// When one is missing or has another shape.
    pub fn new(tensors: &BTreeMap<String, Tensor>, backend: &Backend) -> Result<Self> {
        let get = |name: String, shape: &[usize]| match tensors.get(&name) {
            Some(tensor) if tensor.dims() == shape => {
                tensor.detach().to_device(backend.device())?.contiguous()
            }
            Some(tensor) => bail!("`{name}` has shape {:?}, expected {shape:?}", tensor.dims()),
            None => bail!("`{name}` is missing; expected one of shape {shape:?}"),
        };
        let convs = CONVS.iter().map(|&(name, output, input, _)| {
            let weight = get(format!("{name}.weight"), &[output, input, 3, 3])?;
            Ok((weight, get(format!("{name}.bias"), &[output])?))
        });
        let magnitudes = get(MAGNITUDES.to_owned(), &[LEVELS])?.to_vec1::<f32>()?;
        let mut weights = WEIGHTS;
        for (weight, magnitude) in weights.iter_mut().zip(magnitudes) {
            *weight /= f64::from(magnitude).max(1e-6);
        }
        Ok(Self { convs: convs.collect::<Result<_>>()?, weights, backend: backend.clone() })
    }

    /// The features of images (N, H, W, 3) in [-1, 1], the finest first.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn features(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        features(images, |x, index, conv| {
            let (weight, bias) = &self.convs[index];
            self.backend.conv2d(x, weight, Some(bias), conv)
        })
    }

    /// The features' weights in the loss.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }
}

/// The features, with `conv` for the conv of an index.
pub(crate) fn features(
    images: &Tensor,
    apply: impl Fn(&Tensor, usize, Conv) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    let mut x = images.clone();
    let mut features = Vec::new();
    for (index, (name, _, _, stride)) in CONVS.iter().enumerate() {
        x = apply(&x, index, Conv { padding: 1, stride: *stride, slope: SLOPE })?;
        if FEATURES.contains(name) {
            features.push(x.clone());
        }
    }
    Ok(features)
}
