//! The network here against the network as `spadework-model` writes it, over architectures that differ in everything
//! that can differ.

use candle_core::Device;
use spadework_model::{Architecture, Grid, Tensors};

use super::Network;
use crate::{
    Input,
    isa::Isa,
    made_up::{architectures, difference, input, small, weights},
    plain::PlainGenerator,
};

/// Largest difference of a value in [-1, 1] that is rounding.
const TOLERANCE: f32 = 2e-5;

fn network(architecture: &Architecture, tensors: &Tensors, isa: Isa, threads: usize) -> Network {
    Network::load(architecture, tensors, isa, threads).unwrap()
}

#[test]
fn every_architecture_makes_the_model_s_pictures_on_every_instruction_set() {
    for (index, (name, architecture)) in architectures().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        let inputs = [input(&architecture, 100), input(&architecture, 101)];
        let plain = PlainGenerator::load(&architecture, &tensors, &Device::Cpu).unwrap();
        let expected = plain.generate(&inputs).unwrap();
        assert!(difference(&expected[0], &expected[1]) > 0.01, "{name}: pictures differ");
        let largest = expected[0].iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert!((0.1..0.9999).contains(&largest), "{name}: tanh hides errors at {largest}");
        for isa in Isa::available() {
            let pictures = network(&architecture, &tensors, isa, 2).generate(&inputs).unwrap();
            for (picture, expected) in pictures.iter().zip(&expected) {
                let error = difference(picture, expected);
                assert!(error <= TOLERANCE, "{name} on {}: off by {error}", isa.name());
            }
        }
    }
}

#[test]
fn a_picture_depends_neither_on_its_batch_nor_on_the_threads() {
    for (name, architecture) in architectures() {
        let tensors = weights(&architecture, 7);
        let inputs: Vec<Input> = (0..3).map(|seed| input(&architecture, seed)).collect();
        let together = network(&architecture, &tensors, Isa::best(), 3).generate(&inputs).unwrap();
        let mut alone = network(&architecture, &tensors, Isa::best(), 1);
        for (input, expected) in inputs.iter().zip(&together).rev() {
            let picture = alone.generate(std::slice::from_ref(input)).unwrap();
            assert_eq!(&picture[0], expected, "{name}");
        }
    }
}

#[test]
fn a_mask_planned_for_another_model_is_refused() {
    let (this, other) = (small(), Architecture { grid: Grid { height: 2, width: 1 }, ..small() });
    let mut network = network(&this, &weights(&this, 1), Isa::best(), 1);
    let error = network.generate(&[input(&other, 1)]).unwrap_err();
    assert_eq!(error.to_string(), "the mask was planned for another model");
}
