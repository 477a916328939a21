//! Two processes with half a batch each compute the gradients of one process with the whole, on the real networks.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use spadework_imaging::{LabelMap, RgbImage};
use spadework_model::{Architecture, EncoderArchitecture, Norm};

use super::{
    Learner, Use, batch_of, build, draws,
    mean::{GradientSum, LossSum},
    random::tests::architecture,
    tests::config,
};
use crate::{
    data::Sample,
    distributed::{Group, as_group},
    networks::{Discriminator, Networks},
    objective::{KlReduction, Objective},
    run::{RunConfig, StepReport},
    step::Gradients,
};
use spadework_autograd::Backend;

const BATCH: u64 = 4;

fn run_config() -> RunConfig {
    let config = config(1);
    let architecture = Architecture {
        norm: Norm::SyncBatch,
        encoder: Some(EncoderArchitecture::Color { width: 2 }),
        ..architecture()
    };
    let discriminator = Discriminator { width: 2, ..Discriminator::default() };
    let networks = Networks { architecture, discriminator, generator_spectral: true, ..config.networks };
    let objective = Objective {
        kl: 0.1,
        kl_reduction: KlReduction::Groups(1),
        low_resolution: 1.0,
        ..Objective::default()
    };
    RunConfig { networks, objective, ..config }
}

/// Stripes of the three classes in shades of grey.
fn sample(position: u64) -> Sample {
    let ids: Vec<u8> = (0..32 * 64u64).map(|i| ((i * (position + 3) / 50) % 3) as u8).collect();
    let pixels = ids.iter().flat_map(|id| [60 * id + 10 * position as u8; 3]).collect();
    let labels = LabelMap::new(64, 32, ids, 3).unwrap();
    Sample { labels, edges: None, image: RgbImage::new(64, 32, pixels).unwrap() }
}

/// What one process of `group` has after both steps: losses and gradients, averaged over the group.
fn both_steps(group: Group, backend: &Backend) -> (StepReport, Gradients) {
    let group = Arc::new(group);
    let config = run_config();
    let mut learner = build(&config, backend, &group).unwrap();
    let share = BATCH / group.world() as u64;
    let positions = group.rank() as u64 * share..(group.rank() as u64 + 1) * share;
    let batch = batch_of(&positions.clone().map(sample).collect::<Vec<_>>(), &Device::Cpu).unwrap();
    let draw = |what_for| {
        draws(&config.networks.architecture, 5, positions.clone(), what_for, &Device::Cpu).unwrap()
    };
    let (mut losses, mut all) = (LossSum::default(), Gradients::new());
    let mut take = |network: &str, gradients: Gradients| {
        let mut sum = GradientSum::default();
        sum.add(gradients).unwrap();
        let mean = sum.mean(&group).unwrap();
        all.extend(mean.into_iter().map(|(name, gradient)| (format!("{network}.{name}"), gradient)));
    };
    let (values, generator, encoder) =
        Learner::generator_step(&mut learner, &batch, &draw(Use::Generator)).unwrap();
    losses.add(&values);
    take("generator", generator);
    take("encoder", encoder.unwrap());
    let (values, discriminator) =
        Learner::discriminator_step(&mut learner, &batch, &draw(Use::Discriminator)).unwrap();
    take("discriminator", discriminator);
    let mut report = losses.mean(&group).unwrap();
    let mut losses = LossSum::default();
    losses.add(&values);
    report.extend(losses.mean(&group).unwrap());
    (report, all)
}

fn norm(tensor: &Tensor) -> f64 {
    f64::from(tensor.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()).sqrt()
}

/// Holds two processes with half a batch each to one with the whole.
fn agree(backend: &Backend) {
    let (whole_losses, whole) = both_steps(Group::alone(), backend);
    for (losses, halves) in as_group(2, |group| both_steps(group, backend)) {
        for (name, loss) in &whole_losses {
            assert!((losses[name] - loss).abs() <= 1e-5 * loss.abs(), "{name}: {} and {loss}", losses[name]);
        }
        let largest = whole.values().map(norm).fold(0.0, f64::max);
        for (name, gradient) in &whole {
            let distance = norm(&(gradient - &halves[name]).unwrap());
            // What is zero but for rounding, such as a bias before a norm, has no relative error: a few roundings of
            // f32 in sums of terms as large as the largest gradient.
            let bound = 1e-5 * norm(gradient) + 5e-7 * largest;
            assert!(
                distance <= bound,
                "{name}: {distance:e} of {:e}, the largest is {largest:e}",
                norm(gradient)
            );
        }
    }
}

#[test]
fn two_processes_compute_the_gradients_of_one() {
    agree(&Backend::Cpu);
}

#[test]
fn two_processes_with_devices_compute_the_gradients_of_one() {
    agree(&spadework_autograd::testing::emulated());
}
