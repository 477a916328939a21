//! Mood: the sun, the sky and the colours of things, drawn from the style's own seed.

use glam::Vec3;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::surface::Material;

/// The time of day and the weather.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Mood {
    Day,
    #[serde(rename = "golden hour")]
    Golden,
    Overcast,
    Dusk,
}

impl Mood {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Day, Self::Golden, Self::Overcast, Self::Dusk];
}

/// Light and colour. All colours are linear.
pub(crate) struct Style {
    /// Towards the sun.
    pub(crate) sun: Vec3,
    /// The sun's place on the image, in shares of its width and of the sky's height.
    pub(crate) sun_place: (f32, f32),
    pub(crate) sunlight: Vec3,
    /// Light from the whole sky.
    pub(crate) skylight: Vec3,
    /// Colours of the sky: overhead, at the horizon, around the sun.
    pub(crate) zenith: Vec3,
    pub(crate) horizon: Vec3,
    pub(crate) glow: Vec3,
    /// How far the glow reaches, in shares of the width.
    pub(crate) glow_reach: f32,
    /// How much of the sky the glow replaces at its middle.
    pub(crate) glow_strength: f32,
    pub(crate) cloud_light: Vec3,
    pub(crate) cloud_shade: Vec3,
    pub(crate) haze: Vec3,
    /// Per unit of distance.
    pub(crate) haze_density: f32,
    /// How dark cast shadows are, 0 to 1.
    pub(crate) shadow: f32,
    /// Dark and light colour of each material.
    pub(crate) colors: [(Vec3, Vec3); Material::COUNT],
    pub(crate) exposure: f32,
}

/// What a mood is before its variation: 8-bit sRGB colours and plain numbers.
struct Base {
    zenith: [u8; 3],
    horizon: [u8; 3],
    glow: [u8; 3],
    glow_reach: f32,
    glow_strength: f32,
    sun_color: [u8; 3],
    sun_strength: f32,
    sky_color: [u8; 3],
    sky_strength: f32,
    elevation: (f32, f32),
    haze: [u8; 3],
    haze_density: f32,
    cloud_light: [u8; 3],
    cloud_shade: [u8; 3],
    shadow: f32,
    exposure: f32,
}

impl Mood {
    fn base(self) -> Base {
        match self {
            Self::Day => Base {
                zenith: [52, 112, 200],
                horizon: [182, 214, 240],
                glow: [255, 246, 226],
                glow_reach: 0.3,
                glow_strength: 0.4,
                sun_color: [255, 243, 222],
                sun_strength: 1.75,
                sky_color: [160, 190, 235],
                sky_strength: 0.72,
                elevation: (0.5, 1.0),
                haze: [178, 204, 232],
                haze_density: 0.0036,
                cloud_light: [255, 253, 248],
                cloud_shade: [150, 166, 194],
                shadow: 0.9,
                exposure: 1.0,
            },
            Self::Golden => Base {
                zenith: [78, 108, 168],
                horizon: [253, 196, 122],
                glow: [255, 222, 150],
                glow_reach: 0.55,
                glow_strength: 0.85,
                sun_color: [255, 196, 112],
                sun_strength: 2.4,
                sky_color: [176, 160, 178],
                sky_strength: 0.6,
                elevation: (0.2, 0.36),
                haze: [240, 190, 146],
                haze_density: 0.0058,
                cloud_light: [255, 224, 172],
                cloud_shade: [170, 132, 138],
                shadow: 0.9,
                exposure: 1.0,
            },
            Self::Overcast => Base {
                zenith: [160, 170, 181],
                horizon: [212, 217, 222],
                glow: [225, 228, 232],
                glow_reach: 0.6,
                glow_strength: 0.3,
                sun_color: [226, 228, 232],
                sun_strength: 0.5,
                sky_color: [205, 212, 222],
                sky_strength: 1.05,
                elevation: (0.9, 1.2),
                haze: [198, 205, 212],
                haze_density: 0.006,
                cloud_light: [232, 234, 236],
                cloud_shade: [150, 158, 168],
                shadow: 0.3,
                exposure: 0.95,
            },
            Self::Dusk => Base {
                zenith: [62, 70, 138],
                horizon: [248, 168, 148],
                glow: [255, 190, 150],
                glow_reach: 0.7,
                glow_strength: 0.8,
                sun_color: [255, 158, 140],
                sun_strength: 1.15,
                sky_color: [150, 130, 186],
                sky_strength: 0.95,
                elevation: (0.14, 0.24),
                haze: [180, 146, 174],
                haze_density: 0.0048,
                cloud_light: [255, 186, 168],
                cloud_shade: [122, 98, 142],
                shadow: 0.6,
                exposure: 0.95,
            },
        }
    }
}

/// Dark and light sRGB colour of each material, in the order of [`Material`].
const COLORS: [([u8; 3], [u8; 3]); Material::COUNT] = [
    ([0, 0, 0], [0, 0, 0]),
    ([0, 0, 0], [0, 0, 0]),
    ([92, 84, 78], [150, 140, 130]),
    ([186, 200, 222], [238, 242, 248]),
    ([66, 92, 42], [132, 152, 82]),
    ([40, 66, 22], [112, 146, 56]),
    ([22, 46, 30], [66, 98, 58]),
    ([52, 38, 28], [104, 80, 60]),
    ([56, 92, 26], [140, 168, 72]),
    ([184, 154, 110], [220, 194, 150]),
    ([16, 62, 96], [36, 104, 130]),
    ([26, 66, 78], [52, 104, 108]),
    ([92, 86, 80], [148, 140, 130]),
    ([108, 78, 52], [164, 126, 90]),
    ([98, 96, 96], [140, 136, 132]),
    ([214, 60, 84], [250, 214, 80]),
];

/// Pairs of petal colours that a style chooses from.
const PETALS: [([u8; 3], [u8; 3]); 6] = [
    ([214, 50, 74], [248, 120, 130]),
    ([242, 190, 40], [252, 232, 120]),
    ([140, 80, 190], [206, 150, 228]),
    ([240, 236, 232], [252, 250, 246]),
    ([220, 60, 80], [250, 210, 80]),
    ([230, 110, 170], [250, 240, 244]),
];

/// Pairs of leaf colours, the first the commonest.
const LEAVES: [([u8; 3], [u8; 3]); 4] = [
    ([40, 66, 22], [112, 146, 56]),
    ([34, 62, 32], [84, 126, 62]),
    ([66, 84, 24], [158, 160, 58]),
    ([116, 54, 18], [208, 134, 46]),
];

impl Style {
    /// The style of `seed` in a mood.
    pub(crate) fn of(mood: Mood, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(2);
        let mut within = |from: f32, to: f32| from + (to - from) * random.random::<f32>();
        let base = mood.base();
        let mut tint = |color: [u8; 3], by: f32| {
            let all = within(-by, by);
            let each = Vec3::new(within(-by, by), within(-by, by), within(-by, by)) * 0.5;
            linear(color) * (Vec3::ONE + each + all)
        };
        let zenith = tint(base.zenith, 0.16);
        let horizon = tint(base.horizon, 0.1);
        let glow = tint(base.glow, 0.08);
        let sunlight = tint(base.sun_color, 0.08) * base.sun_strength;
        let skylight = tint(base.sky_color, 0.08) * base.sky_strength;
        let haze = tint(base.haze, 0.08);
        let cloud_light = tint(base.cloud_light, 0.05);
        let cloud_shade = tint(base.cloud_shade, 0.1);
        let mut colors = COLORS.map(|(dark, light)| {
            let (shift, dark, light) = (tint([255; 3], 0.13), linear(dark), linear(light));
            (dark * shift, light * shift)
        });
        let choose = |share: f32, count: usize| ((share * count as f32) as usize).min(count - 1);
        let (petals, leaves) = (within(0.0, 1.0), within(0.0, 1.0));
        let petals = PETALS[choose(petals, PETALS.len())];
        let leaves = LEAVES[if leaves < 0.5 { 0 } else { choose(2.0 * leaves - 1.0, 4) }];
        colors[Material::Petal as usize] = (linear(petals.0), linear(petals.1));
        colors[Material::Leaf as usize] = (linear(leaves.0), linear(leaves.1));
        let place = within(-0.15, 1.15);
        let side = if place < 0.5 { -1.0 } else { 1.0 };
        let elevation = within(base.elevation.0, base.elevation.1);
        // Beside the viewer rather than where the glow is: light from the side models the land best.
        let turn = within(-0.15, 0.6);
        let sun =
            Vec3::new(side * turn.cos() * elevation.cos(), elevation.sin(), -turn.sin() * elevation.cos());
        Self {
            sun,
            sun_place: (place, within(0.5, 0.92)),
            sunlight,
            skylight,
            zenith,
            horizon,
            glow,
            glow_reach: base.glow_reach,
            glow_strength: base.glow_strength * within(0.6, 1.1),
            cloud_light,
            cloud_shade,
            haze,
            haze_density: base.haze_density * within(0.55, 1.5),
            shadow: base.shadow,
            colors,
            exposure: base.exposure * within(0.94, 1.06),
        }
    }
}

/// sRGB to linear light.
fn linear(color: [u8; 3]) -> Vec3 {
    Vec3::from(color.map(|value| {
        let value = f32::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    }))
}
