//! Layers, blocks and whole networks against the PyTorch reference in `tests/reference`.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

#[path = "../../../tests/reference/fixture.rs"]
mod fixture;

use candle_core::{DType, Device, Result, Tensor};
use fixture::{Fixture, flat};
use spadework_model::{
    BatchStatistics, Encoder, Generator, GeneratorInput, LabelBatch, Prefixed, SharedModulation, Spade,
    SpadeResBlock, Surroundings, Tensors, one_hot,
};

/// The reference computes in f64; this is what f32 leaves of it after one layer or block.
const LAYER: f32 = 5e-6;

/// The same after a whole network.
const NETWORK: f32 = 1e-5;

fn semantics(fixture: &Fixture) -> Tensor {
    let edges = fixture.get("edges").map(flat::<u8>);
    let ids = flat::<u8>(fixture.tensor("labels"));
    let batch = LabelBatch { ids: &ids, edges: edges.as_deref() };
    one_hot(&fixture.architecture, batch, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn every_spade_layer_agrees_with_the_reference() {
    for fixture in Fixture::all("layer_", 3) {
        let x = fixture.tensor("x");
        let root = Prefixed::root(&fixture.weights);
        let layer = Spade::new(&root, &fixture.architecture, x.dim(1).unwrap()).unwrap();
        let out = layer.forward(x, &semantics(&fixture), None, None).unwrap();
        fixture.assert_close("out", &flat(&out), LAYER);
    }
}

#[test]
fn every_residual_block_agrees_with_the_reference() {
    for fixture in Fixture::all("block_", 3) {
        let stages = fixture.architecture.stages();
        let stage = stages.iter().find(|stage| fixture.case["block"] == stage.name).unwrap();
        let root = Prefixed::root(&fixture.weights);
        let block = SpadeResBlock::new(&root, &fixture.architecture, stage).unwrap();
        let around = Surroundings {
            semantics: &semantics(&fixture),
            noise: fixture.get("noise.0"),
            shared: Vec::new(),
            training: None,
        };
        let out = block.forward(fixture.tensor("x"), around).unwrap();
        fixture.assert_close("out", &flat(&out), LAYER);
    }
}

#[test]
fn shared_modulation_hands_every_layer_its_own_slice() {
    for fixture in Fixture::all("modulation_", 1) {
        let named =
            fixture.weights.iter().map(|(name, tensor)| (format!("modulation.{name}"), tensor.clone()));
        let modulation = SharedModulation::new(&named.collect::<Tensors>(), &fixture.architecture).unwrap();
        let hidden = modulation.hidden(&semantics(&fixture)).unwrap();
        for layer in [0, 8, 17] {
            let name = format!("out.{layer}");
            let (_, _, height, width) = fixture.tensor(&name).dims4().unwrap();
            let (gamma, beta) = modulation.layer(&hidden, layer, height, width).unwrap();
            fixture.assert_close(&name, &flat(&Tensor::cat(&[gamma, beta], 1).unwrap()), LAYER);
        }
    }
}

#[test]
fn every_generator_agrees_with_the_reference() {
    for fixture in Fixture::all("network_", 7) {
        let generator = Generator::new(&fixture.weights, &fixture.architecture).unwrap();
        let (semantics, noise) = (semantics(&fixture), fixture.numbered("noise"));
        let input = GeneratorInput { semantics: &semantics, z: fixture.get("z"), noise: &noise };
        let pictures = generator.forward(input).unwrap();
        fixture.assert_close("out", &flat(&pictures), NETWORK);
    }
}

/// Mean and biased variance over N, H, W, recorded nowhere.
struct OfTheBatch;

impl BatchStatistics for OfTheBatch {
    fn observe(&self, _: &str, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let mean = x.mean_keepdim((0, 2, 3))?;
        let variance = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim((0, 2, 3))?;
        Ok((mean, variance))
    }
}

#[test]
fn a_generator_in_training_agrees_with_the_reference() {
    for fixture in Fixture::all("network_mask_start_edges", 1) {
        let generator = Generator::new(&fixture.weights, &fixture.architecture).unwrap();
        let semantics = semantics(&fixture);
        let input = GeneratorInput { semantics: &semantics, z: None, noise: &[] };
        let pictures = generator.forward_train(input, &OfTheBatch).unwrap();
        fixture.assert_close("out_train", &flat(&pictures), NETWORK);
    }
}

/// (1, H, W, 3) bytes, each pixel `repeat` times on both axes, to (1, 3, H', W') in [-1, 1].
fn scaled(picture: &Tensor, repeat: usize) -> Result<Tensor> {
    let (_, height, width, _) = picture.dims4()?;
    let cells = picture.reshape((height, 1, width, 1, 3))?;
    let large = cells.broadcast_as((height, repeat, width, repeat, 3))?;
    let planes = large.reshape((1, height * repeat, width * repeat, 3))?.permute((0, 3, 1, 2))?;
    planes.to_dtype(DType::F32)?.affine(2.0 / 255.0, -1.0)?.contiguous()
}

#[test]
fn every_encoder_agrees_with_the_reference_on_pictures_of_any_size() {
    for fixture in Fixture::all("encoder_", 2) {
        let encoder = Encoder::new(&fixture.weights, &fixture.architecture).unwrap();
        let pictures = fixture.numbered("picture");
        assert_eq!(pictures.len(), 3);
        for (index, picture) in pictures.iter().enumerate() {
            let repeat = fixture.case["repeat"][index].as_u64().unwrap() as usize;
            let posterior = encoder.forward(&scaled(picture, repeat).unwrap()).unwrap();
            fixture.assert_close(&format!("mu.{index}"), &flat(&posterior.mu), NETWORK);
            fixture.assert_close(&format!("logvar.{index}"), &flat(&posterior.logvar), NETWORK);
        }
    }
}
