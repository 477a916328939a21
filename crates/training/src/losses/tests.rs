//! Every loss' gradient beside finite differences.

use candle_core::{DType, Device, Result, Tensor};
use spadework_model::Posterior;

use super::*;
use crate::{
    networks::{Features, Perceptual, Vgg19},
    objective::{GanMode, KlReduction},
};
use spadework_autograd::{
    Backend,
    testing::{check, numbers},
};

const MODES: [GanMode; 4] = [GanMode::Hinge, GanMode::LeastSquares, GanMode::Original, GanMode::Wasserstein];

/// Decisions of two scales on either side of where a hinge opens.
fn decisions(seed: u64) -> Vec<Tensor> {
    let scale = |shape: &[usize], seed| (numbers(shape, seed) * 3.0).unwrap();
    vec![scale(&[2, 4, 5, 1], seed), scale(&[2, 2, 3, 1], seed + 1)]
}

/// Features without inner maps.
fn scales(decisions: &[Tensor]) -> Features {
    decisions.iter().map(|decision| vec![decision.clone()]).collect()
}

#[test]
fn adversarial_losses_have_the_gradients_of_finite_differences() {
    for mode in MODES {
        check(&format!("{mode:?} for the generator"), &decisions(1), |x| generator_loss(mode, &scales(x)));
        let both = [decisions(1), decisions(3)].concat();
        check(&format!("{mode:?} for the discriminator"), &both, |x| {
            let (fake, real) = discriminator_loss(mode, &scales(&x[..2]), &scales(&x[2..]))?;
            Tensor::stack(&[fake, real], 0)
        });
    }
}

#[test]
fn feature_matching_has_the_gradients_of_finite_differences() {
    let maps = [[2, 4, 3, 5], [2, 3, 2, 6], [2, 2, 2, 5], [2, 1, 1, 6]];
    let maps = |seed: u64| (seed..).zip(&maps).map(|(seed, shape)| numbers(shape, seed)).collect::<Vec<_>>();
    let real = maps(5);
    let features = |maps: &[Tensor], decisions: u64| -> Result<Features> {
        let decision = numbers(&[2, 1, 1, 1], decisions).to_dtype(maps[0].dtype())?;
        Ok(maps.chunks(2).map(|inner| [inner, std::slice::from_ref(&decision)].concat()).collect())
    };
    check("feature matching", &maps(1), |fake| {
        let real: Vec<Tensor> =
            real.iter().map(|map| map.to_dtype(fake[0].dtype())).collect::<Result<_>>()?;
        feature_matching(&Backend::Cpu, &features(fake, 9)?, &features(&real, 10)?)
    });
}

#[test]
fn the_kl_divergence_has_the_gradients_of_finite_differences() {
    for reduction in [KlReduction::Sum, KlReduction::Groups(2)] {
        check(&format!("KL, {reduction:?}"), &[numbers(&[4, 6], 1), numbers(&[4, 6], 2)], |x| {
            kl_divergence(&Posterior { mu: x[0].clone(), logvar: x[1].clone() }, reduction)
        });
    }
}

#[test]
fn the_low_resolution_distance_has_the_gradients_of_finite_differences() {
    let real = numbers(&[2, 16, 8, 3], 2);
    check("low-resolution L1", &[numbers(&[2, 16, 8, 3], 1)], |x| {
        low_resolution(&Backend::Cpu, &x[0], &real.to_dtype(x[0].dtype())?)
    });
}

/// Along directions in which all pixels change, since the network is too large to go through them one by one; and by
/// little, so that no ReLU opens on the way.
#[test]
fn the_perceptual_loss_has_the_gradients_of_finite_differences() {
    const SIDE: usize = 16; // the least that leaves relu5_1 a cell
    let pixels = 3 * SIDE * SIDE;
    let [fake, real] = [1, 2].map(|seed| numbers(&[1, pixels], seed));
    let directions = (numbers(&[2, pixels], 3) * 0.01).unwrap();
    let networks = [DType::F64, DType::F32].map(|dtype| Perceptual::Vgg(Vgg19::made_up(dtype).unwrap()));
    check("perceptual", &[Tensor::zeros((1, 2), DType::F64, &Device::Cpu).unwrap()], |x| {
        let dtype = x[0].dtype();
        let vgg = &networks[usize::from(dtype == DType::F32)];
        let shown = (fake.to_dtype(dtype)? + x[0].matmul(&directions.to_dtype(dtype)?)?)?;
        let image = |row: &Tensor| row.reshape((1, SIDE, SIDE, 3));
        perceptual(&Backend::Cpu, vgg, &image(&shown)?, &image(&real.to_dtype(dtype)?)?)? * 1e4
    });
}
