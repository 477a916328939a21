//! Training of the network that the perceptual loss of our own compares images with: it learns to tell from an image
//! what the renderer knew when it made it.

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::ops::log_softmax;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use spadework_scenery::{CLASSES, Guides, MATERIALS, SIDE};

use crate::{
    data::Landscapes,
    networks::scene_features::{CONVS, LEVELS, MAGNITUDES, features},
    optimizer::{Adam, Betas},
};
use spadework_autograd::{Backend, Conv, SLOPE, conv2d, upsample_twice};

/// What is known of one pixel: a number from an image's labels and guides.
type Known<'a> = dyn Fn(&(&[u8], &Guides), usize) -> u32 + 'a;

/// Told apart from the seed of a training run and of what is measured with: none of them has this network's landscapes.
pub const SEED: u64 = 0x6665_6174_7572_6573;

/// Images in a step.
pub const BATCH: usize = 4;
/// Learning rate at the start; it falls to zero.
const RATE: f64 = 1e-3;
/// Numbers that a head gives for each of its cells: logits of class and material, a direction, nearness, light.
const OUTPUTS: usize = CLASSES.len() + MATERIALS + 3 + 1 + 1;
/// Name, output and input channels of the heads' convs. One reads the second feature, one the third and fourth.
const HEADS: [(&str, usize, usize); 3] =
    [("fine", OUTPUTS, 32), ("merge", 64, 64 + 128), ("coarse", OUTPUTS, 64)];

/// The network and its heads while they are trained.
pub struct FeatureTraining {
    parameters: BTreeMap<String, Var>,
    adam: Adam,
    source: Landscapes,
    /// Sums of the features' magnitudes, and of how many steps.
    magnitudes: ([f64; LEVELS], u32),
}

/// What an image shows, at a head's resolution.
struct Targets {
    classes: Tensor,
    materials: Tensor,
    /// (cells, 5): direction, nearness, light.
    numbers: Tensor,
}

impl FeatureTraining {
    /// A fresh network that will learn from `source`.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(source: Landscapes, seed: u64) -> Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut parameters = BTreeMap::new();
        let convs = CONVS.iter().map(|&(name, output, input, _)| (name, output, input)).chain(HEADS);
        for (name, output, input) in convs {
            let deviation = (2.0 / ((1.0 + SLOPE * SLOPE) as f32 * 9.0 * input as f32)).sqrt();
            let normal = (0..output * input * 9).map(|_| StandardNormal.sample(&mut random));
            let values: Vec<f32> = normal.map(|value: f32| deviation * value).collect();
            let weight = Tensor::from_vec(values, (output, input, 3, 3), &Device::Cpu)?;
            parameters.insert(format!("{name}.weight"), Var::from_tensor(&weight)?);
            let bias = Tensor::zeros(output, DType::F32, &Device::Cpu)?;
            parameters.insert(format!("{name}.bias"), Var::from_tensor(&bias)?);
        }
        let adam = Adam::new(Betas { first: 0.9, second: 0.999 }, &parameters, &Backend::Cpu)?;
        Ok(Self { parameters, adam, source, magnitudes: ([0.0; LEVELS], 0) })
    }

    /// Makes step `step` of `steps`, on landscapes that no other step sees, and gives its loss.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn step(&mut self, step: u64, steps: u64) -> Result<f32> {
        let positions = step * BATCH as u64..(step + 1) * BATCH as u64;
        let samples: Vec<_> = positions
            .into_par_iter()
            .map(|position| {
                let recipe = self.source.recipe(position);
                let landscape = recipe.landscape();
                let (image, guides) = landscape.paint_with_guides(recipe.mood, recipe.style);
                (landscape.labels().into_ids(), image, guides)
            })
            .collect();
        let pixels = samples.iter().flat_map(|(_, image, _)| image.pixels());
        let values: Vec<f32> = pixels.map(|&byte| f32::from(byte) / 127.5 - 1.0).collect();
        let images = Tensor::from_vec(values, (BATCH, SIDE, SIDE, 3), &Device::Cpu)?;
        let features = features(&images, |x, index, conv| self.conv(CONVS[index].0, x, conv))?;
        let plain = |slope: f64| Conv { padding: 1, stride: 1, slope };
        let fine = self.conv("fine", &features[1], plain(1.0))?; // (N, 128, 128, OUTPUTS)
        let both = Tensor::cat(&[&features[2], &upsample_twice(&features[3])?], 3)?;
        let coarse = self.conv("coarse", &self.conv("merge", &both, plain(SLOPE))?, plain(1.0))?;
        let known: Vec<_> = samples.iter().map(|(labels, _, guides)| (&labels[..], guides)).collect();
        let loss = (loss(&fine, &Targets::new(&known, 2)?)? + loss(&coarse, &Targets::new(&known, 4)?)?)?;
        let store = loss.backward()?;
        let gradient = |(name, parameter): (&String, &Var)| {
            store.get(parameter).map(|gradient| (name.clone(), gradient.clone()))
        };
        let gradients = self.parameters.iter().filter_map(gradient).collect();
        self.adam.step(&self.parameters, &gradients, RATE * (1.0 - step as f64 / steps as f64))?;
        // Of the last tenth, when the features are nearly what they will be.
        if 10 * step >= 9 * steps {
            for (sum, feature) in self.magnitudes.0.iter_mut().zip(&features) {
                *sum += f64::from(feature.abs()?.mean_all()?.to_scalar::<f32>()?);
            }
            self.magnitudes.1 += 1;
        }
        loss.to_scalar()
    }

    /// The tensors of [`SceneFeatures`](crate::networks::SceneFeatures): the network without its heads.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let of_heads = |name: &str| HEADS.iter().any(|(head, ..)| name.split('.').next() == Some(head));
        let parameters = self.parameters.iter().filter(|(name, _)| !of_heads(name));
        let mut tensors: BTreeMap<String, Tensor> =
            parameters.map(|(name, parameter)| (name.clone(), parameter.as_detached_tensor())).collect();
        let (sums, count) = &self.magnitudes;
        let means = sums.map(|sum| (sum / f64::from((*count).max(1))) as f32);
        tensors.insert(MAGNITUDES.to_owned(), Tensor::new(&means, &Device::Cpu)?);
        Ok(tensors)
    }

    fn conv(&self, name: &str, x: &Tensor, conv: Conv) -> Result<Tensor> {
        let parameter = |kind: &str| self.parameters[&format!("{name}.{kind}")].as_tensor().clone();
        conv2d(x, &parameter("weight"), Some(&parameter("bias")), conv)
    }
}

impl Targets {
    /// What is known of images, in cells of `cell`×`cell` pixels: of each, what its middle shows.
    fn new(known: &[(&[u8], &Guides)], cell: usize) -> Result<Self> {
        let side = SIDE / cell;
        let middles: Vec<usize> = (0..side * side)
            .map(|i| (i / side * cell + cell / 2) * SIDE + i % side * cell + cell / 2)
            .collect();
        let all = |of: &Known<'_>| -> Result<Tensor> {
            let values = known.iter().flat_map(|one| middles.iter().map(|&i| of(one, i)));
            let values: Vec<u32> = values.collect();
            let count = values.len();
            Tensor::from_vec(values, (count, 1), &Device::Cpu)
        };
        let numbers: Vec<f32> = known
            .iter()
            .flat_map(|(_, guides)| {
                middles.iter().flat_map(|&i| {
                    let [x, y, z] = guides.normals[i];
                    [x, y, z, guides.nearness[i], guides.light[i]]
                })
            })
            .collect();
        Ok(Self {
            classes: all(&|(labels, _), i| u32::from(labels[i]))?,
            materials: all(&|(_, guides), i| u32::from(guides.materials[i]))?,
            numbers: Tensor::from_vec(numbers, (known.len() * middles.len(), 5), &Device::Cpu)?,
        })
    }
}

/// Cross entropy of class and material, and squared distances of the rest.
fn loss(outputs: &Tensor, targets: &Targets) -> Result<Tensor> {
    let (n, h, w, _) = outputs.dims4()?;
    let outputs = outputs.reshape((n * h * w, OUTPUTS))?;
    let entropy = |from: usize, count: usize, truth: &Tensor| -> Result<Tensor> {
        let scores = log_softmax(&outputs.narrow(1, from, count)?.contiguous()?, D::Minus1)?;
        scores.gather(truth, 1)?.mean_all()?.neg()
    };
    let classes = entropy(0, CLASSES.len(), &targets.classes)?;
    let materials = entropy(CLASSES.len(), MATERIALS, &targets.materials)?;
    let numbers = (outputs.narrow(1, OUTPUTS - 5, 5)? - &targets.numbers)?.sqr()?.mean_all()?;
    (classes + materials)? + (numbers * 5.0)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::SceneFeatures;

    #[test]
    fn a_few_steps_lower_the_loss_and_leave_features_that_can_be_read() -> Result<()> {
        let source = Landscapes { seed: 3, epoch: 100, painted: 0.5 };
        let mut training = FeatureTraining::new(source, 1)?;
        // The same images every time: a loss that cannot fall on those learns nothing.
        let losses = (0..6).map(|_| training.step(0, 6)).collect::<Result<Vec<f32>>>()?;
        assert!(losses[5] < 0.85 * losses[0], "{losses:?}");
        training.step(9, 10)?;
        let frozen = SceneFeatures::new(&training.tensors()?, &Backend::Cpu)?;
        let features = frozen.features(&Tensor::zeros((1, 32, 32, 3), DType::F32, &Device::Cpu)?)?;
        let sizes: Vec<_> = features.iter().map(|feature| feature.dims().to_vec()).collect();
        assert_eq!(sizes, [[1, 32, 32, 16], [1, 16, 16, 32], [1, 8, 8, 64], [1, 4, 4, 128]]);
        assert!(frozen.weights().iter().all(|weight| weight.is_finite() && *weight > 0.0));
        Ok(())
    }
}
