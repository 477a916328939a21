//! A small network that says what images show. Trained on real pairs, it measures whether generated images show what
//! their masks ask for, and its features tell sets of images apart.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::ops::log_softmax;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use spadework_imaging::{LabelMap, RgbImage, Size};

use crate::{
    data::{Loader, Sample, SampleSource},
    optimizer::{Adam, Betas},
};
use spadework_autograd::{Backend, Conv, conv2d, upsample_twice};

/// Pixels on a side of a cell that gets one label: it looks at images in squares of 4×4.
pub const CELL: usize = 4;
/// Channels of the features that distances are measured in.
pub(super) const FEATURES: usize = 128;
/// Slope of the leaky ReLU after each conv.
const SLOPE: f64 = 0.2;
/// Pairs in a step of training.
pub const BATCH: usize = 8;
/// Learning rate at the start; it falls to zero.
const RATE: f64 = 1e-3;

/// Name, output and input channels of each conv; all are 3×3.
const CONVS: [(&str, usize, usize); 9] = [
    ("stem", 64, 3 * CELL * CELL),
    ("fine", 64, 64),
    ("down_1", 96, 64),
    ("middle", 96, 96),
    ("down_2", FEATURES, 96),
    ("coarse", FEATURES, FEATURES),
    ("up_1", 64, FEATURES + 96),
    ("up_2", 64, 64 + 64),
    ("classes", 0, 64),
];

/// The network.
pub struct Segmenter {
    parameters: BTreeMap<String, Var>,
    classes: usize,
}

/// What it says of some images.
pub struct Opinion {
    /// A class for each cell, row-major, for each image.
    pub labels: Vec<Vec<u8>>,
    /// The mean of the coarsest channels, for each image.
    pub features: Vec<Vec<f32>>,
}

impl Segmenter {
    /// Trains one on `steps` batches of `source`, from its first position on; `progress` hears of each step's loss.
    ///
    /// # Errors
    /// The source's, or when the network cannot be run.
    pub fn train(
        source: &Arc<dyn SampleSource>,
        classes: usize,
        steps: u64,
        seed: u64,
        mut progress: impl FnMut(u64, f32),
    ) -> anyhow::Result<Self> {
        let network = Self::new(classes, seed).context("build the segmenter")?;
        let mut adam = Adam::new(Betas { first: 0.9, second: 0.999 }, &network.parameters, &Backend::Cpu)?;
        let mut loader = Loader::start(source.clone(), 0, 2, 4 * BATCH)?;
        for step in 0..steps {
            let batch = (0..BATCH).map(|_| loader.next_sample()).collect::<anyhow::Result<Vec<_>>>()?;
            let rate = RATE * (1.0 - step as f64 / steps as f64);
            let loss = network.step(&mut adam, &batch, rate).context("train the segmenter")?;
            progress(step, loss);
        }
        Ok(network)
    }

    fn new(classes: usize, seed: u64) -> Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut parameters = BTreeMap::new();
        for (name, output, input) in CONVS {
            let output = if output == 0 { classes } else { output };
            let deviation = (2.0 / ((1.0 + SLOPE * SLOPE) as f32 * 9.0 * input as f32)).sqrt();
            let normal = (0..output * input * 9).map(|_| StandardNormal.sample(&mut random));
            let values: Vec<f32> = normal.map(|value: f32| deviation * value).collect();
            let weight = Tensor::from_vec(values, (output, input, 3, 3), &Device::Cpu)?;
            parameters.insert(format!("{name}.weight"), Var::from_tensor(&weight)?);
            let bias = Tensor::zeros(output, DType::F32, &Device::Cpu)?;
            parameters.insert(format!("{name}.bias"), Var::from_tensor(&bias)?);
        }
        Ok(Self { parameters, classes })
    }

    fn step(&self, adam: &mut Adam, batch: &[Sample], rate: f64) -> Result<f32> {
        let images: Vec<&RgbImage> = batch.iter().map(|sample| &sample.image).collect();
        let targets: Vec<u32> =
            batch.iter().flat_map(|sample| cells(&sample.labels)).map(u32::from).collect();
        let (logits, _) = self.forward(&squares(&images)?)?;
        let (cells, classes) = (targets.len(), self.classes);
        let targets = Tensor::from_vec(targets, (cells, 1), &Device::Cpu)?;
        let scores = log_softmax(&logits.reshape((cells, classes))?, D::Minus1)?;
        let loss = scores.gather(&targets, 1)?.mean_all()?.neg()?;
        let store = loss.backward()?;
        let gradient = |(name, parameter): (&String, &Var)| {
            store.get(parameter).map(|gradient| (name.clone(), gradient.clone()))
        };
        adam.step(&self.parameters, &self.parameters.iter().filter_map(gradient).collect(), rate)?;
        loss.to_scalar()
    }

    /// Logits (N, h, w, classes) and features (N, FEATURES) of squares (N, h, w, 48).
    fn forward(&self, squares: &Tensor) -> Result<(Tensor, Tensor)> {
        let conv = |name: &str, x: &Tensor, stride: usize, slope: f64| {
            let parameter = |kind: &str| self.parameters[&format!("{name}.{kind}")].as_tensor().clone();
            conv2d(x, &parameter("weight"), Some(&parameter("bias")), Conv { padding: 1, stride, slope })
        };
        let fine = conv("fine", &conv("stem", squares, 1, SLOPE)?, 1, SLOPE)?; // (N, 64, 64, 64) of 256×256
        let middle = conv("middle", &conv("down_1", &fine, 2, SLOPE)?, 1, SLOPE)?; // (N, 32, 32, 96)
        let coarse = conv("coarse", &conv("down_2", &middle, 2, SLOPE)?, 1, SLOPE)?; // (N, 16, 16, 128)
        let features = coarse.mean((1, 2))?;
        let up = conv("up_1", &Tensor::cat(&[&upsample_twice(&coarse)?, &middle], 3)?, 1, SLOPE)?;
        let up = conv("up_2", &Tensor::cat(&[&upsample_twice(&up)?, &fine], 3)?, 1, SLOPE)?;
        Ok((conv("classes", &up, 1, 1.0)?, features))
    }

    /// What it says of `images`, which are of one size.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn look(&self, images: &[RgbImage]) -> Result<Opinion> {
        let mut opinion = Opinion { labels: Vec::new(), features: Vec::new() };
        for batch in images.chunks(BATCH) {
            let (logits, features) = self.forward(&squares(&batch.iter().collect::<Vec<_>>())?)?;
            let labels = logits.argmax(D::Minus1)?.flatten_from(1)?.to_dtype(DType::U8)?;
            opinion.labels.extend(labels.to_vec2::<u8>()?);
            opinion.features.extend(features.to_vec2::<f32>()?);
        }
        Ok(opinion)
    }

    /// How many parameters it has.
    pub fn parameters(&self) -> usize {
        self.parameters.values().map(|parameter| parameter.elem_count()).sum()
    }
}

/// The label of each cell: its middle's.
pub fn cells(labels: &LabelMap) -> Vec<u8> {
    labels.resized(Size::new(labels.width() / CELL, labels.height() / CELL)).into_ids()
}

/// Images (N, H, W, 3), each square of 4×4 pixels as one cell's channels, from -1 to 1.
fn squares(images: &[&RgbImage]) -> Result<Tensor> {
    let (width, height) = images.first().map_or((0, 0), |image| (image.width(), image.height()));
    let bytes = images.iter().flat_map(|image| image.pixels());
    let values: Vec<f32> = bytes.map(|&byte| f32::from(byte) / 127.5 - 1.0).collect();
    let (rows, columns) = (height / CELL, width / CELL);
    Tensor::from_vec(values, (images.len(), rows, CELL, columns, CELL * 3), &Device::Cpu)?
        .transpose(2, 3)?
        .contiguous()?
        .reshape((images.len(), rows, columns, CELL * CELL * 3))
}
