//! The measures beside numbers that numpy and scipy computed (`tests/reference/make_evaluation_fixtures.py`), and the
//! whole evaluation on images whose order of merit is known.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::Deserialize;

use super::*;
use crate::data::{Landscapes, Sample, SampleSource};

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
    image: Vec<u8>,
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
    let levels = laplacian(PyramidLevel::of_pixels(16, 12, &f.image), 6);
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

/// Pieces of a few landscapes, for a segmenter that need not be good: a step takes a sixteenth of the time.
struct Pieces(Vec<Sample>);

impl Pieces {
    const SIDE: usize = 64;

    fn of(landscapes: Landscapes) -> Self {
        let whole = (0..12).into_par_iter().map(|position| landscapes.recipe(position).render());
        Self(whole.collect())
    }
}

impl SampleSource for Pieces {
    fn epoch(&self) -> u64 {
        self.0.len() as u64
    }

    /// Of one landscape after the other, each time from the next place in it.
    fn sample(&self, position: u64) -> anyhow::Result<Sample> {
        let (landscape, place) = (position as usize % self.0.len(), position as usize / self.0.len());
        let Sample { labels, image, .. } = &self.0[landscape];
        let (left, top) = (place % 4 * Self::SIDE, (landscape + place) % 4 * Self::SIDE);
        let row = |y: usize| y * labels.width() + left..y * labels.width() + left + Self::SIDE;
        let rows = (top..top + Self::SIDE).map(row);
        let ids = rows.clone().flat_map(|row| labels.ids()[row].iter().copied()).collect();
        let pixels = rows.flat_map(|row| image.pixels()[3 * row.start..3 * row.end].iter().copied());
        Ok(Sample {
            labels: LabelMap::new(Self::SIDE, Self::SIDE, ids, labels.classes())?,
            edges: None,
            image: RgbImage::new(Self::SIDE, Self::SIDE, pixels.collect())?,
        })
    }
}

/// Real images of the asked masks, of other masks, and grey ones must come out in that order.
#[test]
fn better_images_measure_better() {
    const COUNT: u64 = 6;
    const STEPS: u64 = 12;
    let held_out = HeldOut::landscapes(5, COUNT, false);
    let source: Arc<dyn SampleSource> =
        Arc::new(Pieces::of(Landscapes { seed: 6, epoch: 100, painted: 0.0 }));
    let (mut first, mut last) = (0.0, 0.0);
    let segmenter = Segmenter::train(&source, 14, STEPS, 1, |step, loss| {
        if step == 0 {
            first = loss;
        }
        last = loss;
    })
    .unwrap();
    assert!(last < 0.9 * first, "the loss goes from {first} to {last}");

    let yardstick = Yardstick::new(&held_out, &segmenter, vec![1, 2, 5]).unwrap();
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
    assert!(real.mean_iou > 1.4 * swapped.mean_iou && real.mean_iou > 1.4 * gray.mean_iou);
    assert!(real.sliced_wasserstein < gray.sliced_wasserstein);
    assert!(real.frechet < gray.frechet && real.kernel < gray.kernel);
    assert!(real.low_pass_l1 < swapped.low_pass_l1);
    assert!(real.style_fidelity > Some(0.8) && real.style_fidelity > swapped.style_fidelity);
    assert!(real.diversity > Some(0.1) && gray.diversity == Some(0.0));
    assert_eq!(gray.style_fidelity, None);
    assert!(real.rims > Some(0.5) && gray.rims < Some(1e-9), "{:?} {:?}", real.rims, gray.rims);
    assert!(real.lattice.mean() > 0.01 && gray.lattice.mean() < 1e-9);
}

/// A network must not be measured by what it was trained against.
#[test]
fn the_segmenter_is_none_of_the_networks_that_a_loss_may_hold() {
    use crate::networks::scene_features;
    let source: Arc<dyn SampleSource> =
        Arc::new(Pieces::of(Landscapes { seed: 6, epoch: 100, painted: 0.0 }));
    let segmenter = Segmenter::train(&source, 14, 0, 1, |_, _| {}).unwrap();
    let features: usize =
        scene_features::CONVS.iter().map(|(_, output, input, _)| output * input * 9 + output).sum();
    assert!(segmenter.parameters() > 2 * features, "{} and {features} parameters", segmenter.parameters());
    let positions = |landscapes: Landscapes| (0..50).map(move |position| landscapes.recipe(position).layout);
    let [measured, felt] =
        [6, 6 ^ crate::features::SEED].map(|seed| Landscapes { seed, epoch: 50, painted: 0.5 });
    assert!(positions(measured).all(|layout| !positions(felt).any(|other| other == layout)));
}
