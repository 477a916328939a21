//! Light on a surface: sun, sky, cast shadows, haze.

use glam::Vec3;

use crate::camera::{Camera, GRID, SIDE};
use crate::clouds;
use crate::noise::smoothstep;
use crate::scene::Scene;
use crate::style::Style;
use crate::surface::{Cell, Material, Surface};

/// Linear colours of all cells; water shows its own depths only.
pub(crate) fn shade(scene: &Scene, style: &Style, sunlit: &[f32]) -> Vec<Vec3> {
    let camera = &scene.camera;
    let cells = scene.surface.cells();
    let color = |i: usize| {
        let cell = &cells[i];
        let (x, y) = ((i % GRID) as f32, (i / GRID) as f32);
        match cell.material {
            Material::Sky => sky(camera, style, x, y),
            Material::Cloud => cloud(camera, style, cell, x, y),
            _ => haze(style, solid(style, cell, sunlit[i]), cell.depth, x),
        }
    };
    let mut colors = vec![Vec3::ZERO; GRID * GRID];
    for pixel in 0..SIDE * SIDE {
        let block = Surface::block(pixel % SIDE, pixel / SIDE);
        for (place, &i) in block.iter().enumerate() {
            // Most blocks hold four times the same.
            let twin = block[..place].iter().find(|&&j| cells[j] == cells[i] && sunlit[j] == sunlit[i]);
            colors[i] = twin.map_or_else(|| color(i), |&j| colors[j]);
        }
    }
    colors
}

/// Clear sky.
pub(crate) fn sky(camera: &Camera, style: &Style, x: f32, y: f32) -> Vec3 {
    let down = (y / camera.horizon).clamp(0.0, 1.0);
    let clear = style.zenith.lerp(style.horizon, down.powf(1.7));
    let dx = (x / GRID as f32 - style.sun_place.0) / style.glow_reach;
    let dy = (down - style.sun_place.1) * camera.horizon / GRID as f32 / (0.6 * style.glow_reach);
    let near = (-(dx * dx + dy * dy)).exp();
    clear.lerp(style.glow * 1.15, style.glow_strength * (0.85 * near * near + 0.15 * near))
}

/// Cloud before the sky behind it. Thin cloud scatters the light all through and takes the sky's colour; only thick
/// cloud has a bright and a dark side.
fn cloud(camera: &Camera, style: &Style, cell: &Cell, x: f32, y: f32) -> Vec3 {
    let behind = sky(camera, style, x, y);
    let toward = Vec3::new(style.sun.x, style.sun.y.max(0.25), -0.35).normalize();
    let thick = smoothstep(0.2, 0.9, cell.tone);
    let lit = 0.62 + thick * (0.5 * cell.normal.dot(toward) - 0.1 - 0.3 * (1.0 - cell.openness));
    let body = style.cloud_shade.lerp(style.cloud_light * 1.05, lit.clamp(0.0, 1.0));
    behind.lerp(body, clouds::opacity(cell.tone))
}

/// The share of the sun's light that a surface takes, by its angle.
pub(crate) fn direct(style: &Style, cell: &Cell) -> f32 {
    let facing = cell.normal.dot(style.sun);
    // Leaves and snow let light through and around.
    let wrap = match cell.material {
        Material::Leaf | Material::Needle | Material::Grass | Material::Petal => 0.3,
        Material::Snow => 0.15,
        _ => 0.0,
    };
    ((facing + wrap) / (1.0 + wrap)).max(0.0)
}

fn solid(style: &Style, cell: &Cell, sunlit: f32) -> Vec3 {
    let (dark, light) = style.colors[cell.material as usize];
    let albedo = dark.lerp(light, (0.5 + 0.5 * cell.tone).clamp(-0.15, 1.15)).max(Vec3::ZERO);
    let direct = direct(style, cell);
    let above = 0.5 + 0.5 * cell.normal.y;
    let sky = style.skylight * (0.35 + 0.65 * above) * cell.openness;
    let bounce = style.sunlight * 0.1 * (1.0 - above) * cell.openness;
    albedo * (style.sunlight * direct * sunlit * (0.4 + 0.6 * cell.openness) + sky + bounce)
}

/// Air between the viewer and what lies `depth` away; it glows on the sun's side.
pub(crate) fn haze(style: &Style, color: Vec3, depth: f32, x: f32) -> Vec3 {
    let share = 1.0 - (-style.haze_density * (depth - 4.0).max(0.0)).exp();
    let dx = (x / GRID as f32 - style.sun_place.0) / style.glow_reach;
    let air = style.haze.lerp(style.glow, 0.4 * (-dx * dx).exp());
    color.lerp(air, 0.94 * share)
}
