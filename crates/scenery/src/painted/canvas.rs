//! A label map being painted: regions over one another, the last on top.

use glam::Vec2;

use super::crown::Growth;
use super::shape::Shape;
use crate::camera::{GRID, SAMPLES};
use crate::class::Class;

/// What a region is an image of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sky,
    Cloud,
    /// Ground or water.
    Flat,
    /// Land that rises.
    Form,
    Rock,
    Trees(Growth),
}

/// Everything painted in one go with one class.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) class: Class,
    pub(super) kind: Kind,
    /// The cells of something that has a form of its own, the hidden ones too.
    pub(super) cells: Vec<u32>,
}

/// The regions, and which of them each cell of the grid shows.
pub(super) struct Canvas {
    pub(super) regions: Vec<Region>,
    /// Without trees and rocks: what lies behind them.
    pub(super) behind: Vec<u8>,
    /// With everything.
    pub(super) owner: Vec<u8>,
}

impl Canvas {
    /// Sky everywhere.
    pub(super) fn new() -> Self {
        let sky = Region { class: Class::Sky, kind: Kind::Sky, cells: Vec::new() };
        Self { regions: vec![sky], behind: vec![0; GRID * GRID], owner: vec![0; GRID * GRID] }
    }

    /// Paints shapes as one region, if there is a colour left for it.
    pub(super) fn paint(&mut self, class: Class, kind: Kind, shapes: &[Shape]) {
        let Ok(id) = u8::try_from(self.regions.len()) else { return };
        let stands = matches!(kind, Kind::Rock | Kind::Trees(_));
        let formed = stands || kind == Kind::Form;
        let mut cells = Vec::new();
        for shape in shapes {
            shape.cells(|cell| {
                self.owner[cell] = id;
                if formed {
                    cells.push(cell as u32);
                }
                if !stands {
                    self.behind[cell] = id;
                }
            });
        }
        self.regions.push(Region { class, kind, cells });
    }

    /// The class at a pixel, which may lie outside.
    pub(super) fn class(&self, at: Vec2) -> Class {
        let cell = |v: f32| ((v * SAMPLES as f32).max(0.0) as usize).min(GRID - 1);
        self.regions[usize::from(self.owner[cell(at.y) * GRID + cell(at.x)])].class
    }

    /// The cells that a region's image spreads over. Things are whole behind what hides them, and water lies under
    /// what stands in it.
    pub(super) fn covered(&self, id: usize) -> Vec<bool> {
        let region = &self.regions[id];
        let kind = |owner: u8| self.regions[usize::from(owner)].kind;
        match region.kind {
            Kind::Cloud => self.behind.iter().map(|&owner| kind(owner) == Kind::Cloud).collect(),
            Kind::Flat | Kind::Sky => self.behind.iter().map(|&owner| usize::from(owner) == id).collect(),
            Kind::Form | Kind::Rock | Kind::Trees(_) => {
                let mut covered = vec![false; GRID * GRID];
                region.cells.iter().for_each(|&cell| covered[cell as usize] = true);
                covered
            }
        }
    }
}
