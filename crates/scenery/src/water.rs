//! Water: what stands behind it, mirrored and broken by ripples, over its own depths, with the sun's glitter on it.

use glam::Vec3;

use crate::camera::{GRID, SAMPLES, SIDE};
use crate::light;
use crate::noise::{Noise, smoothstep};
use crate::scene::Scene;
use crate::style::Style;
use crate::surface::{Material, Surface};

/// Paints the water into `colors`, which hold everything else already.
pub(crate) fn flood(scene: &Scene, style: &Style, sunlit: &[f32], colors: &mut [Vec3]) {
    let cells = scene.surface.cells();
    if !cells.iter().any(|cell| cell.class.is_water()) {
        return;
    }
    let mirror = mirror(scene, style, colors);
    for pixel in 0..SIDE * SIDE {
        let block = Surface::block(pixel % SIDE, pixel / SIDE);
        for (place, &i) in block.iter().enumerate().filter(|(_, i)| cells[**i].class.is_water()) {
            let twin = block[..place].iter().find(|&&j| cells[j] == cells[i] && sunlit[j] == sunlit[i]);
            colors[i] = match twin {
                Some(&j) => colors[j],
                None => wet(scene, style, &mirror, sunlit[i], i),
            };
        }
    }
}

/// What a flat mirror at height 0 shows in each cell below the horizon.
fn mirror(scene: &Scene, style: &Style, colors: &[Vec3]) -> Vec<Vec3> {
    let camera = &scene.camera;
    let mut mirror = vec![Vec3::ZERO; GRID * GRID];
    for pixel in 0..SIDE * SIDE {
        let block = Surface::block(pixel % SIDE, pixel / SIDE);
        let (x, y) = ((block[0] % GRID) as f32, (block[0] / GRID) as f32);
        let sky = light::sky(camera, style, x, 2.0 * camera.horizon - y);
        block.iter().for_each(|&i| mirror[i] = sky);
    }
    for x in 0..GRID {
        // From the sky down to the shore: nearer things overwrite what they hide.
        let mut last: Option<f32> = None;
        for y in 0..GRID {
            let cell = scene.surface.at(x, y);
            if cell.class.is_water() {
                last = None;
                continue;
            }
            let shift =
                if cell.depth.is_finite() { 2.0 * camera.height * camera.scale(cell.depth) } else { 0.0 };
            let row = 2.0 * camera.horizon - y as f32 + shift;
            let (from, to) = match last {
                Some(last) if (row - last).abs() < 80.0 => (row.min(last), row.max(last)),
                _ => (row, row),
            };
            last = Some(row);
            for target in from.max(0.0).floor() as usize..=to.min(GRID as f32 - 1.0).max(0.0) as usize {
                if target < GRID {
                    mirror[target * GRID + x] = colors[y * GRID + x];
                }
            }
        }
    }
    mirror
}

fn wet(scene: &Scene, style: &Style, mirror: &[Vec3], sunlit: f32, i: usize) -> Vec3 {
    let (x, y) = ((i % GRID) as f32, (i / GRID) as f32);
    let (camera, noise) = (&scene.camera, &scene.noise);
    let cell = &scene.surface.cells()[i];
    let point = camera.point(x, y, cell.depth);
    let long = camera.ground_footprint(cell.depth);
    let sea = cell.material == Material::Sea;
    let waves = |wavelength: f32, strength: f32| {
        let fade = smoothstep(0.6, 0.15, long / wavelength);
        if fade <= 0.0 {
            return Vec3::ZERO;
        }
        let at = point / wavelength;
        Vec3::new(noise.at(at.x, at.z), 0.0, noise.at(at.x + 37.0, 1.6 * at.z)) * fade * strength
    };
    let (swell, ripple) = if sea { (0.55, 0.5) } else { (0.22, 0.3) };
    let tilt = waves(1.7, swell) + waves(0.7, ripple) + waves(0.28, 0.8 * ripple) + waves(0.12, 0.5 * ripple);
    // Far ripples are narrower than a pixel; they blur the mirror in bands.
    let (column, row) = (x / SAMPLES as f32, y / SAMPLES as f32);
    let band = noise.fbm(column / 30.0, row * 0.45, 2.0) * (1.0 - smoothstep(0.05, 0.3, 1.0 / long.max(0.1)));
    let below = ((y - camera.horizon) / (GRID as f32 - camera.horizon)).max(0.0);
    let amplitude = SAMPLES as f32 * (1.0 + 9.0 * below);
    let sample = |dx: f32, dy: f32| {
        let column = (x + dx).clamp(0.0, GRID as f32 - 1.0) as usize;
        let row = (y + dy).clamp(camera.horizon.ceil().min(y), GRID as f32 - 1.0) as usize;
        mirror[row * GRID + column]
    };
    let (dx, dy) = (tilt.x * amplitude, tilt.z * amplitude * 1.6 + 2.0 * band);
    let mirrored =
        (sample(dx, dy) + sample(dx * 1.3 + 1.4, dy - 2.4) + sample(dx * 0.6 - 1.4, dy + 2.4)) / 3.0;
    let (deep, light_color) = style.colors[cell.material as usize];
    let light = style.skylight * 0.9 + style.sunlight * 0.25 * sunlit;
    let shallow = smoothstep(1.6, 0.0, cell.tone) * smoothstep(40.0, 8.0, cell.depth);
    let body = deep.lerp(light_color, (0.35 + 1.2 * tilt.z + 0.5 * shallow).clamp(0.0, 1.0)) * light;
    let bed = style.colors[Material::Sand as usize].0 * light * 0.5;
    let fresnel = 0.25 + 0.62 * (1.0 - below).powi(2);
    let mut color =
        body.lerp(bed, 0.45 * shallow).lerp(mirrored * 0.94, (fresnel - 0.5 * tilt.z).clamp(0.08, 0.95));
    color += glitter(style, tilt, x, below) * sunlit;
    let foam = if sea { surf(noise, cell.tone, point, long) } else { 0.0 };
    color = color.lerp((style.skylight + style.sunlight * 0.45) * 0.8, foam);
    light::haze(style, color, 0.6 * cell.depth, x)
}

fn glitter(style: &Style, tilt: Vec3, x: f32, below: f32) -> Vec3 {
    let away = (x / GRID as f32 - style.sun_place.0) / (0.05 + 0.13 * below);
    let path = (-away * away).exp();
    let facet = smoothstep(0.12, 0.5, tilt.z + 0.4 * tilt.x + 0.12 * (1.0 - below));
    style.glow * path * (0.1 + facet) * 0.55 * style.shadow
}

/// Foam where waves run out, `depth` inside the water.
fn surf(noise: &Noise, depth: f32, point: Vec3, long: f32) -> f32 {
    let fade = smoothstep(1.2, 0.3, long);
    if fade <= 0.0 || depth > 2.2 {
        return 0.0;
    }
    let ragged = 0.25 * noise.fbm(2.2 * point.x, 2.2 * point.z, 3.0);
    let fine = 0.5 + 0.5 * noise.fbm(9.0 * point.x, 9.0 * point.z, 2.0);
    let line = |at: f32, width: f32| smoothstep(width, 0.0, (depth + ragged - at).abs());
    (line(0.08, 0.2) * 0.85 + line(0.75, 0.14) * 0.55 * fine + line(1.7, 0.12) * 0.35 * fine) * fade
}
