//! Whole training steps against the PyTorch reference in `tests/reference`.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

use std::{env, fs, path::Path, sync::Arc};

use candle_core::Device;
use safetensors::SafeTensors;
use serde::Deserialize;
use spadework_autograd::Backend;
use spadework_kernels::device::training::TrainingOperators;
use spadework_training::{networks::Networks, objective::Objective, reference::ReferenceStep};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/training");

#[derive(Deserialize)]
struct Case {
    networks: Networks,
    objective: Objective,
}

#[test]
fn every_loss_gradient_and_buffer_of_a_step_agrees_with_the_reference() {
    check_all(&Backend::Cpu);
}

#[test]
fn so_does_a_step_of_the_device_s_kernels() {
    check_all(&Backend::Device(Arc::new(TrainingOperators::emulated(false))));
}

#[cfg(feature = "cuda")]
#[test]
#[ignore = "needs a CUDA device"]
fn so_does_a_step_on_a_cuda_device() {
    let operators = TrainingOperators::open(0, Some(candle_core::DType::F32)).unwrap();
    check_all(&Backend::Device(Arc::new(operators)));
}

fn check_all(backend: &Backend) {
    let folder = env::var("SPADEWORK_STEPS").unwrap_or_else(|_| KEPT.to_owned());
    let mut steps = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        check(&path, backend);
        steps += 1;
    }
    assert!(steps >= 3, "only {steps} steps were found");
}

fn check(path: &Path, backend: &Backend) {
    let bytes = fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let Case { networks, objective } =
        serde_json::from_str(&header.metadata().as_ref().unwrap()["case"]).unwrap();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    let deviations =
        ReferenceStep::new(networks, objective, tensors).unwrap().compare(None, backend).unwrap();
    assert!(deviations.len() > 80, "{}: only {} comparisons", path.display(), deviations.len());
    println!("{}: worst {:?}", path.display(), deviations[0]);
    let failed: Vec<_> = deviations.iter().filter(|deviation| !deviation.passes()).collect();
    assert!(failed.is_empty(), "{}: {failed:#?}", path.display());
}
