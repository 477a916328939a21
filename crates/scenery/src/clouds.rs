//! Clouds: heaps of round puffs, or layers seen in perspective.

use glam::{Vec2, Vec3};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::camera::{Camera, GRID, SAMPLES, SIDE};
use crate::class::Class;
use crate::noise::{Noise, smoothstep};
use crate::surface::{Cell, Material, Surface};

/// The share of the sky that cloud of a density hides.
pub(crate) fn opacity(density: f32) -> f32 {
    smoothstep(0.02, 0.6, density)
}

/// Density of the cloud that hides half of the sky: it is labelled from there on.
pub(crate) const HALF: f32 = 0.31;

struct Puff {
    center: Vec2,
    radius: f32,
    /// Row of its cloud's flat base.
    base: f32,
}

/// The clouds of one sky. Lengths are pixels.
pub(crate) struct Clouds {
    puffs: Vec<Puff>,
    layer: Option<Layer>,
    offset: Vec2,
}

/// A sheet of cloud high above.
struct Layer {
    /// From 0, none, to 1, closed.
    coverage: f32,
    /// Features' width along x, in the sheet's own units.
    stretch: f32,
    scale: f32,
}

impl Clouds {
    pub(crate) fn draw(random: &mut ChaCha8Rng, camera: &Camera) -> Self {
        let mut within = |from: f32, to: f32| from + (to - from) * random.random::<f32>();
        let (heaps, sheet) = match within(0.0, 1.0) {
            kind if kind < 0.12 => (0, false),
            kind if kind < 0.55 => (within(1.0, 6.0) as usize, false),
            kind if kind < 0.75 => (within(1.0, 4.0) as usize, true),
            _ => (0, true),
        };
        let mut puffs = Vec::new();
        for _ in 0..heaps {
            heap(&mut within, camera.horizon / SAMPLES as f32, &mut puffs);
        }
        let layer = sheet.then(|| Layer {
            coverage: within(0.2, 0.75),
            stretch: within(0.5, 1.4),
            scale: within(0.7, 1.6),
        });
        Self { puffs, layer, offset: Vec2::new(within(0.0, 128.0), within(0.0, 128.0)) }
    }

    /// Draws them into the sky that the land leaves free.
    pub(crate) fn cover(&self, noise: &Noise, camera: &Camera, surface: &mut Surface) {
        let horizon = camera.horizon / SAMPLES as f32;
        let rows = (horizon.ceil() as usize + 1).min(SIDE);
        let density: Vec<f32> = (0..rows * SIDE)
            .map(|i| self.density(noise, horizon, (i % SIDE) as f32, (i / SIDE) as f32))
            .collect();
        paint(surface, rows, |x, y| density[y.min(rows - 1) * SIDE + x.min(SIDE - 1)], Cell::is_open_sky);
    }

    fn density(&self, noise: &Noise, horizon: f32, x: f32, y: f32) -> f32 {
        let at = Vec2::new(x, y);
        let heaps = self.heaps(noise, at);
        let sheet = self.layer.as_ref().map_or(0.0, |layer| {
            let elevation = (horizon - y).max(0.0) / SIDE as f32 + 0.09;
            let reach = layer.scale / elevation;
            let sheet =
                Vec2::new((x / SIDE as f32 - 0.5) * reach * layer.stretch, 0.55 * reach) + self.offset;
            let warp = noise.fbm(sheet.x + 9.0, sheet.y, 2.0);
            let body = noise.fbm(1.3 * sheet.x + 0.5 * warp, 1.3 * sheet.y + 0.5 * warp, 6.0);
            let haze = smoothstep(0.09, 0.16, elevation);
            haze * smoothstep(0.55 - layer.coverage, 1.15 - layer.coverage, body + 0.25)
        });
        heaps.max(sheet)
    }

    fn heaps(&self, noise: &Noise, at: Vec2) -> f32 {
        let near = |puff: &&Puff| at.distance_squared(puff.center) < (1.6 * puff.radius).powi(2);
        if !self.puffs.iter().any(|puff| near(&puff)) {
            return 0.0;
        }
        let billow = noise.fbm(at.x / 22.0 + self.offset.x, at.y / 16.0 + self.offset.y, 5.0);
        let (mut most, mut base) = (0.0f32, 0.0);
        for puff in self.puffs.iter().filter(near) {
            let bulge = 1.0 - at.distance(puff.center) / (1.25 * puff.radius) + 0.62 * billow;
            if bulge > most {
                (most, base) = (bulge, puff.base);
            }
        }
        let flat = smoothstep(base + 4.0 + 5.0 * billow, base - 5.0, at.y);
        smoothstep(0.05, 0.75, most) * flat
    }
}

/// Makes cloud of the cells that `takes`, from the density of each pixel of the first `rows`.
pub(crate) fn paint(
    surface: &mut Surface,
    rows: usize,
    at: impl Fn(usize, usize) -> f32,
    takes: impl Fn(&Cell) -> bool,
) {
    for y in 0..rows {
        for x in 0..SIDE {
            let here = at(x, y);
            if here <= 0.0 {
                continue;
            }
            // The slope over a few pixels, so that billows rather than pixels catch the light.
            let slope =
                |dx: usize, dy: usize| at(x + dx, y + dy) - at(x.saturating_sub(dx), y.saturating_sub(dy));
            let wide = Vec3::new(-slope(7, 0), slope(0, 7), 0.0) + Vec3::new(-slope(2, 0), slope(0, 2), 0.0);
            let lean = wide + Vec3::new(0.0, 0.0, -0.7);
            let overhead = at(x, y.saturating_sub(9)) + at(x, y.saturating_sub(18));
            for i in Surface::block(x, y) {
                let cell = surface.at_mut(i % GRID, i / GRID);
                if takes(cell) {
                    cell.material = Material::Cloud;
                    cell.tone = here;
                    cell.openness = 1.0 - 0.5 * overhead;
                    cell.normal = lean.normalize();
                    cell.class = if here > HALF { Class::Clouds } else { cell.class };
                }
            }
        }
    }
}

/// A cumulus: puffs over a flat base, largest in the middle.
fn heap(within: &mut impl FnMut(f32, f32) -> f32, horizon: f32, puffs: &mut Vec<Puff>) {
    let base = horizon * within(0.22, 0.86);
    let near = 0.35 + 0.65 * (1.0 - base / horizon) + 0.25;
    let middle = within(-10.0, SIDE as f32 + 10.0);
    let half = within(24.0, 70.0) * near;
    let swell = within(0.26, 0.5);
    for _ in 0..within(7.0, 16.0) as usize {
        let aside = within(-1.0, 1.0);
        let radius = half * swell * within(0.5, 1.1) * (1.1 - 0.75 * aside.abs());
        let lift = within(0.0, 0.9) * radius * (1.0 - aside.abs());
        puffs.push(Puff {
            center: Vec2::new(middle + half * aside, base - 0.3 * radius - lift),
            radius,
            base,
        });
    }
}
