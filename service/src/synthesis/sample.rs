//! Masks like those that people send, to measure with.

use rand::{RngExt as _, SeedableRng as _};
use spadework_imaging::{LabelMap, ShapeError, Size};

/// Thirty ellipses on a ground: about as many distinct neighbourhoods as a photograph's mask has.
///
/// # Errors
/// When the size is empty.
pub fn sample_mask(size: Size, classes: usize, seed: u64) -> Result<LabelMap, ShapeError> {
    let mut numbers = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let (width, height) = (size.width as f32, size.height as f32);
    let mut ids = vec![0u8; size.width * size.height];
    for _ in 0..30 {
        let id = numbers.random_range(0..classes) as u8;
        let center = (numbers.random_range(0.0..height), numbers.random_range(0.0..width));
        let radius =
            (numbers.random_range(1.0..height / 4.0 + 2.0), numbers.random_range(1.0..width / 4.0 + 2.0));
        for (i, pixel) in ids.iter_mut().enumerate() {
            let (y, x) = ((i / size.width) as f32, (i % size.width) as f32);
            if ((y - center.0) / radius.0).powi(2) + ((x - center.1) / radius.1).powi(2) < 1.0 {
                *pixel = id;
            }
        }
    }
    LabelMap::new(size.width, size.height, ids, classes)
}
