//! Landscapes made from label maps as people paint them: the map comes first, and the image is drawn into its regions,
//! so that mask and image agree.

mod canvas;
mod cloud;
mod composition;
mod crown;
mod rock;
mod shape;

use std::collections::BTreeMap;

use glam::Vec2;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::camera::{Camera, GRID, SAMPLES, SIDE};
use crate::class::Class;
use crate::clouds;
use crate::draw::Draw;
use crate::field::Field;
use crate::form::Form;
use crate::grass;
use crate::noise::Noise;
use crate::relief;
use crate::scene::{Caster, Land, Scene};
use crate::surface::{Cell, Surface};
use canvas::{Canvas, Kind, Region};
use composition::Painter;
use crown::Trees;

/// Stream of the layout's seed.
const STREAM: u64 = 5;
/// Distances between which land stands that rises.
const FORMS: (f32, f32) = (24.0, 110.0);
/// How fast painted water gets deep, beside the sea's: ponds have narrow shallows.
const SHELVING: f32 = 4.0;
/// Distances between which trees and rocks stand.
const THINGS: (f32, f32) = (4.0, 60.0);

/// The landscape of a seed, and its label map.
pub(crate) fn draw(seed: u64) -> (Scene, Vec<u8>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(STREAM);
    let noise = Noise::new(&mut random);
    let mut random = Draw(random);
    let horizon = random.within(0.3, 0.68) * SIDE as f32;
    let camera = Camera {
        horizon: horizon * SAMPLES as f32,
        focal: 240.0 * SAMPLES as f32,
        height: random.within(1.7, 3.0),
    };
    let mut painter = Painter { random: &mut random, canvas: Canvas::new(), horizon };
    painter.paint();
    let canvas = painter.canvas;
    let mut image = Image::new(noise, camera, canvas);
    image.land();
    image.clouds();
    grass::draw(&camera, &mut random.0, &mut image.surface);
    image.standing(&mut random.0);
    image.finish()
}

/// An image being drawn into a canvas' regions.
struct Image {
    noise: Noise,
    camera: Camera,
    canvas: Canvas,
    /// Of the regions that are seen and need one.
    fields: BTreeMap<usize, Field>,
    /// The last row that shows each region, in cells.
    feet: Vec<usize>,
    /// Each region's camera: one that rises above the horizon leans back.
    cameras: Vec<Camera>,
    forms: BTreeMap<usize, Form>,
    casters: Vec<Caster>,
    surface: Surface,
}

impl Image {
    fn new(noise: Noise, camera: Camera, canvas: Canvas) -> Self {
        let count = canvas.regions.len();
        let (mut tops, mut feet) = (vec![GRID; count], vec![0; count]);
        for (i, &owner) in canvas.owner.iter().enumerate() {
            let (owner, row) = (usize::from(owner), i / GRID);
            tops[owner] = tops[owner].min(row);
            feet[owner] = row;
        }
        let lean = |top: usize| Camera { horizon: camera.horizon.min(top as f32 - 12.0), ..camera };
        let cameras = tops.into_iter().map(lean).collect();
        let needed = |region: &Region| match region.kind {
            Kind::Sky | Kind::Cloud => false,
            Kind::Flat => region.class.is_water(),
            Kind::Form | Kind::Rock | Kind::Trees(_) => true,
        };
        let fields = (0..count)
            .filter(|&id| needed(&canvas.regions[id]) && canvas.owner.contains(&(id as u8)))
            .filter_map(|id| Some((id, Field::of(&canvas.covered(id))?)))
            .collect();
        let (forms, casters, surface) = (BTreeMap::new(), Vec::new(), Surface::clear());
        Self { noise, camera, canvas, fields, feet, cameras, forms, casters, surface }
    }

    /// The distance of something that stands on a region's last row.
    fn depth(&self, id: usize, (near, far): (f32, f32)) -> f32 {
        self.camera.ground(self.feet[id] as f32).clamp(near, far)
    }

    /// Sky, mountains, ground and water, behind everything that stands on it.
    fn land(&mut self) {
        for (&id, field) in &self.fields {
            let Region { class, kind, .. } = self.canvas.regions[id];
            if kind == Kind::Form {
                let mut form = Form::new(&self.noise, field, class, self.depth(id, FORMS));
                form.shows(|cell| usize::from(self.canvas.owner[cell]) == id);
                self.forms.insert(id, form);
            }
        }
        let mut surface = Surface::clear();
        let behind = &self.canvas.behind;
        relief::fill(
            &mut surface,
            |block| block.iter().any(|&cell| behind[cell] != 0),
            |block| {
                let same = block.iter().all(|&cell| behind[cell] == behind[block[0]]);
                let (x, y) = ((block[0] % GRID) as f32 + 0.5, (block[0] / GRID) as f32 + 0.5);
                same.then(|| self.cell(usize::from(behind[block[0]]), x, y)).flatten()
            },
            |at| self.cell(usize::from(behind[at]), (at % GRID) as f32, (at / GRID) as f32),
        );
        self.surface = surface;
    }

    /// What a region of land shows at a place of the grid.
    fn cell(&self, id: usize, x: f32, y: f32) -> Option<Cell> {
        let Region { class, kind, .. } = self.canvas.regions[id];
        if kind == Kind::Form {
            return self.forms.get(&id).map(|form| form.cell(x as usize, y as usize));
        }
        if kind != Kind::Flat {
            return None;
        }
        let camera = &self.cameras[id];
        let z = camera.ground(y).min(400.0);
        let point = camera.point(x, y, z);
        if !class.is_water() {
            return Some(relief::ground(&self.noise, camera, class, point));
        }
        let pixels = |v: f32| v / SAMPLES as f32;
        let shore = self.fields.get(&id).map_or(0.0, |field| field.at(pixels(x), pixels(y)));
        Some(relief::water(class, z, SHELVING * shore.max(0.0) * self.camera.footprint(z)))
    }

    fn clouds(&mut self) {
        let cloudy = |region: &Region| region.kind == Kind::Cloud;
        // One field for all, between cloud and clear sky: where two clouds meet there is no gap, and where a mountain hides
        // cloud or sky there is no edge.
        let Some(any) = self.canvas.regions.iter().position(cloudy) else { return };
        let Some(field) = Field::between(&self.canvas.covered(any), &self.canvas.covered(0)) else { return };
        let densities: Vec<f32> = (0..SIDE * SIDE)
            .map(|i| cloud::density(&self.noise, &field, (i % SIDE) as f32, (i / SIDE) as f32))
            .collect();
        let density = |x: usize, y: usize| densities[y.min(SIDE - 1) * SIDE + x.min(SIDE - 1)];
        clouds::paint(&mut self.surface, SIDE, density, Cell::is_open_sky);
    }

    /// Trees and rocks, with their shadows.
    fn standing(&mut self, random: &mut ChaCha8Rng) {
        for (&id, field) in &self.fields {
            let kind = self.canvas.regions[id].kind;
            let depth = self.depth(id, THINGS);
            match kind {
                Kind::Trees(growth) => {
                    let random = Draw(ChaCha8Rng::seed_from_u64(random.random()));
                    let mut trees =
                        Trees { noise: &self.noise, field, depth, random, surface: &mut self.surface };
                    trees.draw(growth);
                }
                Kind::Rock => {
                    for i in self.canvas.regions[id].cells.iter().map(|&cell| cell as usize) {
                        let at = Vec2::new((i % GRID) as f32, (i / GRID) as f32) / SAMPLES as f32;
                        *self.surface.at_mut(i % GRID, i / GRID) = rock::cell(&self.noise, field, depth, at);
                    }
                }
                _ => continue,
            }
            let (low, high) = (field.low * SAMPLES as f32, (field.high + 1.0) * SAMPLES as f32);
            let foot = self.camera.point((low.x + high.x) / 2.0, high.y, depth);
            let unit = 1.0 / self.camera.scale(depth);
            self.casters.push(Caster {
                foot,
                spread: 0.5 * (high.x - low.x) * unit,
                height: (high.y - low.y) * unit,
            });
        }
    }

    fn finish(self) -> (Scene, Vec<u8>) {
        let class = |cell: usize| self.canvas.regions[usize::from(self.canvas.owner[cell])].class;
        let labels =
            (0..SIDE * SIDE).map(|i| most_painted(Surface::block(i % SIDE, i / SIDE).map(class)).id());
        let labels = labels.collect();
        let land = Land::Forms(self.forms.into_values().collect());
        let Self { camera, noise, casters, surface, .. } = self;
        (Scene { camera, noise, land, casters, surface }, labels)
    }
}

/// The class that most of a pixel's cells have; of two, the last painted is as good as the other.
fn most_painted(classes: [Class; 4]) -> Class {
    let count = |class: Class| classes.iter().filter(|other| **other == class).count();
    classes.into_iter().max_by_key(|class| count(*class)).unwrap_or(Class::Sky)
}
