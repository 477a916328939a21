//! Procedural landscapes with exact label maps, for training and testing without photographs.
//!
//! A [`Landscape`] is drawn from a layout seed; [`Landscape::paint`] lights it in a [`Mood`] with a style seed. The two
//! draw from separate random streams, so the same layout can be painted in every mood.

mod brush;
mod camera;
mod class;
mod clouds;
mod grass;
mod layout;
mod light;
mod noise;
mod plants;
mod relief;
mod shadow;
mod stones;
mod style;
mod surface;
mod terrain;
mod water;

pub use camera::SIDE;
pub use class::{CLASSES, Class};
use glam::Vec3;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use spadework_imaging::{LabelMap, RgbImage};
pub use style::Mood;

use layout::Layout;
use style::Style;
use surface::Surface;

#[cfg(test)]
mod tests;

/// A landscape before any light falls on it.
pub struct Landscape {
    layout: Layout,
    surface: Surface,
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
        grass::draw(&layout, &mut random, &mut surface);
        for plant in &layout.plants {
            plant.draw(&layout, &mut surface);
        }
        for stone in &layout.stones {
            stone.draw(&layout, &mut surface);
        }
        Self { layout, surface }
    }

    /// What each pixel shows.
    pub fn labels(&self) -> LabelMap {
        let ids = self.surface.cells().iter().map(|cell| cell.class.id()).collect();
        LabelMap::new(SIDE, SIDE, ids, CLASSES.len()).expect("a surface is full, and its classes are known")
    }

    /// The labels as a hand would paint them, in a way drawn from `seed`.
    pub fn brushed_labels(&self, seed: u64) -> LabelMap {
        let ids = brush::coarsened(self.labels().ids(), seed);
        LabelMap::new(SIDE, SIDE, ids, CLASSES.len()).expect("a brush makes no classes of its own")
    }

    /// The picture in a mood, varied by the style's seed.
    pub fn paint(&self, mood: Mood, seed: u64) -> RgbImage {
        let style = Style::of(mood, seed);
        let sunlit = shadow::sunlit(&self.layout, &style, &self.surface);
        let mut colors = light::shade(&self.layout, &style, &self.surface, &sunlit);
        water::flood(&self.layout, &style, &self.surface, &sunlit, &mut colors);
        let mut grain = ChaCha8Rng::seed_from_u64(seed);
        grain.set_stream(4);
        let pixels =
            colors.iter().enumerate().flat_map(|(i, &color)| develop(&style, color, i, &mut grain)).collect();
        RgbImage::new(SIDE, SIDE, pixels).expect("a colour for each pixel")
    }
}

/// Straight up to a knee, then ever flatter, so that what is too bright keeps its shape.
fn shoulder(value: f32) -> f32 {
    const KNEE: f32 = 0.55;
    const ROOM: f32 = 0.43;
    if value < KNEE { value } else { KNEE + ROOM * (1.0 - ((KNEE - value) / ROOM).exp()) }
}

/// Linear light to bytes: exposure, a soft shoulder, a trace of vignette and grain.
fn develop(style: &Style, color: Vec3, i: usize, grain: &mut ChaCha8Rng) -> [u8; 3] {
    let (x, y) = ((i % SIDE) as f32 / SIDE as f32 - 0.5, (i / SIDE) as f32 / SIDE as f32 - 0.5);
    let vignette = 1.0 - 0.22 * (x * x + y * y);
    let noise = (grain.random::<f32>() - 0.5) * 0.012;
    (color * style.exposure * vignette).to_array().map(|value| {
        let value = value.max(0.0);
        let encoded = shoulder(value).powf(1.0 / 2.2) + noise;
        (encoded * 255.0 + 0.5).clamp(0.0, 255.0) as u8
    })
}
