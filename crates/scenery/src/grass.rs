//! Blades of grass, blossoms and pebbles, painted over the near ground from far to near.

use glam::Vec3;
use rand::{Rng, RngExt as _};

use crate::camera::{Camera, GRID};
use crate::class::Class;
use crate::noise::smoothstep;
use crate::surface::{Cell, Material, Surface};

/// Blades per cell of ground.
const BLADES: f32 = 0.075;
/// Blossoms per cell of a flower bed.
const BLOSSOMS: f32 = 0.02;
/// Cells that a blade is wide at least, and a blossom's least radius: what is finer would be noise in the image.
const FINEST: f32 = 2.0;
/// Share of the strokes on bare ground that become pebbles.
const PEBBLES: f64 = 0.12;

/// Draws over the cells of grass, flower beds and bare ground.
pub(crate) fn draw(camera: &Camera, random: &mut impl Rng, surface: &mut Surface) {
    let first = camera.horizon as usize;
    for y in first..GRID {
        for _ in 0..(GRID as f32 * (BLADES + BLOSSOMS)) as usize {
            let x = random.random_range(0..GRID);
            let blossom = random.random::<f32>() < BLOSSOMS / (BLADES + BLOSSOMS);
            let root = *surface.at(x, y);
            match root.class {
                Class::Flower if blossom => flower(camera, random, surface, x, y, root),
                Class::Grass | Class::Flower => blade(camera, random, surface, x, y, root),
                Class::Dirt | Class::Sand if random.random_bool(PEBBLES) => {
                    pebble(camera, random, surface, x, y, root);
                }
                _ => {}
            }
        }
    }
}

/// Paints a cell if it lies in grass or flowers too, so that no label changes.
fn paint(surface: &mut Surface, x: f32, y: f32, cell: Cell) {
    let inside = |v: f32| v >= 0.0 && v < GRID as f32;
    if inside(x) && inside(y) {
        let old = surface.at_mut(x as usize, y as usize);
        if matches!(old.class, Class::Grass | Class::Flower) && old.depth > 0.8 * cell.depth {
            *old = Cell { class: old.class, ..cell };
        }
    }
}

fn blade(camera: &Camera, random: &mut impl Rng, surface: &mut Surface, x: usize, y: usize, root: Cell) {
    let scale = camera.scale(root.depth);
    let length = (0.2 * scale * random.random_range(0.3..1.1f32)).min(30.0);
    let (lean, shade) = (random.random_range(-0.35..0.35f32), random.random_range(-0.7..0.7f32));
    // Far off, blades are too short to be told apart.
    let apart = smoothstep(2.0, 8.0, length);
    if apart <= 0.0 {
        return;
    }
    let half = (0.008 * scale).max(FINEST / 2.0);
    let normal = Vec3::new(1.6 * lean, 0.9, -0.3).normalize();
    for step in 0..length.ceil() as usize {
        let along = step as f32 / length;
        let (openness, tone) = (0.55 + 0.45 * along, shade - 0.7 + 1.3 * along);
        let cell = Cell {
            material: Material::Grass,
            normal: root.normal.lerp(normal, apart).normalize_or(Vec3::Y),
            tone: root.tone + apart * tone,
            openness: 1.0 - apart * (1.0 - openness),
            ..root
        };
        let (middle, width) = (x as f32 + lean * along * length, half * (1.0 - 0.6 * along));
        for dx in (-width).round() as i32..=(width - 0.5).round().max((-width).round()) as i32 {
            paint(surface, middle + dx as f32, y as f32 - step as f32, cell);
        }
    }
}

fn pebble(camera: &Camera, random: &mut impl Rng, surface: &mut Surface, x: usize, y: usize, root: Cell) {
    let scale = camera.scale(root.depth);
    let most = if root.class == Class::Dirt { 0.05 } else { 0.018 };
    let radius = most * scale * random.random_range(0.2..1.0f32).powi(2);
    if radius < 0.8 * FINEST {
        return;
    }
    let tone = random.random_range(-0.6..0.8f32);
    let reach = radius.ceil() as i32;
    for dy in -reach..=reach {
        for dx in -reach..=reach {
            let (u, v) = (dx as f32 / radius, dy as f32 / (0.7 * radius));
            let (column, row) = (x as i32 + dx, y as i32 + dy);
            let inside = (0..GRID as i32).contains(&column) && (0..GRID as i32).contains(&row);
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

fn flower(camera: &Camera, random: &mut impl Rng, surface: &mut Surface, x: usize, y: usize, root: Cell) {
    let scale = camera.scale(root.depth);
    let radius = (0.05 * scale * random.random_range(0.6..1.25f32)).clamp(0.9 * FINEST, 7.5);
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
            let heart = radius > 3.6 && u * u + v * v < 0.12;
            let normal = Vec3::new(0.5 * u, 0.8 - 0.4 * v, -0.45).normalize();
            let openness = if heart { 0.5 } else { 1.0 };
            let cell = Cell { material: Material::Petal, normal, tone, openness, ..root };
            paint(surface, x + dx as f32, y - stem + dy as f32, cell);
        }
    }
}
