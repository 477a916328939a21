//! The land as the camera sees it: each column is walked from near to far, and what rises above the last visible row
//! is drawn.

use glam::Vec3;

use crate::camera::{Camera, FAR, GRID, SIDE};
use crate::class::Class;
use crate::layout::{Cover, Layout};
use crate::noise::{Noise, octaves, smoothstep};
use crate::surface::{Cell, Material, Surface};
use crate::terrain::{Relief, Spot};

/// Ratio of one step's distance to the last one's.
const STRIDE: f32 = 1.012;

/// Draws the land into `surface`.
pub(crate) fn draw(layout: &Layout, surface: &mut Surface) {
    let mut depths = vec![f32::INFINITY; GRID * GRID];
    let mut column = vec![f32::INFINITY; GRID];
    for x in 0..GRID {
        walk(layout, x, &mut column);
        for (y, &z) in column.iter().enumerate() {
            depths[y * GRID + x] = z;
        }
    }
    let alike = |a: f32, b: f32| a.is_finite() && b.is_finite() && a.max(b) < 1.04 * a.min(b);
    let whole = |block: [usize; 4]| block.iter().all(|&cell| alike(depths[cell], depths[block[0]]));
    fill(
        surface,
        |block| block.iter().any(|&cell| depths[cell].is_finite()),
        |block| {
            let middle = block.map(|cell| depths[cell]).iter().sum::<f32>() / 4.0;
            let (x, y) = ((block[0] % GRID) as f32 + 0.5, (block[0] / GRID) as f32 + 0.5);
            whole(block).then(|| cell(layout, x, y, middle))
        },
        |at| {
            let z = depths[at];
            z.is_finite().then(|| cell(layout, (at % GRID) as f32, (at / GRID) as f32, z))
        },
    );
}

/// Fills the blocks of cells that `touches` picks. A block is given one cell for all of it where `middle` has one and
/// its neighbours show the same; the cells along edges are made one by one.
pub(crate) fn fill(
    surface: &mut Surface,
    touches: impl Fn([usize; 4]) -> bool,
    middle: impl Fn([usize; 4]) -> Option<Cell>,
    single: impl Fn(usize) -> Option<Cell>,
) {
    let blocks: Vec<Option<Option<Cell>>> = (0..SIDE * SIDE)
        .map(|i| {
            let block = Surface::block(i % SIDE, i / SIDE);
            touches(block).then(|| middle(block))
        })
        .collect();
    let kind = |x: usize, y: usize| {
        blocks[y.min(SIDE - 1) * SIDE + x.min(SIDE - 1)].flatten().map(|cell| (cell.class, cell.material))
    };
    for (i, block) in blocks.iter().enumerate() {
        let Some(block) = block else { continue };
        let (x, y) = (i % SIDE, i / SIDE);
        let own = kind(x, y);
        let around =
            [kind(x + 1, y), kind(x.saturating_sub(1), y), kind(x, y + 1), kind(x, y.saturating_sub(1))];
        for at in Surface::block(x, y) {
            let cell = block.filter(|_| around.iter().all(|other| *other == own)).or_else(|| single(at));
            if let Some(cell) = cell {
                *surface.at_mut(at % GRID, at / GRID) = cell;
            }
        }
    }
}

/// The distance of the land in each row of a column; infinite where there is none.
fn walk(layout: &Layout, x: usize, depths: &mut [f32]) {
    let camera = &layout.camera;
    depths.fill(f32::INFINITY);
    let slope = camera.column(x as f32);
    let mut top = GRID;
    let mut z = 0.55 * camera.ground(GRID as f32);
    let mut last = (GRID as f32, z);
    while z < FAR && top > 0 {
        let height = layout.terrain.at(slope * z, z, camera.footprint(z)).height;
        let height = if layout.terrain.water.is_some() { height.max(0.0) } else { height };
        let row = camera.row(height, z);
        if row < top as f32 {
            let first = row.ceil().max(0.0) as usize;
            for (y, depth) in depths.iter_mut().enumerate().take(top).skip(first) {
                let share = ((last.0 - y as f32) / (last.0 - row).max(1e-3)).clamp(0.0, 1.0);
                *depth = last.1 + share * (z - last.1);
            }
            top = top.min(first);
        }
        last = (row, z);
        z *= STRIDE;
    }
    // The plain goes on to the horizon.
    let first = camera.horizon.ceil() as usize;
    for (y, depth) in depths.iter_mut().enumerate().take(top).skip(first) {
        *depth = camera.ground(y as f32).clamp(FAR, 4.0 * FAR);
    }
}

fn cell(layout: &Layout, x: f32, y: f32, z: f32) -> Cell {
    let (camera, terrain) = (&layout.camera, &layout.terrain);
    let point = camera.point(x, y, z);
    let footprint = camera.footprint(z);
    let spot = terrain.at(point.x, z, footprint);
    if spot.height <= 0.0 && terrain.water.is_some() {
        return water(layout.water_class(), z, terrain.wetness(point.x, z));
    }
    let step = 1.2 * footprint;
    let Some(belt) = spot.belt.filter(|_| spot.rise > 0.005 * z) else {
        let class = layout.cover.class(layout, point.x, point.z);
        return ground(&terrain.noise, camera, class, point);
    };
    let east = terrain.at(point.x + step, z, footprint).height - spot.height;
    let north = terrain.at(point.x, z + step, footprint).height - spot.height;
    slope(layout, belt, spot, point, Vec3::new(-east, step, -north).normalize())
}

/// Water at distance `z`, `shore` inside its edge.
pub(crate) fn water(class: Class, z: f32, shore: f32) -> Cell {
    let material = if class == Class::Sea { Material::Sea } else { Material::River };
    Cell { class, material, depth: z, normal: Vec3::Y, tone: shore, openness: 1.0 }
}

/// A pixel of a hill or mountain.
fn slope(layout: &Layout, belt: usize, spot: Spot, point: Vec3, normal: Vec3) -> Cell {
    let noise = &layout.terrain.noise;
    let belt = &layout.terrain.belts[belt];
    let footprint = layout.camera.footprint(point.z);
    let scaled = point / belt.wavelength;
    let detail = octaves(belt.wavelength / 4.0, footprint, 5.0);
    let grain = noise.fbm(4.0 * scaled.x + 40.0, 4.0 * (scaled.z + scaled.y), detail);
    let level = spot.rise / belt.height();
    let (class, material, tone, openness) = match belt.relief {
        Relief::Mountain | Relief::Mesa => {
            let drift = noise.fbm(2.2 * scaled.x, 2.2 * scaled.y + 9.0, 3.0);
            let lies = level - belt.snow_line + 0.16 * drift + 0.5 * (normal.y - 0.62);
            let snow = lies > 0.0;
            let patch = lies + 0.22 * grain;
            let white = if snow { patch > -0.08 && normal.y > 0.3 } else { patch > 0.0 && normal.y > 0.5 };
            let strata =
                noise.fbm(0.6 * scaled.x, 16.0 * scaled.y, octaves(belt.wavelength / 16.0, footprint, 3.0));
            let banded = if belt.relief == Relief::Mesa { 1.1 } else { 0.5 };
            let tone = if white { 0.4 + grain } else { 0.9 * grain + banded * strata };
            let material = if white { Material::Snow } else { Material::Cliff };
            let class = if white { Class::Snow } else { Class::Mountain };
            (class, material, tone, 0.55 + 0.45 * smoothstep(0.0, 0.5, level))
        }
        Relief::Hill => (Class::Hill, Material::Hill, 1.3 * grain, 0.7 + 0.3 * smoothstep(0.0, 0.4, level)),
        Relief::Dune => (Class::Sand, Material::Sand, 0.8 * grain, 0.85),
    };
    Cell { class, material, depth: point.z, normal, tone, openness }
}

/// Flat ground.
pub(crate) fn ground(noise: &Noise, camera: &Camera, class: Class, point: Vec3) -> Cell {
    let long = camera.ground_footprint(point.z);
    let material = match class {
        Class::Sand => Material::Sand,
        Class::Snow => Material::Snow,
        Class::Dirt => Material::Dirt,
        Class::Road => Material::Road,
        _ => Material::Grass,
    };
    let (broad, fine) = (octaves(3.0, long, 3.0), octaves(0.5, 0.5 * long, 5.0));
    let patches = noise.fbm(0.3 * point.x, 0.3 * point.z + 50.0, broad);
    let grain = noise.fbm(2.0 * point.x + 7.0, 2.0 * point.z, fine);
    let tone = patches + 1.2 * grain;
    let bump = |x: f32, z: f32| roughness(noise, material, x, z, long);
    let step = (0.7 * long).clamp(0.012, 0.2);
    let here = bump(point.x, point.z);
    let tilt =
        Vec3::new(here - bump(point.x + step, point.z), 0.0, here - bump(point.x, point.z + step)) / step;
    Cell { class, material, depth: point.z, normal: (Vec3::Y + tilt).normalize(), tone, openness: 1.0 }
}

/// The height of what is too fine for the terrain: ripples, clods, drifts.
fn roughness(noise: &Noise, material: Material, x: f32, z: f32, footprint: f32) -> f32 {
    let fbm = |wavelength: f32, most: f32| {
        noise.fbm(x / wavelength + 3.0, z / wavelength, octaves(wavelength, footprint, most)) * wavelength
    };
    match material {
        Material::Sand => {
            let bend = noise.fbm(0.25 * x, 0.25 * z + 20.0, 2.0);
            let fade = smoothstep(0.22, 0.05, footprint);
            let ripples = (14.0 * (z + 0.35 * x) + 26.0 * bend).sin();
            0.018 * fade * ripples * (0.5 + bend) + 0.16 * fbm(1.6, 4.0)
        }
        Material::Snow => 0.3 * fbm(2.4, 3.0) + 0.03 * fbm(0.15, 2.0),
        Material::Dirt => 0.32 * fbm(0.5, 5.0),
        Material::Road => 0.12 * fbm(0.2, 3.0),
        _ => 0.3 * fbm(0.7, 4.0),
    }
}

/// Pixels on each side of a mountain's pixel among which white ones are counted.
const AROUND: usize = 2;

/// Label maps in which mountains are snow where most of the pixels around are white, so that a patch is one label.
pub(crate) fn snow_as_seen(labels: Vec<u8>) -> Vec<u8> {
    let (rock, snow) = (Class::Mountain.id(), Class::Snow.id());
    let near = |v: usize| v.saturating_sub(AROUND)..=(v + AROUND).min(SIDE - 1);
    let settled = |i: usize| {
        if labels[i] != rock && labels[i] != snow {
            return labels[i];
        }
        let around = near(i / SIDE).flat_map(|y| near(i % SIDE).map(move |x| y * SIDE + x));
        let (mut white, mut bare) = (0, 0);
        for j in around {
            white += usize::from(labels[j] == snow);
            bare += usize::from(labels[j] == rock);
        }
        if white > bare { snow } else { rock }
    };
    (0..labels.len()).map(settled).collect()
}

impl Layout {
    /// Sea where the water has no far shore.
    fn water_class(&self) -> Class {
        match self.terrain.water {
            Some(crate::terrain::Water::Basin { far, .. }) if far.is_infinite() => Class::Sea,
            _ => Class::River,
        }
    }
}

impl Cover {
    /// What lies at (x, z).
    fn class(&self, layout: &Layout, x: f32, z: f32) -> Class {
        let noise = &layout.terrain.noise;
        if let Some((class, strip)) = &self.strip {
            let ragged = if *class == Class::Dirt { 0.16 } else { 0.05 };
            if strip.inside(x, z) + ragged * noise.fbm(3.0 * x, 3.0 * z, 2.0) > 0.0 {
                return *class;
            }
        }
        if let Some((class, width)) = self.shore {
            let wet = layout.terrain.wetness(x, z);
            if wet > -width * (1.0 + 0.6 * noise.fbm(x, z, 2.0)) {
                return class;
            }
        }
        let patch = |shift: f32, share: f32| {
            let at = 0.32 * glam::Vec2::new(x, 0.8 * z) + self.offset + shift;
            noise.fbm(at.x, at.y, 3.0) > 0.32 - 0.8 * share
        };
        match (self.flowers, self.patches) {
            (Some(share), _) if z < 26.0 && patch(60.0, share) => Class::Flower,
            (_, Some((class, share))) if patch(0.0, share) => class,
            _ => self.base,
        }
    }
}
