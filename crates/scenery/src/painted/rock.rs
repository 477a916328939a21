//! Rock in a painted outline: flat facets with cracks between them, on a body that bulges towards the viewer.

use glam::{Vec2, Vec3};

use crate::class::Class;
use crate::field::Field;
use crate::noise::{Noise, smoothstep};
use crate::surface::{Cell, Material};

/// What rock of a region's `field` shows at a pixel.
pub(super) fn cell(noise: &Noise, field: &Field, depth: f32, at: Vec2) -> Cell {
    let size = (0.75 * field.inmost).clamp(5.0, 26.0);
    // Broken along lines that are not straight, into large facets and those into small ones.
    let bend = |scale: f32| {
        let (u, v) = (at.x / scale, at.y / scale);
        0.3 * scale * Vec2::new(noise.fbm(u, v, 3.0), noise.fbm(v + 9.0, u, 3.0))
    };
    let (large, crack) = nearest(noise, at + bend(size), size);
    let (small, _) = nearest(noise, at * Vec2::new(1.0, 0.8) + bend(0.4 * size), 0.4 * size);
    let tilt = |seed: Vec2, shift: f32| 1.5 * noise.at(seed.x * 0.73 + shift, seed.y * 0.61 + 2.0 * shift);
    let lean = |seed: Vec2| Vec3::new(tilt(seed, 0.0), 0.2 + tilt(seed, 17.0), 0.4 * tilt(seed, 41.0));
    let body = field.dome(large.x.clamp(field.low.x, field.high.x), large.y.clamp(field.low.y, field.high.y));
    let rough = noise.fbm(at.x / 4.0, at.y / 3.0, 3.0);
    let facet = body + 0.75 * lean(large) + 0.4 * lean(small) + 0.35 * rough * Vec3::new(1.0, 0.4, 0.0);
    let low = smoothstep(field.high.y + 1.0, field.high.y - 0.35 * (field.high.y - field.low.y), at.y);
    // Only some edges have opened to cracks.
    let open = smoothstep(-0.1, 0.4, noise.at(0.21 * at.x + 30.0, 0.21 * at.y));
    let split = 1.0 - 0.7 * open * smoothstep(1.6, 0.3, crack);
    Cell {
        class: Class::Rock,
        material: Material::Stone,
        depth,
        normal: facet.normalize_or(Vec3::Y),
        tone: 0.3 * tilt(large, 5.0) + 0.2 * tilt(small, 5.0) + 0.7 * rough - 0.5 * (1.0 - split),
        openness: (0.45 + 0.55 * low) * (0.5 + 0.5 * split),
    }
}

/// The nearest of points that are strewn over the plane, and how much farther the next one is.
fn nearest(noise: &Noise, at: Vec2, size: f32) -> (Vec2, f32) {
    let home = (at / size).floor();
    let (mut best, mut second, mut found) = (f32::MAX, f32::MAX, at);
    for cell in (0..9).map(|i| home + Vec2::new((i % 3) as f32 - 1.0, (i / 3) as f32 - 1.0)) {
        let shift = Vec2::new(
            noise.at(7.0 * cell.x + 3.0, 5.0 * cell.y),
            noise.at(5.0 * cell.x, 7.0 * cell.y + 11.0),
        );
        let point = (cell + 0.5 + 0.45 * shift) * size;
        let distance = point.distance(at);
        if distance < best {
            (second, best, found) = (best, distance, point);
        } else {
            second = second.min(distance);
        }
    }
    (found, second - best)
}
