//! What the renderer knows of an image besides its labels, for networks that learn to see it.

use crate::camera::{GRID, SIDE};
use crate::light;
use crate::scene::Scene;
use crate::style::Style;
use crate::surface::{Material, Surface};

/// Substances that [`Guides::materials`] tells apart; finer than the classes.
pub const MATERIALS: usize = Material::COUNT;

/// Of each pixel, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Guides {
    /// The substance, from 0 to [`MATERIALS`].
    pub materials: Vec<u8>,
    /// Which way the surface faces: x to the right, y up, z away from the viewer; of unit length.
    pub normals: Vec<[f32; 3]>,
    /// From 1 at the viewer to 0 in the sky.
    pub nearness: Vec<f32>,
    /// The share of the sun's light that it takes: shadows and the angle of the surface.
    pub light: Vec<f32>,
}

impl Guides {
    pub(crate) fn of(scene: &Scene, style: &Style, sunlit: &[f32]) -> Self {
        let cells = (0..SIDE * SIDE).map(|i| Surface::block(i % SIDE, i / SIDE)[0]);
        let of = |at: usize| scene.surface.at(at % GRID, at / GRID);
        Self {
            materials: cells.clone().map(|at| of(at).material as u8).collect(),
            normals: cells.clone().map(|at| of(at).normal.to_array()).collect(),
            nearness: cells.clone().map(|at| 12.0 / (12.0 + of(at).depth)).collect(),
            light: cells.map(|at| light::direct(style, of(at)) * sunlit[at]).collect(),
        }
    }
}
