//! Label maps as a hand would paint them: rounder, coarser, without the small things.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::camera::SIDE;
use crate::class::CLASSES;

/// Cells on a side of the blocks in which classes are counted.
const BLOCK: usize = 4;
const BLOCKS: usize = SIDE / BLOCK;

/// `labels` painted over with a brush: each class's share of the neighbourhood is blurred, and the largest wins.
pub(crate) fn coarsened(labels: &[u8], seed: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(3);
    let passes = random.random_range(1..=4);
    let mut best = vec![(0.0f32, 0u8); SIDE * SIDE];
    for class in 0..CLASSES.len() as u8 {
        if !labels.contains(&class) {
            continue;
        }
        let mut share = shares(labels, class);
        for _ in 0..passes {
            share = blurred(&blurred(&share, 1), BLOCKS);
        }
        for (i, best) in best.iter_mut().enumerate() {
            let here = between(&share, i % SIDE, i / SIDE);
            if here > best.0 {
                *best = (here, class);
            }
        }
    }
    best.into_iter().map(|(_, class)| class).collect()
}

fn shares(labels: &[u8], class: u8) -> Vec<f32> {
    let mut shares = vec![0.0; BLOCKS * BLOCKS];
    for (i, _) in labels.iter().enumerate().filter(|(_, label)| **label == class) {
        shares[i / SIDE / BLOCK * BLOCKS + i % SIDE / BLOCK] += 1.0;
    }
    shares
}

/// A five-wide box filter along the axis whose neighbours lie `stride` apart.
fn blurred(values: &[f32], stride: usize) -> Vec<f32> {
    (0..values.len())
        .map(|i| {
            let place = i / stride % BLOCKS;
            let at = |offset: isize| {
                let shifted = place.saturating_add_signed(offset).min(BLOCKS - 1);
                values[i - place * stride + shifted * stride]
            };
            (-2..=2).map(at).sum()
        })
        .collect()
}

/// Bilinear between blocks' middles.
fn between(values: &[f32], x: usize, y: usize) -> f32 {
    let split = |v: usize| {
        let at = ((v as f32 + 0.5) / BLOCK as f32 - 0.5).clamp(0.0, (BLOCKS - 1) as f32);
        (at as usize, (at as usize + 1).min(BLOCKS - 1), at.fract())
    };
    let ((x0, x1, tx), (y0, y1, ty)) = (split(x), split(y));
    let at = |x: usize, y: usize| values[y * BLOCKS + x];
    let upper = at(x0, y0) + tx * (at(x1, y0) - at(x0, y0));
    let lower = at(x0, y1) + tx * (at(x1, y1) - at(x0, y1));
    upper + ty * (lower - upper)
}
