//! The fast engine against the PyTorch reference in `tests/reference`, without the model in between.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

#[path = "../../../tests/reference/fixture.rs"]
mod fixture;

use std::sync::Arc;

use candle_core::Tensor;
use fixture::{Fixture, flat};
use spadework_engine::{Engine, Input, Planner, Settings};
use spadework_imaging::{InstanceMap, LabelMap, RgbImage};
use spadework_model::Architecture;

/// What f32 at `highest` precision leaves of the reference's f64, relative where values exceed 1.
const TOLERANCE: f32 = 2e-5;

/// Row `index` of a batch, flattened.
fn row<T: candle_core::WithDType>(batch: &Tensor, index: usize) -> Vec<T> {
    flat(&batch.get(index).unwrap())
}

fn input(fixture: &Fixture, index: usize) -> Input {
    let architecture = &fixture.architecture;
    let (width, height) = (architecture.mask.width, architecture.mask.height);
    let ids = row(fixture.tensor("labels"), index);
    let labels = LabelMap::new(width, height, ids, architecture.label_planes()).unwrap();
    let instances = fixture.get("instances").map(|instances| {
        let ids = row::<u8>(instances, index).into_iter().map(u32::from).collect();
        InstanceMap::new(width, height, ids).unwrap()
    });
    Input {
        plan: Arc::new(Planner::new(architecture).plan(&labels, instances.as_ref()).unwrap()),
        z: fixture.get("z").map(|z| row(z, index)),
        noise: fixture.numbered("noise").iter().map(|plane| row(plane, index)).collect(),
    }
}

#[test]
fn every_network_makes_the_reference_s_images() {
    for fixture in Fixture::all("network_", 7) {
        let count = fixture.tensor("labels").dim(0).unwrap();
        let inputs: Vec<Input> = (0..count).map(|index| input(&fixture, index)).collect();
        // The default settings are a processor at `highest`.
        let mut engine =
            Engine::load(&fixture.architecture, &fixture.weights, None, Settings::default()).unwrap();
        let images = engine.generate_tensor(&inputs).unwrap();
        fixture.assert_close("out", &images.concat(), TOLERANCE);
    }
}

/// (1, H, W, 3) bytes, each pixel `repeat` times on both axes.
fn image(small: &Tensor, repeat: usize) -> RgbImage {
    let (_, height, width, _) = small.dims4().unwrap();
    let (pixels, row) = (flat::<u8>(small), width * repeat);
    let pixel = |at: usize| {
        let cell = at / row / repeat * width + at % row / repeat;
        [pixels[3 * cell], pixels[3 * cell + 1], pixels[3 * cell + 2]]
    };
    let large = (0..height * repeat * row).flat_map(pixel).collect();
    RgbImage::new(row, height * repeat, large).unwrap()
}

#[test]
fn every_encoder_reads_the_reference_s_posterior_from_an_image_s_bytes() {
    let networks = Fixture::all("network_latent_and_noise", 1);
    for fixture in Fixture::all("encoder_", 2) {
        let architecture =
            Architecture { encoder: fixture.architecture.encoder, ..networks[0].architecture.clone() };
        let (generator, encoder) = (&networks[0].weights, &fixture.weights);
        let mut engine = Engine::load(&architecture, generator, Some(encoder), Settings::default()).unwrap();
        for (index, small) in fixture.numbered("picture").iter().enumerate() {
            let repeat = fixture.case["repeat"][index].as_u64().unwrap() as usize;
            let posterior = engine.encode_style(&[&image(small, repeat)]).unwrap().remove(0);
            fixture.assert_close(&format!("mu.{index}"), &posterior.mu, TOLERANCE);
            fixture.assert_close(&format!("logvar.{index}"), &posterior.logvar, TOLERANCE);
        }
    }
}
