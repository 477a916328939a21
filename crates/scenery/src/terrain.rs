//! The shape of the land: ground, shores, and belts of hills and mountains on it.

use glam::Vec2;

use crate::noise::{Noise, octaves, smoothstep};

/// What a belt's slopes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relief {
    /// Ridges and gullies.
    Mountain,
    /// Flat tops above steep walls.
    Mesa,
    /// Round and soft.
    Hill,
    /// Windward slopes and sharp crests of sand.
    Dune,
}

/// One summit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peak {
    pub(crate) center: Vec2,
    pub(crate) radius: f32,
    pub(crate) height: f32,
}

/// Summits at about one distance.
pub(crate) struct Belt {
    pub(crate) relief: Relief,
    pub(crate) peaks: Vec<Peak>,
    /// Width of the largest ridges.
    pub(crate) wavelength: f32,
    /// Where in the noise the belt lies.
    pub(crate) offset: Vec2,
    /// How far down the snow reaches, from 0, the foot, to 1 and above, no snow.
    pub(crate) snow_line: f32,
}

/// A winding strip: a river, a road.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strip {
    /// x at distance 4, and how it drifts with distance.
    pub(crate) start: f32,
    pub(crate) drift: f32,
    /// The bends' amplitude, angular frequency and phase.
    pub(crate) swing: f32,
    pub(crate) frequency: f32,
    pub(crate) phase: f32,
    pub(crate) width: f32,
    /// Distance at which it ends.
    pub(crate) end: f32,
}

impl Strip {
    /// How far inside the strip a point lies; negative outside.
    pub(crate) fn inside(&self, x: f32, z: f32) -> f32 {
        let bend = |z: f32| (z * self.frequency + self.phase).sin();
        let middle = self.start + self.drift * (z - 4.0) + self.swing * (bend(z) - bend(4.0));
        (self.width / 2.0 - (x - middle).abs()).min(self.end - z)
    }
}

/// Where water stands, at height 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Water {
    /// From a near shore (distance 0: none) to a far one (infinite: none).
    Basin { near: f32, far: f32, tilt: f32, wobble: f32, offset: Vec2 },
    /// Along a strip.
    Stream(Strip),
}

/// The land.
pub(crate) struct Terrain {
    pub(crate) noise: Noise,
    pub(crate) belts: Vec<Belt>,
    pub(crate) water: Option<Water>,
    /// Height of the ground's own undulation.
    pub(crate) swell: f32,
    pub(crate) offset: Vec2,
}

/// The land at one point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) height: f32,
    /// How far a belt lifts it above the ground.
    pub(crate) rise: f32,
    /// The belt that lifts it most.
    pub(crate) belt: Option<usize>,
}

impl Terrain {
    /// The land at (x, z), with no features narrower than two `footprint`s.
    pub(crate) fn at(&self, x: f32, z: f32, footprint: f32) -> Spot {
        let mut spot = Spot { height: 0.0, rise: 0.0, belt: None };
        for (index, belt) in self.belts.iter().enumerate() {
            let rise = belt.rise(&self.noise, Vec2::new(x, z), footprint);
            if rise > spot.rise {
                (spot.rise, spot.belt) = (rise, Some(index));
            }
        }
        spot.height = self.ground(x, z) + spot.rise;
        spot
    }

    /// Above this there is only air.
    pub(crate) fn summit(&self) -> f32 {
        1.2 * self.belts.iter().map(Belt::height).fold(0.0, f32::max) + 2.0
    }

    /// How deep in the water a point of the ground lies, along the ground; negative on land.
    pub(crate) fn wetness(&self, x: f32, z: f32) -> f32 {
        match self.water {
            None => f32::NEG_INFINITY,
            Some(Water::Stream(strip)) => {
                let wobble = 0.18 * strip.width * self.noise.fbm(x * 0.7 + self.offset.x, z * 0.35, 3.0);
                strip.inside(x, z) + wobble
            }
            Some(Water::Basin { near, far, tilt, wobble, offset }) => {
                let bend = |shore: f32| {
                    let at = 1.1 * Vec2::new(x, z) / shore + offset;
                    shore * (1.0 + wobble * self.noise.fbm(at.x, 0.4 * at.y, 4.0) + tilt * x / shore)
                };
                let past_near = if near > 0.0 { z - bend(near) } else { f32::INFINITY };
                let before_far = if far.is_finite() { 0.3 * (bend(far) - z) } else { f32::INFINITY };
                past_near.min(before_far)
            }
        }
    }

    fn ground(&self, x: f32, z: f32) -> f32 {
        let at = Vec2::new(x, z) * 0.09 + self.offset;
        let swell = self.swell * (self.noise.fbm(at.x, at.y, 3.0) + 0.3);
        if self.water.is_none() {
            return swell;
        }
        let shore = -self.wetness(x, z);
        let bank = (0.22 * shore).clamp(-1.5, 0.35);
        bank + swell.max(0.0) * smoothstep(0.5, 6.0, shore)
    }
}

impl Belt {
    fn rise(&self, noise: &Noise, at: Vec2, footprint: f32) -> f32 {
        let near = |peak: &Peak| at.distance_squared(peak.center) < (1.45 * peak.radius).powi(2);
        if !self.peaks.iter().any(near) {
            return 0.0;
        }
        let at_noise = at / self.wavelength + self.offset;
        let warp = Vec2::new(
            noise.at(at_noise.x, at_noise.y) * 0.6,
            noise.at(at_noise.y + 31.7, at_noise.x - 11.9) * 0.6,
        );
        let mut bent = at + 0.42 * self.wavelength * warp;
        if self.relief == Relief::Mesa {
            // Gullies run down the walls.
            let fine = octaves(self.wavelength / 4.0, footprint, 3.0);
            let gullies = |x: f32, y: f32| noise.ridged(4.0 * x, 4.0 * y, fine);
            bent += 0.13
                * self.wavelength
                * Vec2::new(gullies(at_noise.x, at_noise.y), gullies(at_noise.y, at_noise.x));
        }
        let envelope = self.peaks.iter().map(|peak| self.relief.envelope(peak, bent)).fold(0.0, f32::max);
        if envelope <= 0.0 {
            return 0.0;
        }
        let most = if self.relief == Relief::Mountain { 7.0 } else { 4.0 };
        let detail = octaves(self.wavelength, footprint, most);
        self.relief.shape(noise, envelope, at_noise + 0.16 * warp, detail)
    }

    /// The highest summit.
    pub(crate) fn height(&self) -> f32 {
        self.peaks.iter().map(|peak| peak.height).fold(0.0, f32::max)
    }
}

impl Relief {
    /// The height of the smooth body of a mountain.
    fn envelope(self, peak: &Peak, at: Vec2) -> f32 {
        let near = 1.0 - at.distance(peak.center) / peak.radius;
        if near <= 0.0 {
            return 0.0;
        }
        peak.height
            * match self {
                Self::Mountain => near.powf(1.15),
                Self::Mesa => 0.25 * smoothstep(0.0, 0.3, near) + 0.75 * smoothstep(0.26, 0.46, near),
                Self::Hill => smoothstep(0.0, 1.0, near),
                Self::Dune => near,
            }
    }

    /// The body with its ridges.
    fn shape(self, noise: &Noise, body: f32, at: Vec2, detail: f32) -> f32 {
        match self {
            Self::Mountain => {
                let ridges = noise.ridged(1.3 * at.x, 1.3 * at.y, detail);
                let crumble = noise.fbm(3.1 * at.x + 5.0, 3.1 * at.y, detail - 1.0);
                body * (0.86 + 0.46 * ridges + 0.12 * crumble).max(0.02)
            }
            Self::Mesa => body * (0.93 + 0.12 * noise.fbm(1.7 * at.x, 1.7 * at.y, detail)),
            Self::Hill => body * (0.85 + 0.32 * noise.fbm(1.2 * at.x, 1.2 * at.y, detail.min(3.0))),
            Self::Dune => {
                let crest = noise.ridged(0.9 * at.x, 0.9 * at.y, detail.min(2.0));
                body * (0.65 + 0.4 * crest)
            }
        }
    }
}
