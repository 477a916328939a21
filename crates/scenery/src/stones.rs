//! Boulders: the common part of random half-spaces, so that each has flat facets.

use glam::Vec3;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::camera::Camera;
use crate::class::Class;
use crate::noise::{Noise, smoothstep};
use crate::surface::{Cell, Material, Surface};

/// One boulder; `foot` is where it touches the ground.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stone {
    pub(crate) foot: Vec3,
    pub(crate) radius: f32,
    pub(crate) seed: u64,
}

/// A half-space `normal · p < offset`.
struct Facet {
    normal: Vec3,
    offset: f32,
    tone: f32,
}

impl Stone {
    /// Draws it into `surface`.
    pub(crate) fn draw(&self, camera: &Camera, noise: &Noise, surface: &mut Surface) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let facets = facets(&mut random);
        let squash = random.random_range(0.55..0.95);
        let (column, row) = camera.project(self.foot);
        let size = self.radius * camera.scale(self.foot.z);
        let reach = (1.3 * size).ceil() as i32;
        for dy in -reach..=(0.3 * size) as i32 {
            for dx in -reach..=reach {
                let (u, v) = (dx as f32 / size, -dy as f32 / (size * squash) - 0.25);
                let Some((facet, depth)) = front(&facets, u, v) else { continue };
                let (x, y) = (column as i32 + dx, row as i32 + dy);
                let grain = noise.fbm(u * 7.0 + column, v * 7.0 + row, (size / 12.0).log2().clamp(0.0, 4.0));
                let rough = Vec3::new(grain, noise.at(u * 9.0 + row, v * 9.0), 0.0) * 0.35;
                surface.cover(
                    x,
                    y,
                    Cell {
                        class: Class::Rock,
                        material: Material::Stone,
                        depth: self.foot.z - depth * self.radius,
                        normal: (facet.normal + rough).normalize(),
                        tone: facet.tone + 0.8 * grain,
                        openness: 0.4 + 0.6 * smoothstep(-0.35, 0.3, v),
                    },
                );
            }
        }
    }
}

fn facets(random: &mut ChaCha8Rng) -> Vec<Facet> {
    let mut within = |from: f32, to: f32| random.random_range(from..to);
    (0..18)
        .map(|_| {
            let normal = Vec3::new(within(-1.0, 1.0), within(-0.2, 1.0), within(-1.0, 1.0));
            let normal = normal.try_normalize().unwrap_or(Vec3::Y);
            Facet { normal, offset: within(0.66, 1.0), tone: within(-0.35, 0.35) }
        })
        .collect()
}

/// The facet that a ray along z at (u, v) meets first, and how far before the middle.
fn front(facets: &[Facet], u: f32, v: f32) -> Option<(&Facet, f32)> {
    let (mut enter, mut leave, mut hit) = (-1.3f32, 1.3f32, None);
    for facet in facets {
        let left = facet.offset - facet.normal.x * u - facet.normal.y * v;
        let along = facet.normal.z;
        if along.abs() < 1e-4 {
            if left < 0.0 {
                return None;
            }
        } else if along < 0.0 {
            let z = left / along;
            if z > enter {
                (enter, hit) = (z, Some(facet));
            }
        } else {
            leave = leave.min(left / along);
        }
    }
    hit.filter(|_| enter < leave && u * u + v * v < 1.6).map(|facet| (facet, -enter))
}
