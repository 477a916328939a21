//! The plain shapes that people paint with, and the cells that they cover. Places and lengths are pixels.

use std::f32::consts::TAU;

use glam::Vec2;

use crate::camera::{GRID, SAMPLES};

/// One shape.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// What lies inside a closed line, by the even-odd rule.
    Polygon(Vec<Vec2>),
    /// A line of round points, each with its radius.
    Stroke(Vec<(Vec2, f32)>),
}

impl Shape {
    pub(super) fn ellipse(center: Vec2, radii: Vec2, turn: f32) -> Self {
        const POINTS: usize = 48;
        let (axis, across) = (Vec2::from_angle(turn), Vec2::from_angle(turn).perp());
        let point = |i: usize| {
            let angle = i as f32 * TAU / POINTS as f32;
            center + axis * (radii.x * angle.cos()) + across * (radii.y * angle.sin())
        };
        Self::Polygon((0..POINTS).map(point).collect())
    }

    pub(super) fn rectangle(from: Vec2, to: Vec2) -> Self {
        Self::Polygon(vec![from, Vec2::new(to.x, from.y), to, Vec2::new(from.x, to.y)])
    }

    /// Calls `cover` with the index of each cell of the grid that it covers; of some more than once.
    pub(super) fn cells(&self, mut cover: impl FnMut(usize)) {
        match self {
            Self::Polygon(points) => polygon(points, &mut cover),
            Self::Stroke(points) => {
                let pairs = points.windows(2).map(|pair| (pair[0], pair[1]));
                match points[..] {
                    [only] => capsule(only, only, &mut cover),
                    _ => pairs.for_each(|(from, to)| capsule(from, to, &mut cover)),
                }
            }
        }
    }
}

fn polygon(points: &[Vec2], cover: &mut impl FnMut(usize)) {
    let cell = |point: Vec2| point * SAMPLES as f32 - 0.5;
    let mut crossings = Vec::new();
    for y in 0..GRID {
        let row = y as f32;
        crossings.clear();
        for (i, &from) in points.iter().enumerate() {
            let (from, to) = (cell(from), cell(points[(i + 1) % points.len()]));
            if (from.y <= row) != (to.y <= row) {
                crossings.push(from.x + (row - from.y) / (to.y - from.y) * (to.x - from.x));
            }
        }
        crossings.sort_by(f32::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let first = pair[0].ceil().clamp(0.0, GRID as f32) as usize;
            let last = (pair[1].floor() + 1.0).clamp(0.0, GRID as f32) as usize;
            (first..last).for_each(|x| cover(y * GRID + x));
        }
    }
}

/// Two round points and what lies between them.
fn capsule((from, start): (Vec2, f32), (to, end): (Vec2, f32), cover: &mut impl FnMut(usize)) {
    let reach = start.max(end);
    let bound = |v: f32| (v * SAMPLES as f32).clamp(0.0, GRID as f32) as usize;
    let (low, high) = (from.min(to) - reach - 1.0, from.max(to) + reach + 1.0);
    let along = to - from;
    for y in bound(low.y)..bound(high.y) {
        for x in bound(low.x)..bound(high.x) {
            let at = (Vec2::new(x as f32, y as f32) + 0.5) / SAMPLES as f32;
            let share = ((at - from).dot(along) / along.length_squared().max(1e-6)).clamp(0.0, 1.0);
            if at.distance(from + along * share) <= start + (end - start) * share {
                cover(y * GRID + x);
            }
        }
    }
}
