//! What a landscape consists of, drawn from its seed: the land, what covers it, what stands on it, and the clouds.
//! Nothing here depends on the style.

use std::f32::consts::TAU;

use glam::{Vec2, Vec3};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::camera::{Camera, GRID, SAMPLES};
use crate::class::Class;
use crate::clouds::Clouds;
use crate::draw::Draw;
use crate::noise::Noise;
use crate::plants::{Plant, Species};
use crate::scene::{Caster, Land, Scene};
use crate::stones::Stone;
use crate::surface::Surface;
use crate::terrain::{Belt, Peak, Relief, Strip, Terrain, Water};

/// The plan of one landscape.
pub(crate) struct Layout {
    pub(crate) camera: Camera,
    pub(crate) terrain: Terrain,
    pub(crate) cover: Cover,
    pub(crate) plants: Vec<Plant>,
    pub(crate) stones: Vec<Stone>,
    pub(crate) clouds: Clouds,
}

/// What lies on flat ground.
pub(crate) struct Cover {
    /// Almost everywhere.
    pub(crate) base: Class,
    /// Along the water, and how wide.
    pub(crate) shore: Option<(Class, f32)>,
    /// A road or a track.
    pub(crate) strip: Option<(Class, Strip)>,
    /// In patches; the number is the share of the ground, about.
    pub(crate) patches: Option<(Class, f32)>,
    /// Beds of flowers, and their share.
    pub(crate) flowers: Option<f32>,
    pub(crate) offset: Vec2,
}

#[derive(Clone, Copy, PartialEq)]
enum Setting {
    Lake,
    Coast,
    Beach,
    Meadow,
    Desert,
    Snowfield,
    River,
    Badlands,
    Hills,
}

/// How often each scene comes.
const SCENES: [(Setting, u32); 9] = [
    (Setting::Lake, 16),
    (Setting::Coast, 13),
    (Setting::Beach, 14),
    (Setting::Meadow, 14),
    (Setting::Desert, 11),
    (Setting::Snowfield, 8),
    (Setting::River, 11),
    (Setting::Badlands, 8),
    (Setting::Hills, 8),
];

impl Layout {
    /// The layout of `seed`.
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Draw(ChaCha8Rng::seed_from_u64(seed));
        let noise = Noise::new(&mut random.0);
        let scene = random.scene();
        let camera = Camera {
            horizon: random.within(0.36, 0.6) * GRID as f32,
            focal: 240.0 * SAMPLES as f32,
            height: random.within(1.7, 3.0),
        };
        let terrain = Terrain {
            noise,
            belts: random.belts(scene, &camera),
            water: random.water(scene),
            swell: if scene.has_basin() { random.within(0.0, 0.2) } else { random.within(0.1, 0.5) },
            offset: random.offset(),
        };
        let cover = random.cover(scene);
        let stones = random.stones(scene);
        let plants = random.plants(scene);
        let clouds = Clouds::draw(&mut random.0, &camera);
        Self { camera, terrain, cover, plants, stones, clouds }
    }
}

impl Layout {
    /// Lets light fall on it.
    pub(crate) fn scene(self, surface: Surface) -> Scene {
        let plants = self.plants.iter().map(|plant| Caster {
            foot: plant.foot,
            spread: plant.spread(),
            height: plant.height,
        });
        let stones = self.stones.iter().map(|stone| Caster {
            foot: stone.foot,
            spread: stone.radius,
            height: 1.1 * stone.radius,
        });
        Scene {
            camera: self.camera,
            noise: self.terrain.noise.clone(),
            casters: plants.chain(stones).collect(),
            land: Land::Terrain(self.terrain),
            surface,
        }
    }

    /// Puts plants and stones on the ground, takes out those that stand in water or on a road, and orders them from far
    /// to near.
    pub(crate) fn settle(&mut self) {
        let Self { terrain, cover, plants, stones, .. } = self;
        let free = |foot: &mut Vec3, room: f32| {
            foot.y = terrain.at(foot.x, foot.z, 0.1).height;
            let on_road = cover.strip.as_ref().is_some_and(|(_, strip)| strip.inside(foot.x, foot.z) > -room);
            !on_road && terrain.wetness(foot.x, foot.z) < -room
        };
        plants.retain_mut(|plant| free(&mut plant.foot, 0.15));
        stones.retain_mut(|stone| {
            free(&mut stone.foot, 0.0);
            stone.foot.y = stone.foot.y.max(-0.15 * stone.radius);
            true
        });
        plants.sort_by(|a, b| b.foot.z.total_cmp(&a.foot.z));
        stones.sort_by(|a, b| b.foot.z.total_cmp(&a.foot.z));
    }
}

impl Setting {
    fn has_basin(self) -> bool {
        matches!(self, Self::Lake | Self::Coast | Self::Beach)
    }
}

impl Draw {
    fn offset(&mut self) -> Vec2 {
        Vec2::new(self.within(0.0, 128.0), self.within(0.0, 128.0))
    }

    fn scene(&mut self) -> Setting {
        self.pick(&SCENES)
    }

    fn belts(&mut self, scene: Setting, camera: &Camera) -> Vec<Belt> {
        let mut belts = Vec::new();
        let mountains = match scene {
            Setting::Hills => self.count(0, 1),
            Setting::Coast => self.count(1, 2),
            Setting::Beach => self.count(0, 2),
            _ => self.count(0, 3),
        };
        let tall = self.within(0.7, 1.25);
        for layer in 0..mountains {
            let distance = [190.0, 130.0, 85.0][layer] * self.within(0.85, 1.1);
            let tops = [60.0, 62.0, 46.0][layer] * tall;
            let relief = match scene {
                Setting::Desert | Setting::Badlands if self.chance(0.6) => Relief::Mesa,
                _ => Relief::Mountain,
            };
            let count = self.count(2, 5);
            belts.push(self.belt(relief, distance, tops, count, camera));
        }
        if matches!(scene, Setting::Hills) || self.chance(0.5) {
            let relief = if scene == Setting::Desert { Relief::Dune } else { Relief::Hill };
            let layers = if scene == Setting::Hills { self.count(2, 3) } else { 1 };
            for layer in 0..layers {
                let distance = [62.0, 42.0, 27.0][layer] * self.within(0.85, 1.15);
                let tops = self.within(16.0, 44.0);
                let count = self.count(2, 6);
                belts.push(self.belt(relief, distance, tops, count, camera));
            }
        }
        belts
    }

    /// Summits about `tops` pixels above the horizon.
    fn belt(&mut self, relief: Relief, distance: f32, tops: f32, count: usize, camera: &Camera) -> Belt {
        let snow_line =
            if relief == Relief::Mountain && self.chance(0.72) { self.within(0.1, 0.75) } else { 9.0 };
        let peaks: Vec<_> = (0..count)
            .map(|_| {
                let height = tops * self.within(0.55, 1.4) * camera.footprint(distance);
                let spread = match relief {
                    Relief::Mountain => self.within(1.15, 1.9),
                    Relief::Mesa => self.within(0.9, 1.9),
                    Relief::Hill => self.within(2.4, 4.2),
                    Relief::Dune => self.within(2.6, 4.0),
                };
                let x = self.within(-0.62, 0.62) * distance;
                let center = Vec2::new(x, distance * self.within(0.96, 1.12));
                Peak { center, radius: (height * spread).min(0.62 * distance), height }
            })
            .collect();
        let widest = peaks.iter().map(|peak| peak.radius).fold(0.0, f32::max);
        Belt { relief, peaks, wavelength: widest * self.within(0.5, 0.8), offset: self.offset(), snow_line }
    }

    fn water(&mut self, scene: Setting) -> Option<Water> {
        let offset = self.offset();
        let tilt = self.within(-0.5, 0.5);
        match scene {
            Setting::Lake => Some(Water::Basin {
                near: self.within(4.3, 7.5),
                far: self.within(24.0, 70.0),
                tilt,
                wobble: self.within(0.15, 0.5),
                offset,
            }),
            Setting::Coast => {
                let near = if self.chance(0.5) { 0.0 } else { self.within(3.8, 5.5) };
                Some(Water::Basin { near, far: f32::INFINITY, tilt, wobble: self.within(0.2, 0.5), offset })
            }
            Setting::Beach => Some(Water::Basin {
                near: self.within(4.8, 9.0),
                far: f32::INFINITY,
                tilt,
                wobble: self.within(0.1, 0.45),
                offset,
            }),
            Setting::River => Some(Water::Stream(self.strip(2.2, 5.0, 60.0))),
            Setting::Meadow | Setting::Snowfield if self.chance(0.22) => {
                Some(Water::Stream(self.strip(1.2, 3.0, 40.0)))
            }
            Setting::Desert if self.chance(0.15) => Some(Water::Stream(self.strip(1.2, 3.0, 40.0))),
            _ => None,
        }
    }

    fn strip(&mut self, narrow: f32, wide: f32, end: f32) -> Strip {
        Strip {
            start: self.within(-1.2, 1.2),
            drift: self.within(-0.16, 0.16),
            swing: self.within(0.5, 2.6),
            frequency: self.within(0.12, 0.34),
            phase: self.within(0.0, TAU),
            width: self.within(narrow, wide),
            end: end * self.within(0.7, 1.3),
        }
    }

    fn cover(&mut self, scene: Setting) -> Cover {
        let base = match scene {
            Setting::Desert | Setting::Beach => Class::Sand,
            Setting::Snowfield => Class::Snow,
            Setting::Badlands => self.pick(&[(Class::Dirt, 3), (Class::Sand, 1)]),
            Setting::Coast => self.pick(&[(Class::Grass, 3), (Class::Sand, 2), (Class::Dirt, 1)]),
            _ => Class::Grass,
        };
        let strip = match scene {
            Setting::Meadow | Setting::Snowfield | Setting::Hills | Setting::Desert | Setting::Badlands
                if self.chance(0.7) =>
            {
                let class =
                    self.pick(&[(Class::Road, 3), (Class::Dirt, if base == Class::Dirt { 0 } else { 2 })]);
                Some((class, self.strip(0.9, 2.2, 70.0)))
            }
            _ => None,
        };
        let patches = match base {
            Class::Grass if self.chance(0.3) => Some((Class::Dirt, self.within(0.12, 0.35))),
            Class::Sand if self.chance(0.45) => {
                Some((self.pick(&[(Class::Grass, 3), (Class::Dirt, 1)]), self.within(0.15, 0.4)))
            }
            Class::Dirt if self.chance(0.6) => Some((Class::Grass, self.within(0.15, 0.45))),
            Class::Snow if self.chance(0.35) => {
                Some((self.pick(&[(Class::Grass, 1), (Class::Dirt, 1)]), self.within(0.1, 0.25)))
            }
            _ => None,
        };
        let blooms = match base {
            Class::Grass => 0.7,
            Class::Snow => 0.0,
            _ => 0.12,
        };
        Cover {
            base,
            shore: match scene {
                Setting::Lake | Setting::River if self.chance(0.45) => {
                    Some((self.pick(&[(Class::Sand, 3), (Class::Dirt, 2)]), self.within(0.25, 0.8)))
                }
                _ => None,
            },
            strip,
            patches,
            flowers: self.chance(blooms).then(|| self.within(0.25, 0.6)),
            offset: self.offset(),
        }
    }

    fn stones(&mut self, scene: Setting) -> Vec<Stone> {
        let share =
            if matches!(scene, Setting::Coast | Setting::Badlands | Setting::Desert) { 0.9 } else { 0.55 };
        if !self.chance(share) {
            return Vec::new();
        }
        let many = self.count(2, 12);
        let big = if self.chance(0.45) { 2.6 } else { 1.2 };
        // Boulders lie in company.
        let middle = self.within(-0.5, 0.5);
        (0..many)
            .map(|_| {
                let z = 4.0 * self.within(0.0, 1.0).exp2() * self.within(1.0, 1.8);
                let x = (middle + self.within(-0.4, 0.4)) * z;
                let radius = big * self.within(0.12, 0.55);
                Stone { foot: Vec3::new(x, 0.0, z), radius, seed: self.0.random() }
            })
            .collect()
    }

    fn plants(&mut self, scene: Setting) -> Vec<Plant> {
        let mut plants = Vec::new();
        let cold = scene == Setting::Snowfield;
        let bare = matches!(scene, Setting::Desert | Setting::Badlands);
        let kinds = [
            (Species::Broadleaf, if cold { 1 } else { 5 }),
            (Species::Conifer, if bare { 1 } else { 5 }),
            (Species::Poplar, 1),
            (Species::Bush, if bare { 5 } else { 1 }),
        ];
        let common = self.pick(&kinds);
        if self.chance(if bare { 0.25 } else { 0.72 }) {
            for _ in 0..self.count(1, 3) {
                self.wood(&mut plants, common, scene);
            }
        }
        if self.chance(if bare { 0.5 } else { 0.68 }) {
            for _ in 0..self.count(1, 5) {
                let species = if self.chance(0.6) { common } else { self.pick(&kinds) };
                let z = self.within(1.6, 4.6).exp2() + 2.0;
                let x = self.within(-0.55, 0.55) * z;
                plants.push(self.plant(species, x, z));
            }
        }
        plants
    }

    /// A stand of trees at some distance.
    fn wood(&mut self, plants: &mut Vec<Plant>, common: Species, scene: Setting) {
        let nearest = if scene == Setting::Lake { 26.0 } else { 16.0 };
        let z = self.within(nearest, 60.0);
        let (middle, width) = (self.within(-0.5, 0.5), self.within(0.12, 0.9));
        let species = if common == Species::Bush { Species::Broadleaf } else { common };
        for _ in 0..self.count(25, 130) {
            let z = z * self.within(0.85, 1.25);
            let x = (middle + width * (self.within(-0.5, 0.5) + self.within(-0.5, 0.5))) * z;
            let species = if self.chance(0.85) { species } else { Species::Bush };
            plants.push(self.plant(species, x, z));
        }
    }

    fn plant(&mut self, species: Species, x: f32, z: f32) -> Plant {
        let (low, high) = match species {
            Species::Broadleaf => (2.2, 4.2),
            Species::Conifer => (2.4, 5.4),
            Species::Poplar => (3.0, 5.6),
            Species::Bush => (0.4, 1.0),
        };
        let height = self.within(low, high);
        Plant { species, foot: Vec3::new(x, 0.0, z), height, seed: self.0.random() }
    }
}
