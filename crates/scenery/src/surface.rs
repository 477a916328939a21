//! What each pixel shows, before any light falls on it.

use glam::Vec3;

use crate::camera::SIDE;
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

/// One pixel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// Its label.
    pub(crate) class: Class,
    /// Its substance.
    pub(crate) material: Material,
    /// Distance along z; infinite in the sky.
    pub(crate) depth: f32,
    /// Which way the surface faces; of unit length.
    pub(crate) normal: Vec3,
    /// From the material's dark colour at -1 to its light one at 1; in the sky, the density of cloud.
    pub(crate) tone: f32,
    /// Share of the sky's light that reaches it.
    pub(crate) openness: f32,
}

/// A picture's cells, row by row.
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
        Self { cells: vec![sky; SIDE * SIDE] }
    }

    pub(crate) fn at(&self, x: usize, y: usize) -> &Cell {
        &self.cells[y * SIDE + x]
    }

    pub(crate) fn at_mut(&mut self, x: usize, y: usize) -> &mut Cell {
        &mut self.cells[y * SIDE + x]
    }

    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Puts `cell` at a pixel that lies on the picture and shows nothing nearer.
    pub(crate) fn cover(&mut self, x: i32, y: i32, cell: Cell) {
        let inside = |v: i32| (0..SIDE as i32).contains(&v);
        if inside(x) && inside(y) {
            let old = self.at_mut(x as usize, y as usize);
            if cell.depth < old.depth * 1.01 {
                *old = cell;
            }
        }
    }
}
