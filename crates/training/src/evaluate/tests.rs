//! The measures beside numbers that numpy and scipy computed (`tests/reference/make_evaluation_fixtures.py`), and the
//! whole evaluation on pictures whose order of merit is known.

use candle_core::{Device, Tensor};
use serde::Deserialize;

use super::*;
use crate::data::Landscapes;

#[derive(Deserialize)]
struct Fixtures {
    one: Vec<Vec<f32>>,
    two: Vec<Vec<f32>>,
    few: Vec<Vec<f32>>,
    frechet: f64,
    frechet_few: f64,
    kernel: f64,
    directions: Vec<f32>,
    sliced: f64,
    picture: Vec<u8>,
    levels: Vec<Vec<f32>>,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("fixtures.json")).unwrap()
}

fn close(value: f64, expected: f64) {
    assert!((value - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{value}, expected {expected}");
}

#[test]
fn distances_of_features_are_scipy_s() {
    let f = fixtures();
    let features = |rows: &[Vec<f32>]| Features::new(rows).unwrap();
    let (one, two) = (features(&f.one), features(&f.two));
    close(one.frechet(&two).unwrap(), f.frechet);
    close(two.frechet(&one).unwrap(), f.frechet);
    close(one.frechet(&features(&f.few)).unwrap(), f.frechet_few);
    close(one.frechet(&one).unwrap(), 0.0);
    close(one.kernel(&two, 0).unwrap(), f.kernel);
}

#[test]
fn the_sliced_distance_is_scipy_s() {
    let f = fixtures();
    let points = |rows: &[Vec<f32>]| Tensor::new(rows.to_vec(), &Device::Cpu).unwrap();
    let directions = Tensor::from_vec(f.directions, (4, 3), &Device::Cpu).unwrap();
    close(sliced(&points(&f.one), &points(&f.two), &directions).unwrap(), f.sliced);
}

#[test]
fn the_pyramid_is_numpy_s() {
    let f = fixtures();
    let levels = laplacian(Level::of_pixels(16, 12, &f.picture), 6);
    assert_eq!(levels.len(), f.levels.len());
    for (level, expected) in levels.iter().zip(&f.levels) {
        assert_eq!(level.values.len(), expected.len());
        for (value, expected) in level.values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-3, "{value}, expected {expected}");
        }
    }
}

#[test]
fn features_of_other_lengths_are_refused() {
    let one = Features::new(&[vec![0.0, 1.0], vec![2.0, 3.0]]).unwrap();
    let other = Features::new(&[vec![0.0], vec![2.0]]).unwrap();
    assert!(one.frechet(&other).unwrap_err().to_string().contains("use one network"));
}

/// Real pictures of the asked masks, of other masks, and grey ones must come out in that order.
#[test]
fn better_pictures_measure_better() {
    const COUNT: u64 = 8;
    let held_out = HeldOut::landscapes(5, COUNT);
    let source: std::sync::Arc<dyn crate::data::Source> =
        std::sync::Arc::new(Landscapes { seed: 6, epoch: 100, brushed: 0.0 });
    let (mut first, mut last) = (0.0, 0.0);
    let segmenter = Segmenter::train(&source, 14, 8, 1, |step, loss| {
        if step == 0 {
            first = loss;
        }
        last = loss;
    })
    .unwrap();
    assert!(last < 0.9 * first, "the loss goes from {first} to {last}");

    let yardstick = Yardstick::new(&held_out, &segmenter).unwrap();
    let real = Paintings::real(&held_out);
    let swapped = Paintings {
        random: real.random.iter().cycle().skip(1).take(COUNT as usize).cloned().collect(),
        reconstructed: held_out.iter().map(|one| one.other.clone()).collect(),
        styled: held_out.iter().map(|one| one.other.clone()).collect(),
        varied: Vec::new(),
    };
    let gray = RgbImage::new(256, 256, vec![128; 3 << 16]).unwrap();
    let grays = || vec![gray.clone(); COUNT as usize];
    let gray = Paintings { random: grays(), varied: grays(), reconstructed: grays(), styled: Vec::new() };

    let (real, swapped, gray) = (
        yardstick.measure(&real).unwrap(),
        yardstick.measure(&swapped).unwrap(),
        yardstick.measure(&gray).unwrap(),
    );
    assert!(real.mean_iou > swapped.mean_iou && real.mean_iou > gray.mean_iou);
    assert!(real.sliced_wasserstein < gray.sliced_wasserstein);
    assert!(real.frechet < gray.frechet && real.kernel < gray.kernel);
    assert!(real.low_pass_l1 < swapped.low_pass_l1);
    assert!(real.style_fidelity > Some(0.8) && real.style_fidelity > swapped.style_fidelity);
    assert!(real.diversity > Some(0.1) && gray.diversity == Some(0.0));
    assert_eq!(gray.style_fidelity, None);
}
