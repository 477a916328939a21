//! How far each pixel lies from the edge of a painted region.

use glam::{Vec2, Vec3};

use crate::camera::{GRID, SAMPLES, SIDE};

/// Pixels around a region of which the distance is known too.
const MARGIN: usize = 10;

/// Signed distances in pixels, positive inside.
pub(crate) struct Field {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    distances: Vec<f32>,
    /// The largest: how far the innermost pixel lies from the edge.
    pub(crate) inmost: f32,
    /// The region's first and last column and row.
    pub(crate) low: Vec2,
    pub(crate) high: Vec2,
}

impl Field {
    /// The field of a region of the grid; none for one of no pixels.
    pub(crate) fn of(covered: &[bool]) -> Option<Self> {
        let others: Vec<bool> = covered.iter().map(|covered| !covered).collect();
        Self::between(covered, &others)
    }

    /// The field of a region whose edge is where it meets another; a third one, between them, counts as inside.
    pub(crate) fn between(covered: &[bool], others: &[bool]) -> Option<Self> {
        let of = |cells: &[bool], x: usize, y: usize| cells[SAMPLES * (y * GRID + x)];
        let (mut low, mut high) = ([SIDE; 2], [0; 2]);
        for (x, y) in (0..SIDE * SIDE).map(|i| (i % SIDE, i / SIDE)).filter(|&(x, y)| of(covered, x, y)) {
            (low, high) = ([low[0].min(x), low[1].min(y)], [high[0].max(x), high[1].max(y)]);
        }
        if low[0] > high[0] {
            return None;
        }
        let (left, top) = (low[0].saturating_sub(MARGIN), low[1].saturating_sub(MARGIN));
        let width = (high[0] + MARGIN + 1).min(SIDE) - left;
        let height = (high[1] + MARGIN + 1).min(SIDE) - top;
        let at = |cells: &[bool], i: usize| of(cells, left + i % width, top + i / width);
        let to = |cells: &[bool]| {
            chamfer((0..width * height).map(|i| if at(cells, i) { 0.0 } else { 1e3 }).collect(), width)
        };
        let (inward, outward) = (to(others), to(covered));
        let distances = (0..width * height).map(|i| match at(others, i) {
            true => -outward[i],
            false => inward[i].min(200.0),
        });
        let signed = |d: f32| if d > 0.0 { d - 0.5 } else { d + 0.5 };
        let distances: Vec<f32> = distances.map(signed).collect();
        let inmost = distances.iter().copied().fold(1.0, f32::max);
        let corner = |v: [usize; 2]| Vec2::new(v[0] as f32, v[1] as f32);
        Some(Self { left, top, width, height, distances, inmost, low: corner(low), high: corner(high) })
    }

    /// The distance at a place, which may lie between pixels.
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x - self.left as f32, y - self.top as f32);
        let (w, h) = ((self.width - 1) as f32, (self.height - 1) as f32);
        let (cx, cy) = (x.clamp(0.0, w), y.clamp(0.0, h));
        let beyond = (x - cx).abs().max((y - cy).abs());
        let (left, above) = (cx as usize, cy as usize);
        let (right, below) = ((left + 1).min(self.width - 1), (above + 1).min(self.height - 1));
        let (tx, ty) = (cx.fract(), cy.fract());
        let d = |x: usize, y: usize| self.distances[y * self.width + x];
        let upper = d(left, above) + tx * (d(right, above) - d(left, above));
        let lower = d(left, below) + tx * (d(right, below) - d(left, below));
        upper + ty * (lower - upper) - beyond
    }

    /// The direction in which a body blown up from the region would face: out at its edge, to the viewer at its middle.
    pub(crate) fn dome(&self, x: f32, y: f32) -> Vec3 {
        let deep = (self.at(x, y) / self.inmost).clamp(0.0, 1.0);
        let inward =
            Vec2::new(self.at(x + 2.0, y) - self.at(x - 2.0, y), self.at(x, y + 2.0) - self.at(x, y - 2.0))
                .normalize_or_zero();
        let edge = (1.0 - deep).sqrt();
        Vec3::new(-inward.x * edge, inward.y * edge, -(0.25 + 0.75 * deep)).normalize()
    }
}

/// Distances to the nearest zero, by steps to the eight neighbours.
fn chamfer(mut d: Vec<f32>, width: usize) -> Vec<f32> {
    const SLANTED: f32 = std::f32::consts::SQRT_2;
    let height = d.len() / width;
    let relax = |d: &mut Vec<f32>, x: usize, y: usize, dx: isize, dy: isize, step: f32| {
        if let (Some(nx), Some(ny)) = (x.checked_add_signed(dx), y.checked_add_signed(dy))
            && nx < width
            && ny < height
        {
            d[y * width + x] = d[y * width + x].min(d[ny * width + nx] + step);
        }
    };
    for y in 0..height {
        for x in 0..width {
            for (dx, dy, step) in [(-1, 0, 1.0), (0, -1, 1.0), (-1, -1, SLANTED), (1, -1, SLANTED)] {
                relax(&mut d, x, y, dx, dy, step);
            }
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            for (dx, dy, step) in [(1, 0, 1.0), (0, 1, 1.0), (1, 1, SLANTED), (-1, 1, SLANTED)] {
                relax(&mut d, x, y, dx, dy, step);
            }
        }
    }
    d
}
