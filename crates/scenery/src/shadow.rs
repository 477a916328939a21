//! Where the sun reaches: the land's own shadows, and those of what stands on it.

use std::ops::RangeInclusive;

use glam::Vec3;

use crate::camera::{Camera, GRID};
use crate::noise::smoothstep;
use crate::scene::{Caster, Land, Scene};
use crate::style::Style;
use crate::surface::Surface;
use crate::terrain::Terrain;

/// Cells on a side of a block that shares one ray.
const BLOCK: usize = 4;
const STEPS: usize = 14;

/// The share of sunlight that reaches each cell, from `1 - shadow` to 1.
pub(crate) fn sunlit(scene: &Scene, style: &Style) -> Vec<f32> {
    let mut lit = vec![1.0; GRID * GRID];
    if style.shadow <= 0.0 {
        return lit;
    }
    match &scene.land {
        Land::Terrain(terrain) => shade_terrain(scene, terrain, style, &mut lit),
        Land::Forms(forms) => forms.iter().for_each(|form| form.shade(style, &mut lit)),
    }
    for caster in &scene.casters {
        Shadow::new(style, caster).cast(&scene.camera, style, &scene.surface, &mut lit);
    }
    lit
}

fn shade_terrain(scene: &Scene, terrain: &Terrain, style: &Style, lit: &mut [f32]) {
    let summit = terrain.summit();
    for y in (0..GRID).step_by(BLOCK) {
        for x in (0..GRID).step_by(BLOCK) {
            let share = block(scene, terrain, style, summit, x, y);
            for cell in (0..BLOCK).flat_map(|dy| (0..BLOCK).map(move |dx| (y + dy) * GRID + x + dx)) {
                lit[cell] = 1.0 - style.shadow * (1.0 - share);
            }
        }
    }
}

fn block(scene: &Scene, terrain: &Terrain, style: &Style, summit: f32, x: usize, y: usize) -> f32 {
    let cell = scene.surface.at(x + BLOCK / 2, y + BLOCK / 2);
    if !cell.depth.is_finite() || terrain.belts.is_empty() || cell.depth < 14.0 {
        return 1.0;
    }
    let from = scene.camera.point((x + BLOCK / 2) as f32, (y + BLOCK / 2) as f32, cell.depth);
    let pixel = scene.camera.footprint(cell.depth);
    let (mut clear, mut reach) = (1.0f32, 3.0 * pixel);
    for _ in 0..STEPS {
        let at = from + style.sun * reach;
        if at.y > summit {
            break;
        }
        let over = at.y - terrain.at(at.x, at.z, 2.0 * pixel).height;
        clear = clear.min(0.5 + over / (0.09 * reach + 2.0 * pixel));
        if clear <= 0.0 {
            return 0.0;
        }
        reach *= 1.42;
    }
    smoothstep(0.0, 1.0, clear)
}

/// What a thing on the ground keeps the sun from.
struct Shadow {
    foot: Vec3,
    /// Half the thing's width, and its height.
    spread: f32,
    height: f32,
    /// Where the shadow of one unit of height falls.
    fall: Vec3,
}

impl Shadow {
    fn new(style: &Style, &Caster { foot, spread, height }: &Caster) -> Self {
        let fall = -Vec3::new(style.sun.x, 0.0, style.sun.z) / style.sun.y.max(0.2);
        Self { foot, spread, height, fall }
    }

    /// Darkens the ground that it falls on.
    fn cast(&self, camera: &Camera, style: &Style, surface: &Surface, lit: &mut [f32]) {
        let reach = 2.0 * (self.height + self.half());
        let (columns, rows) = self.bounds(camera);
        for y in rows {
            for x in columns.clone() {
                let cell = surface.at(x, y);
                if cell.class.takes_shadow() && (cell.depth - self.foot.z).abs() <= reach {
                    let shade = self.shade(camera.point(x as f32, y as f32, cell.depth) - self.foot);
                    let share = &mut lit[y * GRID + x];
                    *share = share.min(1.0 - style.shadow * 0.85 * shade);
                }
            }
        }
    }

    fn half(&self) -> f32 {
        self.spread.max(0.3 * self.height)
    }

    /// Columns and rows beyond which it does not reach.
    fn bounds(&self, camera: &Camera) -> (RangeInclusive<usize>, RangeInclusive<usize>) {
        let (foot, tip, half) = (self.foot, self.foot + self.fall * self.height, self.half());
        let (left, right) = (foot.x.min(tip.x) - half, foot.x.max(tip.x) + half);
        let near = (foot.z.min(tip.z) - half).max(0.8 * camera.ground(GRID as f32));
        let far = foot.z.max(tip.z) + half;
        let last = GRID as f32 - 1.0;
        let column = |x: f32, z: f32| camera.project(Vec3::new(x, foot.y, z)).0.clamp(0.0, last) as usize;
        let row = |y: f32, z: f32| camera.row(y, z).clamp(0.0, last) as usize;
        let columns = column(left, near).min(column(left, far))..=column(right, near).max(column(right, far));
        (columns, row(foot.y + 0.3, far)..=row(foot.y - 0.3, near))
    }

    /// How dark it is `at` a place relative to the foot: an ellipse along the fall, and a dark foot.
    fn shade(&self, at: Vec3) -> f32 {
        let length = (self.fall.x * self.fall.x + self.fall.z * self.fall.z).sqrt() * self.height;
        let (fall_x, fall_z) = (self.fall.x * self.height / length, self.fall.z * self.height / length);
        // Along the shadow, 0 at the foot, 1 at its tip.
        let (along, aside) = ((at.x * fall_x + at.z * fall_z) / length, at.x * fall_z - at.z * fall_x);
        let width = self.spread * (1.0 - (2.0 * along - 1.15).powi(2)).max(0.0).sqrt();
        let foot = 1.0 - (at.x * at.x + at.z * at.z).sqrt() / (0.8 * self.spread + 0.1);
        smoothstep(1.0, 0.55, aside.abs() / width.max(1e-3)).max(smoothstep(0.0, 1.0, foot))
    }
}
