//! The network here against the network as `spadework-model` writes it, over architectures that differ in everything
//! that can differ.

use std::sync::Arc;

use candle_core::Device;
use spadework_imaging::LabelMap;
use spadework_model::{Architecture, Grid, Tensors};

use super::{CpuGenerator, Policy};
use crate::{
    Cached, DEFAULT_CACHE_BYTES, Input, Planner, Precision,
    reference::PlainGenerator,
    testing::fixtures::{architectures, difference, input, small, weights},
};
use spadework_kernels::cpu::{InstructionSet, Instructions};

/// Largest difference of a value in [-1, 1] that is rounding.
fn tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::Highest => 2e-5,
        Precision::High => 2e-4,
        Precision::Medium => 4e-2,
    }
}

fn network(architecture: &Architecture, tensors: &Tensors, policy: Policy, threads: usize) -> CpuGenerator {
    CpuGenerator::load(architecture, tensors, policy, threads, DEFAULT_CACHE_BYTES).unwrap()
}

/// Every way to compute on every instruction set of this processor.
fn policies() -> Vec<(String, Policy, Precision)> {
    let mut seen = Vec::new();
    let mut all = Vec::new();
    for limit in InstructionSet::ALL {
        let instructions = Instructions::choose(Some(limit));
        let sets = (instructions.isa.set(), instructions.bf16.map(|bf16| bf16.set()));
        if !seen.contains(&sets) {
            seen.push(sets);
            let named = |(policy, precision)| (format!("{policy:?} up to {limit}"), policy, precision);
            all.extend(Policy::all(&instructions).into_iter().map(named));
        }
    }
    all
}

/// Those on the best instruction set alone, with bf16 even where it does not pay.
fn best_policies() -> Vec<Policy> {
    let named = [InstructionSet::Amx, InstructionSet::Avx512Bf16].map(|set| Instructions::choose(Some(set)));
    let best = named.iter().find(|instructions| instructions.bf16.is_some()).unwrap_or(&named[0]);
    Policy::all(best).into_iter().map(|(policy, _)| policy).collect()
}

#[test]
fn every_architecture_makes_the_model_s_images_in_every_way() {
    for (index, (name, architecture)) in architectures().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        let inputs = [input(&architecture, 100), input(&architecture, 101)];
        let plain = PlainGenerator::load(&architecture, &tensors, &Device::Cpu).unwrap();
        let expected = plain.generate(&inputs).unwrap();
        assert!(difference(&expected[0], &expected[1]) > 0.01, "{name}: images differ");
        let largest = expected[0].iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert!((0.1..0.9999).contains(&largest), "{name}: tanh hides errors at {largest}");
        for (way, policy, precision) in policies() {
            let mut network = network(&architecture, &tensors, policy, 2);
            for (input, expected) in inputs.iter().zip(&expected) {
                let error = difference(&network.generate(input, &mut |_| ()).unwrap().0, expected);
                assert!(error <= tolerance(precision), "{name}, {way}: off by {error}");
            }
        }
    }
}

#[test]
fn an_image_depends_neither_on_the_threads_nor_on_what_was_made_before() {
    for (name, architecture) in architectures() {
        let tensors = weights(&architecture, 7);
        let inputs: Vec<Input> = (0..3).map(|seed| input(&architecture, seed)).collect();
        for policy in best_policies() {
            let mut one = network(&architecture, &tensors, policy, 3);
            let first: Vec<_> =
                inputs.iter().map(|input| one.generate(input, &mut |_| ()).unwrap().0).collect();
            for (input, expected) in inputs.iter().zip(&first).rev() {
                let mut alone = network(&architecture, &tensors, policy, 1);
                assert_eq!(
                    alone.generate(input, &mut |_| ()).unwrap(),
                    (expected.clone(), Cached::Miss),
                    "{name}"
                );
                assert_eq!(
                    alone.generate(input, &mut |_| ()).unwrap(),
                    (expected.clone(), Cached::Hit),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_stroke_on_the_last_mask_makes_some_rows_and_the_same_image() {
    let architecture = small();
    let tensors = weights(&architecture, 3);
    let (before, after) = (input(&architecture, 5), with_stroke(&architecture, &input(&architecture, 5)));
    let caches = [0, 1 << 16, DEFAULT_CACHE_BYTES];
    for (cache, policy) in best_policies().into_iter().flat_map(|policy| caches.map(|cache| (cache, policy)))
    {
        let load = || CpuGenerator::load(&architecture, &tensors, policy, 2, cache).unwrap();
        let (expected, _) = load().generate(&after, &mut |_| ()).unwrap();
        let mut painted = load();
        painted.generate(&before, &mut |_| ()).unwrap();
        let (image, cached) = painted.generate(&after, &mut |_| ()).unwrap();
        assert_eq!(image, expected);
        assert!(cache == 0 || cached == Cached::Partial, "{cached:?} with {cache} bytes");
        painted.forget();
        assert_eq!(painted.table_bytes(), 0);
        assert_eq!(painted.generate(&after, &mut |_| ()).unwrap(), (expected, Cached::Miss));
    }
}

/// The same input but for a few cells of its mask.
fn with_stroke(architecture: &Architecture, input: &Input) -> Input {
    let labels = &input.plan.labels;
    let mut ids = labels.ids().to_vec();
    for cell in (20..25).flat_map(|y| (10..14).map(move |x| y * architecture.mask.width + x)) {
        ids[cell] = (ids[cell] + 1) % architecture.label_planes() as u8;
    }
    let Grid { height, width } = architecture.mask;
    let labels = LabelMap::new(width, height, ids, architecture.label_planes()).unwrap();
    Input { plan: Arc::new(Planner::new(architecture).plan(&labels, None).unwrap()), ..input.clone() }
}

#[test]
fn a_mask_planned_for_another_model_is_refused() {
    let (this, other) = (small(), Architecture { grid: Grid { height: 2, width: 1 }, ..small() });
    let mut network = network(&this, &weights(&this, 1), best_policies()[0], 1);
    let error = network.generate(&input(&other, 1), &mut |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the mask was planned for another model");
}
