//! Mountains and hills under a painted outline: a height field whose skyline is the outline, with spurs that come down
//! from it towards the viewer. Lengths are pixels.

use glam::Vec3;

use crate::camera::{GRID, SIDE};
use crate::class::Class;
use crate::field::Field;
use crate::noise::{Noise, octaves, smoothstep};
use crate::style::Style;
use crate::surface::{Cell, Material, Surface};

/// Steps from the skyline to the foot.
const STEPS: usize = 56;
/// Steps of a ray towards the sun.
const RAY: usize = 13;

/// One painted mountain.
pub(crate) struct Form {
    left: usize,
    top: usize,
    columns: usize,
    rows: usize,
    /// Length along z from the skyline to the foot.
    long: f32,
    /// Height above the foot by column and step; step 0 is the skyline.
    heights: Vec<f32>,
    /// What each pixel shows, and at which step and height; row by row.
    pixels: Vec<Pixel>,
    /// Whether a pixel shows it at all.
    visible: Vec<bool>,
}

#[derive(Clone, Copy)]
struct Pixel {
    cell: Cell,
    step: f32,
    height: f32,
}

impl Form {
    /// The form of a region of `class`, at distance `depth`.
    pub(crate) fn new(noise: &Noise, field: &Field, class: Class, depth: f32) -> Self {
        let (left, top) = (field.low.x as usize, field.low.y as usize);
        let columns = field.high.x as usize + 1 - left;
        let rows = field.high.y as usize + 1 - top;
        let skyline: Vec<f32> = (0..columns)
            .map(|x| {
                let first = (0..rows).find(|&y| field.at((left + x) as f32, (top + y) as f32) > 0.0);
                rows as f32 - first.unwrap_or(rows) as f32
            })
            .collect();
        let long = if class == Class::Hill { 1.6 } else { 0.95 } * (rows as f32).max(8.0);
        let shape =
            Outline { noise, skyline: &skyline, class, long, offset: field.low.x * 0.37 + field.low.y };
        let heights =
            (0..columns * (STEPS + 1)).map(|i| shape.height(i / (STEPS + 1), i % (STEPS + 1))).collect();
        let mut form = Self {
            left,
            top,
            columns,
            rows,
            long,
            heights,
            pixels: Vec::new(),
            visible: vec![false; columns * rows],
        };
        form.pixels = form.seen(noise, class, depth);
        form
    }

    /// What it shows at a place of the grid.
    pub(crate) fn cell(&self, x: usize, y: usize) -> Cell {
        let column = (x / 2).saturating_sub(self.left).min(self.columns - 1);
        let row = (y / 2).saturating_sub(self.top).min(self.rows - 1);
        self.pixels[row * self.columns + column].cell
    }

    /// Remembers which pixels show it.
    pub(crate) fn shows(&mut self, own: impl Fn(usize) -> bool) {
        for i in 0..self.visible.len() {
            let (x, y) = (self.left + i % self.columns, self.top + i / self.columns);
            self.visible[i] = x < SIDE && y < SIDE && Surface::block(x, y).iter().all(|&cell| own(cell));
        }
    }

    /// Darkens what its own ridges keep from the sun.
    pub(crate) fn shade(&self, style: &Style, lit: &mut [f32]) {
        for (i, pixel) in self.pixels.iter().enumerate().filter(|(i, _)| self.visible[*i]) {
            let (x, y) = (i % self.columns, i / self.columns);
            let share = 1.0 - style.shadow * (1.0 - self.sunlit(style, x as f32, pixel));
            for cell in Surface::block(self.left + x, self.top + y) {
                lit[cell] = share;
            }
        }
        debug_assert_eq!(lit.len(), GRID * GRID);
    }

    fn sunlit(&self, style: &Style, x: f32, pixel: &Pixel) -> f32 {
        let (mut clear, mut reach) = (1.0f32, 2.0);
        for _ in 0..RAY {
            let step = pixel.step - style.sun.z * reach / self.long * STEPS as f32;
            let column = x + style.sun.x * reach;
            if !(0.0..=STEPS as f32).contains(&step) || !(0.0..self.columns as f32).contains(&column) {
                break;
            }
            let over = pixel.height + style.sun.y * reach - self.height(column, step);
            clear = clear.min(0.5 + over / (0.12 * reach + 1.5));
            if clear <= 0.0 {
                return 0.0;
            }
            reach *= 1.33;
        }
        smoothstep(0.0, 1.0, clear)
    }

    /// The height between columns and steps.
    fn height(&self, column: f32, step: f32) -> f32 {
        let at = |x: usize, k: usize| self.heights[x.min(self.columns - 1) * (STEPS + 1) + k.min(STEPS)];
        let (x, k) = (column.max(0.0) as usize, step.max(0.0) as usize);
        let (tx, tk) = (column.max(0.0).fract(), step.max(0.0).fract());
        let near = at(x, k) + tk * (at(x, k + 1) - at(x, k));
        let far = at(x + 1, k) + tk * (at(x + 1, k + 1) - at(x + 1, k));
        near + tx * (far - near)
    }

    /// Walks each column from the foot to the skyline.
    fn seen(&self, noise: &Noise, class: Class, depth: f32) -> Vec<Pixel> {
        let none = Pixel {
            cell: Cell {
                class,
                material: Material::Cliff,
                depth,
                normal: Vec3::NEG_Z,
                tone: 0.0,
                openness: 1.0,
            },
            step: 0.0,
            height: 0.0,
        };
        let mut pixels = vec![none; self.columns * self.rows];
        for x in 0..self.columns {
            let mut seen = 0.0f32;
            let mut last = (STEPS as f32, 0.0f32);
            for k in (0..STEPS).rev() {
                let height = self.heights[x * (STEPS + 1) + k];
                let from = last;
                last = (k as f32, height);
                if height <= seen {
                    continue;
                }
                let fresh = seen.ceil() as usize..height.ceil() as usize;
                for up in fresh.filter(|&up| up < self.rows) {
                    let share = ((up as f32 + 0.5 - from.1) / (height - from.1).max(1e-3)).clamp(0.0, 1.0);
                    let step = from.0 + share * (k as f32 - from.0);
                    let cell = self.surface(noise, class, depth, x, up as f32 + 0.5, step);
                    let row = self.rows - 1 - up;
                    pixels[row * self.columns + x] = Pixel { cell, step, height: up as f32 + 0.5 };
                }
                seen = height;
            }
            // What the walk leaves out below the skyline is the skyline's.
            for up in seen.ceil() as usize..self.rows {
                let row = self.rows - 1 - up;
                let cell = self.surface(noise, class, depth, x, up as f32 + 0.5, 0.5);
                pixels[row * self.columns + x] = Pixel { cell, step: 0.5, height: up as f32 };
            }
        }
        pixels
    }

    fn surface(&self, noise: &Noise, class: Class, depth: f32, x: usize, height: f32, step: f32) -> Cell {
        let column = x as f32;
        let east = self.height(column + 1.0, step) - self.height((column - 1.0).max(0.0), step);
        let north = self.height(column, (step - 1.0).max(0.0)) - self.height(column, step + 1.0);
        let stride = 2.0 * self.long / STEPS as f32;
        let normal = Vec3::new(-0.5 * east, 1.0, -north / stride).normalize();
        let size = (self.rows as f32).clamp(20.0, 90.0) / 9.0;
        let (u, v) = (column / size, (step * self.long / STEPS as f32 + height) / size);
        let grain = noise.fbm(u + 40.0, 0.7 * v, octaves(size, 1.0, 4.0));
        let level = height / self.rows as f32;
        let open = smoothstep(0.0, 0.5, level);
        let (material, tone, openness) = match class {
            Class::Hill => (Material::Hill, 1.2 * grain, 0.7 + 0.3 * open),
            Class::Snow if normal.y > 0.12 + 0.2 * grain => (Material::Snow, 0.4 + grain, 0.65 + 0.35 * open),
            _ => {
                let strata = noise.fbm(0.15 * u, 1.6 * v + 9.0, 2.0);
                (Material::Cliff, 0.9 * grain + 0.5 * strata, 0.55 + 0.45 * open)
            }
        };
        Cell { class, material, depth, normal, tone, openness }
    }
}

/// What a form's heights are made from.
struct Outline<'a> {
    noise: &'a Noise,
    skyline: &'a [f32],
    class: Class,
    long: f32,
    /// Where in the noise it lies.
    offset: f32,
}

impl Outline<'_> {
    fn height(&self, column: usize, step: usize) -> f32 {
        let down = step as f32 / STEPS as f32;
        let most = self.skyline.iter().copied().fold(1.0, f32::max);
        let own = self.skyline[column];
        let wave = (0.5 * most).clamp(9.0, 55.0);
        let (u, v) = (column as f32 / wave + self.offset, down * self.long / wave);
        let away = smoothstep(0.0, 0.16, down);
        // Spurs leave the skyline where it is high and wander as they come nearer.
        let wander = self.noise.fbm(0.8 * u, 0.8 * v + 3.0, 3.0) * wave * 1.5 * down.powf(0.8);
        let body = self.skyline(column as f32 + wander);
        let shaped = match self.class {
            Class::Hill => {
                let swell = self.noise.fbm(0.7 * u, 0.7 * v, 3.0);
                body * (1.0 - down * down) * (1.0 + 0.3 * away * swell)
            }
            _ => {
                let ridges = self.noise.ridged(0.85 * u + 0.3 * v, 0.6 * v, octaves(wave, 1.0, 6.0));
                let crumble = self.noise.fbm(3.1 * u + 5.0, 3.1 * v, octaves(wave / 3.0, 1.0, 4.0));
                body * (1.0 - down).powf(0.95) * (1.0 + away * (0.72 * ridges - 0.16 + 0.14 * crumble))
            }
        };
        shaped.clamp(0.0, own * (1.0 - 0.12 * down))
    }

    fn skyline(&self, column: f32) -> f32 {
        let last = self.skyline.len() - 1;
        let column = column.clamp(0.0, last as f32);
        let (left, share) = (column as usize, column.fract());
        self.skyline[left] + share * (self.skyline[(left + 1).min(last)] - self.skyline[left])
    }
}
