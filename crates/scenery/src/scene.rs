//! What light falls on: a surface, and what stands in the sun's way.

use glam::Vec3;

use crate::camera::Camera;
use crate::form::Form;
use crate::noise::Noise;
use crate::surface::Surface;
use crate::terrain::Terrain;

/// A landscape before any light.
pub(crate) struct Scene {
    pub(crate) camera: Camera,
    pub(crate) noise: Noise,
    pub(crate) land: Land,
    /// What stands on the ground.
    pub(crate) casters: Vec<Caster>,
    pub(crate) surface: Surface,
}

/// The land, as far as it shades itself.
pub(crate) enum Land {
    /// A height field that rays are cast over.
    Terrain(Terrain),
    /// Painted mountains, each with a height field of its own.
    Forms(Vec<Form>),
}

/// Something that keeps the sun from the ground around its foot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caster {
    pub(crate) foot: Vec3,
    /// Half its width.
    pub(crate) spread: f32,
    pub(crate) height: f32,
}
