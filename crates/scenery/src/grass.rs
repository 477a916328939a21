//! Blades of grass, blossoms and pebbles, painted over the near ground from far to near.

use glam::Vec3;
use rand::{Rng, RngExt as _};

use crate::camera::SIDE;
use crate::class::Class;
use crate::layout::Layout;
use crate::surface::{Cell, Material, Surface};

/// Blades per pixel of ground.
const BLADES: f32 = 0.2;
/// Blossoms per pixel of a flower bed.
const BLOSSOMS: f32 = 0.085;
/// Share of the strokes on bare ground that become pebbles.
const PEBBLES: f64 = 0.12;

/// Draws over the cells of grass, flower beds and bare ground.
pub(crate) fn draw(layout: &Layout, random: &mut impl Rng, surface: &mut Surface) {
    let first = layout.camera.horizon as usize;
    for y in first..SIDE {
        for _ in 0..(SIDE as f32 * (BLADES + BLOSSOMS)) as usize {
            let x = random.random_range(0..SIDE);
            let blossom = random.random::<f32>() < BLOSSOMS / (BLADES + BLOSSOMS);
            let root = *surface.at(x, y);
            match root.class {
                Class::Flower if blossom => flower(layout, random, surface, x, y, root),
                Class::Grass | Class::Flower => blade(layout, random, surface, x, y, root),
                Class::Dirt | Class::Sand if random.random_bool(PEBBLES) => {
                    pebble(layout, random, surface, x, y, root);
                }
                _ => {}
            }
        }
    }
}

/// Paints a cell if it lies in grass or flowers too, so that no label changes.
fn paint(surface: &mut Surface, x: f32, y: f32, cell: Cell) {
    let inside = |v: f32| v >= 0.0 && v < SIDE as f32;
    if inside(x) && inside(y) {
        let old = surface.at_mut(x as usize, y as usize);
        if matches!(old.class, Class::Grass | Class::Flower) && old.depth > 0.8 * cell.depth {
            *old = Cell { class: old.class, ..cell };
        }
    }
}

fn blade(layout: &Layout, random: &mut impl Rng, surface: &mut Surface, x: usize, y: usize, root: Cell) {
    let scale = layout.camera.focal / root.depth;
    let length = (0.2 * scale * random.random_range(0.3..1.1f32)).min(15.0);
    if length < 1.2 {
        return;
    }
    let lean = random.random_range(-0.35..0.35f32);
    let tone = root.tone + random.random_range(-0.7..0.7f32);
    for step in 0..length.ceil() as usize {
        let along = step as f32 / length;
        let normal = Vec3::new(1.6 * lean, 0.9, -0.3).normalize();
        let tone = tone - 0.7 + 1.3 * along;
        let cell = Cell { material: Material::Grass, normal, tone, openness: 0.55 + 0.45 * along, ..root };
        paint(surface, x as f32 + lean * along * length, y as f32 - step as f32, cell);
    }
}

fn pebble(layout: &Layout, random: &mut impl Rng, surface: &mut Surface, x: usize, y: usize, root: Cell) {
    let scale = layout.camera.focal / root.depth;
    let most = if root.class == Class::Dirt { 0.05 } else { 0.018 };
    let radius = most * scale * random.random_range(0.2..1.0f32).powi(2);
    if radius < 0.5 {
        return;
    }
    let tone = random.random_range(-0.6..0.8f32);
    let reach = radius.ceil() as i32;
    for dy in -reach..=reach {
        for dx in -reach..=reach {
            let (u, v) = (dx as f32 / radius, dy as f32 / (0.7 * radius));
            let (column, row) = (x as i32 + dx, y as i32 + dy);
            let inside = (0..SIDE as i32).contains(&column) && (0..SIDE as i32).contains(&row);
            if u * u + v * v > 1.0 || !inside {
                continue;
            }
            let cell = surface.at_mut(column as usize, row as usize);
            if cell.class == root.class {
                let normal = Vec3::new(0.9 * u, 0.5 - 0.8 * v, -0.5).normalize();
                *cell = Cell {
                    material: Material::Stone,
                    normal,
                    tone,
                    openness: 1.0 - 0.4 * v.max(0.0),
                    ..root
                };
            }
        }
    }
}

fn flower(layout: &Layout, random: &mut impl Rng, surface: &mut Surface, x: usize, y: usize, root: Cell) {
    let scale = layout.camera.focal / root.depth;
    let radius = (0.045 * scale * random.random_range(0.6..1.25f32)).clamp(0.55, 3.6);
    let stem = 0.12 * scale * random.random_range(0.4..1.0f32);
    let (x, y) = (x as f32, y as f32);
    for step in 0..stem as usize {
        let cell = Cell { material: Material::Grass, tone: -0.5, openness: 0.7, ..root };
        paint(surface, x, y - step as f32, cell);
    }
    let tone = (root.tone * 0.8 + random.random_range(-0.55..0.55f32)).clamp(-1.0, 1.0);
    let reach = radius.ceil() as i32;
    for dy in -reach..=reach {
        for dx in -reach..=reach {
            let (u, v) = (dx as f32 / radius, dy as f32 / (0.75 * radius));
            if u * u + v * v > 1.0 {
                continue;
            }
            let heart = radius > 1.8 && u * u + v * v < 0.12;
            let normal = Vec3::new(0.5 * u, 0.8 - 0.4 * v, -0.45).normalize();
            let openness = if heart { 0.5 } else { 1.0 };
            let cell = Cell { material: Material::Petal, normal, tone, openness, ..root };
            paint(surface, x + dx as f32, y - stem + dy as f32, cell);
        }
    }
}
