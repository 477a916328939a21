//! Trees in a painted outline: one round crown, one pine, or a wood of many. Lengths are pixels.

use std::f32::consts::TAU;

use glam::{Vec2, Vec3};

use crate::camera::{GRID, SAMPLES};
use crate::class::Class;
use crate::draw::Draw;
use crate::field::Field;
use crate::noise::{Noise, smoothstep};
use crate::surface::{Cell, Material, Surface};

/// What the trees of a region are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// One broad crown.
    Crown,
    /// One pine.
    Pine,
    /// Many crowns.
    Wood,
    /// Many pines.
    Pines,
}

/// Trees being drawn.
pub(super) struct Trees<'a> {
    pub(super) noise: &'a Noise,
    pub(super) field: &'a Field,
    pub(super) depth: f32,
    pub(super) random: Draw,
    pub(super) surface: &'a mut Surface,
}

/// A crown: its middle and half of its size.
#[derive(Clone, Copy)]
struct Crown {
    middle: Vec2,
    half: Vec2,
}

impl Trees<'_> {
    pub(super) fn draw(&mut self, growth: Growth) {
        let (low, high) = (self.field.low, self.field.high + 1.0);
        match growth {
            Growth::Crown => self.lone(Crown { middle: (low + high) / 2.0, half: (high - low) / 2.0 }),
            Growth::Pine => self.pine(Vec2::new((low.x + high.x) / 2.0, high.y), high.y - low.y, None),
            Growth::Wood => self.wood(false),
            Growth::Pines => self.wood(true),
        }
    }

    /// Whether leaves reach a place: the outline, frayed by less than two pixels.
    fn reaches(&self, at: Vec2) -> bool {
        let fray = self.noise.at(at.x / 1.9 + 50.0, at.y / 1.9);
        self.field.at(at.x - 0.5, at.y - 0.5) + 2.0 * fray > 0.0
    }

    fn leaf(&self, at: Vec2, most: f32) -> f32 {
        most * (1.4 * self.noise.at(at.x / 1.3, at.y / 1.3 + 20.0)).clamp(-1.0, 1.0)
    }

    fn put(&mut self, x: usize, y: usize, material: Material, normal: Vec3, tone: f32, openness: f32) {
        let cell = Cell { class: Class::Tree, material, depth: self.depth, normal, tone, openness };
        *self.surface.at_mut(x, y) = cell;
    }

    /// Calls `paint` for the cells of a box.
    fn cells(&mut self, low: Vec2, high: Vec2, mut paint: impl FnMut(&mut Self, usize, usize, Vec2)) {
        let bound = |v: f32| (v * SAMPLES as f32).clamp(0.0, GRID as f32) as usize;
        for y in bound(low.y)..bound(high.y + 1.0) {
            for x in bound(low.x)..bound(high.x + 1.0) {
                paint(self, x, y, (Vec2::new(x as f32, y as f32) + 0.5) / SAMPLES as f32);
            }
        }
    }

    /// The dark inside of trees, where nothing else is seen.
    fn shade(&mut self, low: Vec2, high: Vec2) {
        self.cells(low, high, |trees, x, y, at| {
            if trees.reaches(at) {
                let tone = -0.6 + trees.leaf(at, 0.3);
                trees.put(x, y, Material::Leaf, trees.field.dome(at.x, at.y), tone, 0.42);
            }
        });
    }

    fn lone(&mut self, crown: Crown) {
        let (low, high) = (self.field.low - 2.0, self.field.high + 2.0);
        self.shade(low, high);
        self.trunk(crown);
        self.crown(crown);
    }

    /// A stem, where the outline is narrow below its middle.
    fn trunk(&mut self, crown: Crown) {
        let Crown { middle, half } = crown;
        let (low, high) = (Vec2::new(middle.x - half.x, middle.y), middle + half);
        self.cells(low, high, |trees, x, y, at| {
            let inside = trees.field.at(at.x - 0.5, at.y - 0.5);
            // As deep as it gets in this row.
            let row = (0..9).map(|i| trees.field.at(middle.x + half.x * (i as f32 / 4.0 - 1.0), at.y));
            let deepest = row.fold(inside, f32::max);
            if inside > 0.0 && deepest < 0.3 * trees.field.inmost && at.y > middle.y + 0.3 * half.y {
                let across = 1.0 - (inside / deepest.max(0.5)).clamp(0.0, 1.0);
                let side = if trees.field.at(at.x + 0.5, at.y) > inside { -across } else { across };
                let normal = Vec3::new(side, 0.1, -(1.0 - 0.8 * across)).normalize();
                let tone = trees.leaf(Vec2::new(at.x, 0.3 * at.y), 0.7);
                trees.put(x, y, Material::Bark, normal, tone, 0.8);
            }
        });
    }

    /// Clumps of leaves all over a crown, the farthest first.
    fn crown(&mut self, crown: Crown) {
        let Crown { middle, half } = crown;
        let size = (0.34 * half.min_element()).clamp(2.0, 8.0);
        let count = (3.4 * half.x * half.y / (size * size)).clamp(6.0, 160.0) as usize;
        let mut clumps: Vec<(Vec2, Vec3, f32)> = Vec::new();
        for _ in 0..2 * count {
            let place = Vec2::new(self.random.within(-1.0, 1.0), self.random.within(-1.0, 1.0));
            let radius = size * self.random.within(0.7, 1.25);
            let at = middle + place * half;
            if self.field.at(at.x, at.y) < 0.35 * radius {
                continue;
            }
            let round = Vec3::new(place.x, -place.y, -(1.0 - place.length_squared()).max(0.05).sqrt());
            clumps.push((at, round.normalize(), radius));
        }
        clumps.truncate(count);
        let nearness: Vec<f32> =
            clumps.iter().map(|(at, ..)| self.noise.at(3.1 * at.x, 2.7 * at.y)).collect();
        let mut order: Vec<usize> = (0..clumps.len()).collect();
        order.sort_by(|&a, &b| {
            let key = |i: usize| clumps[i].1.z - 0.5 * nearness[i] + 0.4 * clumps[i].1.y;
            key(b).total_cmp(&key(a))
        });
        for i in order {
            let (at, outward, radius) = clumps[i];
            self.clump(at, radius, outward);
        }
    }

    fn clump(&mut self, center: Vec2, radius: f32, outward: Vec3) {
        let tone = self.random.within(-0.45, 0.45);
        let (phase, lobes) = (self.random.within(0.0, TAU), self.random.within(4.0, 7.0).floor());
        let openness = 0.34 + 0.66 * smoothstep(-0.9, 0.7, outward.y - 0.5 * outward.z);
        let stem = !self.surface_is_open(center);
        if stem {
            return;
        }
        self.cells(center - 1.3 * radius, center + 1.3 * radius, |trees, x, y, place| {
            let at = (place - center) / radius;
            let edge = 1.0 + 0.2 * (lobes * at.y.atan2(at.x) + phase).sin();
            let distance = at.length() / edge;
            let jitter = trees.leaf(place, 0.24);
            if distance + 0.6 * jitter > 1.0 || !trees.reaches(place) {
                return;
            }
            let bulge = Vec3::new(at.x, -at.y, -(1.0 - distance * distance).max(0.0).sqrt());
            let normal = (bulge + 0.9 * outward + Vec3::new(jitter, jitter, 0.0)).normalize_or(Vec3::Y);
            let rim = 1.0 - 0.35 * smoothstep(0.5, 1.0, distance);
            trees.put(x, y, Material::Leaf, normal, tone + 1.6 * jitter, openness * rim);
        });
    }

    /// Leaves do not grow where there is bark.
    fn surface_is_open(&self, at: Vec2) -> bool {
        let cell = |v: f32| ((v * SAMPLES as f32) as usize).min(GRID - 1);
        self.surface.at(cell(at.x), cell(at.y)).material != Material::Bark
    }

    /// Tiers of drooping branches above `foot`; in the outline's own width, or `half` as wide as it is given.
    fn pine(&mut self, foot: Vec2, height: f32, half: Option<f32>) {
        let tiers = (height / 6.0).clamp(3.0, 10.0) * self.random.within(0.85, 1.15);
        let (shift, sway) = (self.random.within(0.0, 1.0), self.random.within(0.0, TAU));
        let top = foot.y - height;
        let wide = half.unwrap_or(0.5 * (self.field.high.x - self.field.low.x + 1.0));
        let (low, high) =
            (Vec2::new(foot.x - wide - 1.0, top - 1.0), Vec2::new(foot.x + wide + 1.0, foot.y + 1.0));
        self.cells(low, high, |trees, x, y, at| {
            if !trees.reaches(at) {
                return;
            }
            let down = ((at.y - top) / height).clamp(0.0, 1.0);
            let most = match half {
                Some(half) => half * down.powf(0.9),
                None => (wide * down).max(1.0),
            };
            let across = (at.x - foot.x) / most.max(0.5);
            let jitter = trees.leaf(at, 0.4);
            let bough = (down * tiers).floor();
            let droop = 0.55 * across.abs() + 0.3 * (sway + 9.0 * across + 2.0 * bough).sin();
            let phase = (down.powf(0.85) * tiers + shift - droop + 2.0).fract();
            if half.is_some() && across.abs() > 0.55 + 0.45 * phase + 0.3 * jitter {
                return;
            }
            let side = across.clamp(-1.0, 1.0);
            let normal = Vec3::new(side + jitter, 0.75 - 0.6 * phase + jitter, -0.6).normalize();
            let openness = (0.35 + 0.65 * phase) * (0.75 + 0.25 * side.abs());
            trees.put(x, y, Material::Needle, normal, 0.9 * jitter + 0.6 * (phase - 0.5), openness);
        });
    }

    /// Many trees, from the far edge of the outline to the near one.
    fn wood(&mut self, pines: bool) {
        let (low, high) = (self.field.low, self.field.high);
        let tall = high.y - low.y + 1.0;
        let size = (0.27 * tall).clamp(4.0, 16.0) * self.random.within(0.85, 1.2);
        self.shade(low - 2.0, high + 2.0);
        let mut row = low.y + if pines { 0.0 } else { 0.8 * size };
        while row < high.y + 2.5 * size {
            let scale = size * (0.8 + 0.4 * (row - low.y) / tall);
            let mut column = low.x - self.random.within(0.0, scale);
            while column < high.x + scale {
                let at = Vec2::new(column, row + self.random.within(-0.4, 0.4) * scale);
                let grown = scale * self.random.within(0.75, 1.2);
                if pines {
                    let height = 3.2 * grown;
                    let inside = self.field.at(at.x, at.y - 0.6 * height) > -0.5 * grown;
                    let tip = self.field.at(at.x, at.y - height) > -2.0;
                    if inside && tip {
                        self.pine(at, height, Some(0.75 * grown));
                    }
                } else if self.field.at(at.x, at.y) > -0.2 * grown {
                    self.crown(Crown { middle: at, half: Vec2::new(grown, 0.85 * grown) });
                }
                column += scale * self.random.within(0.9, 1.6);
            }
            row += 0.8 * scale;
        }
    }
}
