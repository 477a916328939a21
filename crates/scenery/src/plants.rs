//! Trees and bushes: crowns of leafy puffs, or tiers of needles, on a trunk.

use std::f32::consts::TAU;

use glam::{Vec2, Vec3};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::camera::Camera;
use crate::class::Class;
use crate::noise::{Noise, smoothstep};
use crate::surface::{Cell, Material, Surface};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Species {
    Broadleaf,
    Conifer,
    Poplar,
    Bush,
}

/// Cells from one leaf to the next.
const LEAF: f32 = 2.6;

/// One plant; `foot` is where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plant {
    pub(crate) species: Species,
    pub(crate) foot: Vec3,
    pub(crate) height: f32,
    pub(crate) seed: u64,
}

/// A plant being drawn: where it is on the image.
struct Sprite<'a> {
    surface: &'a mut Surface,
    noise: &'a Noise,
    random: ChaCha8Rng,
    /// Column and row of the foot.
    foot: Vec2,
    /// Height in cells.
    height: f32,
    depth: f32,
}

impl Plant {
    /// Draws it into `surface`.
    pub(crate) fn draw(&self, camera: &Camera, noise: &Noise, surface: &mut Surface) {
        let (column, row) = camera.project(self.foot);
        let height = self.height * camera.scale(self.foot.z);
        let mut sprite = Sprite {
            surface,
            noise,
            random: ChaCha8Rng::seed_from_u64(self.seed),
            foot: Vec2::new(column, row),
            height,
            depth: self.foot.z,
        };
        match self.species {
            Species::Broadleaf => sprite.crown(0.34, 0.62, 0.36),
            Species::Poplar => sprite.crown(0.13, 0.56, 0.44),
            Species::Bush => sprite.crown(0.75, 0.42, 0.45),
            Species::Conifer => sprite.conifer(),
        }
    }

    /// Half the crown's width, for its shadow.
    pub(crate) fn spread(&self) -> f32 {
        self.height
            * match self.species {
                Species::Broadleaf => 0.34,
                Species::Poplar => 0.13,
                Species::Bush => 0.75,
                Species::Conifer => 0.2,
            }
    }
}

impl Sprite<'_> {
    fn within(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.random.random::<f32>()
    }

    /// What differs from leaf to leaf, none of them smaller than a pixel; from `-most` to `most`.
    fn leaf(&self, at: Vec2, most: f32) -> f32 {
        most * (1.4 * self.noise.at(at.x / LEAF + self.foot.x, at.y / LEAF + self.foot.y)).clamp(-1.0, 1.0)
    }

    fn put(&mut self, at: Vec2, material: Material, normal: Vec3, tone: f32, openness: f32) {
        let cell = Cell { class: Class::Tree, material, depth: self.depth, normal, tone, openness };
        self.surface.cover(at.x.round() as i32, at.y.round() as i32, cell);
    }

    /// A trunk under a crown; sizes are shares of the height.
    fn crown(&mut self, half_width: f32, middle: f32, half_height: f32) {
        let half = Vec2::new(half_width * self.within(0.8, 1.2), half_height) * self.height;
        let lean = self.within(-0.06, 0.06) * self.height;
        let center = self.foot + Vec2::new(lean, -middle * self.height);
        self.trunk(center, 0.022 * self.height);
        let puffs = (half.x * half.y / 28.0).clamp(5.0, 90.0) as usize;
        let size = (half.x.min(half.y) * if puffs < 12 { 0.62 } else { 0.42 }).max(1.8);
        let mut placed: Vec<Vec3> = (0..puffs).map(|_| self.in_ball()).collect();
        placed.sort_by(|a, b| b.z.total_cmp(&a.z));
        for at in placed {
            let radius = size * self.within(0.65, 1.2);
            let inside = half - 0.6 * radius;
            self.puff(center + Vec2::new(at.x * inside.x, -at.y * inside.y), radius, at);
        }
    }

    /// A point of the unit ball, more often near its surface; -z is nearest.
    fn in_ball(&mut self) -> Vec3 {
        let direction = Vec3::new(self.within(-1.0, 1.0), self.within(-1.0, 1.0), self.within(-1.0, 1.0));
        let reach = self.within(0.0, 1.0).powf(0.4);
        direction.try_normalize().unwrap_or(Vec3::Y) * reach
    }

    /// A clump of leaves; `outward` is where it sits in its crown.
    fn puff(&mut self, center: Vec2, radius: f32, outward: Vec3) {
        let tone = self.within(-0.5, 0.5);
        let phase = self.within(0.0, TAU);
        let lobes = self.within(4.0, 7.0).floor();
        let reach = (1.3 * radius).ceil() as i32;
        let openness = 0.32 + 0.68 * smoothstep(-0.9, 0.7, outward.y - 0.5 * outward.z);
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                let at = Vec2::new(dx as f32, dy as f32) / radius;
                let edge = 1.0 + 0.2 * (lobes * at.y.atan2(at.x) + phase).sin();
                let distance = at.length() / edge;
                let jitter = self.leaf(center + Vec2::new(dx as f32, dy as f32), 0.24);
                if distance + 0.6 * jitter > 1.0 {
                    continue;
                }
                let bulge = Vec3::new(at.x, -at.y, -(1.0 - distance * distance).max(0.0).sqrt());
                let normal = (bulge + 0.6 * outward + Vec3::new(jitter, jitter, 0.0)).normalize_or(Vec3::Y);
                let rim = 1.0 - 0.35 * smoothstep(0.5, 1.0, distance);
                let place = center + Vec2::new(dx as f32, dy as f32);
                self.put(place, Material::Leaf, normal, tone + 1.6 * jitter, openness * rim);
            }
        }
    }

    fn trunk(&mut self, top: Vec2, half_width: f32) {
        let rows = (self.foot.y - top.y).ceil().max(1.0) as i32;
        for dy in 0..=rows {
            let share = dy as f32 / rows as f32;
            let middle = self.foot.x + (top.x - self.foot.x) * share;
            let half = (half_width * (1.5 - 0.8 * share)).max(0.8);
            let reach = half.round() as i32;
            for dx in -reach..=reach {
                let across = (dx as f32 / half.max(1.0)).clamp(-1.0, 1.0);
                let normal = Vec3::new(across, 0.1, -(1.0 - across * across).sqrt() - 0.05).normalize();
                let at = Vec2::new(middle + dx as f32, self.foot.y - dy as f32);
                let tone = self.leaf(Vec2::new(at.x, 0.4 * at.y), 0.8) - 0.1;
                self.put(at, Material::Bark, normal, tone, 0.8);
            }
        }
    }

    /// Tiers of drooping branches, each shadowing the next.
    fn conifer(&mut self) {
        let top = self.foot - Vec2::new(0.0, self.height);
        self.trunk(self.foot - Vec2::new(0.0, 0.3 * self.height), 0.022 * self.height);
        let half = self.height * self.within(0.17, 0.27);
        let tiers = (self.height / 10.0).clamp(3.0, 11.0) * self.within(0.85, 1.15);
        let shift = self.within(0.0, 1.0);
        let rows = (0.92 * self.height).ceil() as i32;
        for row in 0..=rows {
            let down = row as f32 / rows as f32;
            let most = half * down.powf(0.9);
            for dx in -(most as i32)..=most as i32 {
                let across = dx as f32 / most.max(1.0);
                let at = top + Vec2::new(dx as f32, row as f32);
                let jitter = self.leaf(at, 0.45);
                // Branches droop: a tier's lower edge hangs deeper further out, each by its own length.
                let droop =
                    0.55 * across.abs() + 0.35 * (3.0 * shift + 9.0 * across + (down * tiers).floor()).sin();
                let phase = (down.powf(0.85) * tiers + shift - droop + 2.0).fract();
                if across.abs() > 0.5 + 0.5 * phase + 0.3 * jitter {
                    continue;
                }
                let normal = Vec3::new(across + jitter, 0.75 - 0.6 * phase + jitter, -0.6).normalize();
                let openness = (0.4 + 0.6 * phase) * (0.75 + 0.25 * across.abs());
                self.put(at, Material::Needle, normal, 0.9 * jitter + 0.5 * (phase - 0.5), openness);
            }
        }
    }
}
