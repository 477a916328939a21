//! Procedural landscapes with exact label maps, for training and testing without photographs.
//!
//! A [`Landscape`] is drawn from a seed: either laid out as land is ([`Landscape::of`]) or made from a label map that was
//! painted as people paint ([`Landscape::painted`]). [`Landscape::paint`] lights it in a [`Mood`] with a style seed. Layout
//! and style draw from separate random streams, so the same layout can be painted in every mood.

mod camera;
mod class;
mod clouds;
mod draw;
mod field;
mod form;
mod grass;
mod guides;
mod layout;
mod light;
mod noise;
mod painted;
mod plants;
mod relief;
mod scene;
mod shadow;
mod stones;
mod style;
mod surface;
mod terrain;
mod water;

pub use camera::SIDE;
pub use class::{CLASSES, Class};
use glam::Vec3;
pub use guides::{Guides, MATERIALS};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use spadework_imaging::{LabelMap, RgbImage};
pub use style::Mood;

use layout::Layout;
use scene::Scene;
use style::Style;
use surface::Surface;

#[cfg(test)]
mod tests;

/// A landscape before any light falls on it.
pub struct Landscape {
    scene: Scene,
    labels: Vec<u8>,
}

impl Landscape {
    /// The landscape of a layout's seed.
    pub fn of(seed: u64) -> Self {
        let mut layout = Layout::of(seed);
        layout.settle();
        let mut surface = Surface::clear();
        relief::draw(&layout, &mut surface);
        layout.clouds.cover(&layout.terrain.noise, &layout.camera, &mut surface);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(1);
        grass::draw(&layout.camera, &mut random, &mut surface);
        for plant in &layout.plants {
            plant.draw(&layout.camera, &layout.terrain.noise, &mut surface);
        }
        for stone in &layout.stones {
            stone.draw(&layout.camera, &layout.terrain.noise, &mut surface);
        }
        let labels = relief::snow_as_seen(surface.classes());
        Self { labels, scene: layout.scene(surface) }
    }

    /// A landscape whose label map was painted with a few plain shapes, as people paint, and whose image was made from
    /// that map.
    pub fn painted(seed: u64) -> Self {
        let (scene, labels) = painted::draw(seed);
        Self { scene, labels }
    }

    /// What each pixel shows: the class that hides more than half of it.
    pub fn labels(&self) -> LabelMap {
        LabelMap::new(SIDE, SIDE, self.labels.clone(), CLASSES.len())
            .expect("a surface is full, and its classes are known")
    }

    /// The image in a mood, varied by the style's seed.
    pub fn paint(&self, mood: Mood, seed: u64) -> RgbImage {
        let style = Style::of(mood, seed);
        self.lit(&style, &shadow::sunlit(&self.scene, &style))
    }

    /// The same, and what the renderer knows of it.
    pub fn paint_with_guides(&self, mood: Mood, seed: u64) -> (RgbImage, Guides) {
        let style = Style::of(mood, seed);
        let sunlit = shadow::sunlit(&self.scene, &style);
        (self.lit(&style, &sunlit), Guides::of(&self.scene, &style, &sunlit))
    }

    fn lit(&self, style: &Style, sunlit: &[f32]) -> RgbImage {
        let mut colors = light::shade(&self.scene, style, sunlit);
        water::flood(&self.scene, style, sunlit, &mut colors);
        let pixel = |i: usize| {
            let block = Surface::block(i % SIDE, i / SIDE);
            develop(style, block.map(|cell| colors[cell]).iter().sum::<Vec3>() / block.len() as f32, i)
        };
        let pixels = (0..SIDE * SIDE).flat_map(pixel).collect();
        RgbImage::new(SIDE, SIDE, pixels).expect("a colour for each pixel")
    }
}

/// Straight up to a knee, then ever flatter, so that what is too bright keeps its shape.
fn shoulder(value: f32) -> f32 {
    const KNEE: f32 = 0.55;
    const ROOM: f32 = 0.43;
    if value < KNEE { value } else { KNEE + ROOM * (1.0 - ((KNEE - value) / ROOM).exp()) }
}

/// Linear light to bytes: exposure, a soft shoulder, a trace of vignette.
fn develop(style: &Style, color: Vec3, i: usize) -> [u8; 3] {
    let (x, y) = ((i % SIDE) as f32 / SIDE as f32 - 0.5, (i / SIDE) as f32 / SIDE as f32 - 0.5);
    let vignette = 1.0 - 0.22 * (x * x + y * y);
    (color * style.exposure * vignette).to_array().map(|value| {
        let encoded = shoulder(value.max(0.0)).powf(1.0 / 2.2);
        (encoded * 255.0 + 0.5).clamp(0.0, 255.0) as u8
    })
}
