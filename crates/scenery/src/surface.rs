//! What each cell of the grid shows, before any light falls on it.

use glam::Vec3;

use crate::camera::{GRID, SAMPLES, SIDE};
use crate::class::Class;

/// What a surface is made of. Finer than [`Class`]: a tree has bark and leaves, a flower bed petals and grass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Material {
    Sky,
    Cloud,
    Cliff,
    Snow,
    Hill,
    Leaf,
    Needle,
    Bark,
    Grass,
    Sand,
    Sea,
    River,
    Stone,
    Dirt,
    Road,
    Petal,
}

impl Material {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Petal as usize + 1;
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cell {
    /// Its label.
    pub(crate) class: Class,
    /// Its substance.
    pub(crate) material: Material,
    /// Distance along z; infinite in the sky.
    pub(crate) depth: f32,
    /// Which way the surface faces; of unit length.
    pub(crate) normal: Vec3,
    /// From the material's dark colour at -1 to its light one at 1; in the sky, the density of cloud; in water, how far
    /// the shore is.
    pub(crate) tone: f32,
    /// Share of the sky's light that reaches it.
    pub(crate) openness: f32,
}

impl Cell {
    /// Whether nothing stands before the sky.
    pub(crate) fn is_open_sky(&self) -> bool {
        self.class.is_sky()
    }
}

/// An image's cells, row by row.
pub(crate) struct Surface {
    cells: Vec<Cell>,
}

impl Surface {
    /// Clear sky everywhere.
    pub(crate) fn clear() -> Self {
        let sky = Cell {
            class: Class::Sky,
            material: Material::Sky,
            depth: f32::INFINITY,
            normal: Vec3::Y,
            tone: 0.0,
            openness: 1.0,
        };
        Self { cells: vec![sky; GRID * GRID] }
    }

    pub(crate) fn at(&self, x: usize, y: usize) -> &Cell {
        &self.cells[y * GRID + x]
    }

    pub(crate) fn at_mut(&mut self, x: usize, y: usize) -> &mut Cell {
        &mut self.cells[y * GRID + x]
    }

    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The cells of a pixel, by their index.
    pub(crate) fn block(x: usize, y: usize) -> [usize; SAMPLES * SAMPLES] {
        let first = SAMPLES * (y * GRID + x);
        [first, first + 1, first + GRID, first + GRID + 1]
    }

    /// The class that most of each pixel's cells show; of two that show as often, the nearer.
    pub(crate) fn classes(&self) -> Vec<u8> {
        let pixels = (0..SIDE * SIDE).map(|i| Self::block(i % SIDE, i / SIDE).map(|cell| &self.cells[cell]));
        pixels.map(|block| most_seen(&block).id()).collect()
    }

    /// Puts `cell` at a place that lies on the image and shows nothing nearer.
    pub(crate) fn cover(&mut self, x: i32, y: i32, cell: Cell) {
        let inside = |v: i32| (0..GRID as i32).contains(&v);
        if inside(x) && inside(y) {
            let old = self.at_mut(x as usize, y as usize);
            if cell.depth < old.depth * 1.01 {
                *old = cell;
            }
        }
    }
}

fn most_seen(cells: &[&Cell]) -> Class {
    let seen = |cell: &Cell| cells.iter().filter(|other| other.class == cell.class).count();
    let nearer = |a: &Cell, b: &Cell| seen(a).cmp(&seen(b)).then(b.depth.total_cmp(&a.depth));
    cells.iter().max_by(|a, b| nearer(a, b)).map_or(Class::Sky, |cell| cell.class)
}
