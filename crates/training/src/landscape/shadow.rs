//! Where the sun reaches: the land's own shadows, and those of what stands on it.

use glam::Vec3;

use super::camera::SIDE;
use super::layout::Layout;
use super::noise::smoothstep;
use super::style::Style;
use super::surface::Surface;

/// Cells on a side of a block that shares one ray.
const BLOCK: usize = 2;
const STEPS: usize = 14;

/// The share of sunlight that reaches each cell, from `1 - shadow` to 1.
pub(crate) fn sunlit(layout: &Layout, style: &Style, surface: &Surface) -> Vec<f32> {
    let mut lit = vec![1.0; SIDE * SIDE];
    if style.shadow <= 0.0 {
        return lit;
    }
    let summit = layout.terrain.summit();
    for y in (0..SIDE).step_by(BLOCK) {
        for x in (0..SIDE).step_by(BLOCK) {
            let share = block(layout, style, surface, summit, x, y);
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                lit[(y + dy) * SIDE + x + dx] = 1.0 - style.shadow * (1.0 - share);
            }
        }
    }
    for plant in &layout.plants {
        cast(layout, style, surface, plant.foot, plant.spread(), plant.height, &mut lit);
    }
    for stone in &layout.stones {
        cast(layout, style, surface, stone.foot, stone.radius, 1.1 * stone.radius, &mut lit);
    }
    lit
}

fn block(layout: &Layout, style: &Style, surface: &Surface, summit: f32, x: usize, y: usize) -> f32 {
    let cell = surface.at(x, y);
    if !cell.depth.is_finite() || layout.terrain.belts.is_empty() || cell.depth < 14.0 {
        return 1.0;
    }
    let from = layout.camera.point(x as f32, y as f32, cell.depth);
    let pixel = layout.camera.footprint(cell.depth);
    let (mut clear, mut reach) = (1.0f32, 3.0 * pixel);
    for _ in 0..STEPS {
        let at = from + style.sun * reach;
        if at.y > summit {
            break;
        }
        let over = at.y - layout.terrain.at(at.x, at.z, 2.0 * pixel).height;
        clear = clear.min(0.5 + over / (0.09 * reach + 2.0 * pixel));
        if clear <= 0.0 {
            return 0.0;
        }
        reach *= 1.42;
    }
    smoothstep(0.0, 1.0, clear)
}

/// Darkens the ground where a thing `height` tall and `spread` wide to each side keeps the sun away.
fn cast(
    layout: &Layout,
    style: &Style,
    surface: &Surface,
    foot: Vec3,
    spread: f32,
    height: f32,
    lit: &mut [f32],
) {
    let camera = &layout.camera;
    let fall = -Vec3::new(style.sun.x, 0.0, style.sun.z) / style.sun.y.max(0.2);
    let tip = foot + fall * height;
    let (half, pad) = (spread.max(0.3 * height), 1.0 / camera.footprint(foot.z));
    let corners = [
        (foot.x.min(tip.x) - half, foot.z.min(tip.z) - half),
        (foot.x.max(tip.x) + half, foot.z.max(tip.z) + half),
    ];
    let near = corners[0].1.max(0.8 * camera.ground(SIDE as f32));
    let column = |x: f32, z: f32| camera.project(Vec3::new(x, foot.y, z)).0;
    let xs = [
        column(corners[0].0, near),
        column(corners[1].0, near),
        column(corners[0].0, corners[1].1),
        column(corners[1].0, corners[1].1),
    ];
    let left = xs.iter().copied().fold(f32::INFINITY, f32::min).max(0.0) as usize;
    let right = xs.iter().copied().fold(0.0, f32::max).min(SIDE as f32 - 1.0) as usize;
    let top = camera.row(foot.y + 0.3, corners[1].1).clamp(0.0, SIDE as f32) as usize;
    let bottom = (camera.row(foot.y - 0.3, near) + 0.02 * pad).clamp(0.0, SIDE as f32 - 1.0) as usize;
    for y in top..=bottom.min(SIDE - 1) {
        for x in left..=right {
            let cell = surface.at(x, y);
            if !cell.class.takes_shadow() || (cell.depth - foot.z).abs() > 2.0 * (height + half) {
                continue;
            }
            let at = camera.point(x as f32, y as f32, cell.depth) - foot;
            // Along the shadow, 0 at the foot, 1 at its tip.
            let length = (fall.x * fall.x + fall.z * fall.z).sqrt() * height;
            let (fx, fz) = (fall.x * height / length, fall.z * height / length);
            let (along, aside) = ((at.x * fx + at.z * fz) / length, at.x * fz - at.z * fx);
            let width = spread * (1.0 - (2.0 * along - 1.15).powi(2)).max(0.0).sqrt();
            let foot_dark = 1.0 - (at.x * at.x + at.z * at.z).sqrt() / (0.8 * spread + 0.1);
            let shade =
                smoothstep(1.0, 0.55, aside.abs() / width.max(1e-3)).max(smoothstep(0.0, 1.0, foot_dark));
            let share = &mut lit[y * SIDE + x];
            *share = share.min(1.0 - style.shadow * 0.85 * shade);
        }
    }
}
