//! Where the world lies on the picture: x to the right, y up, z away from the viewer.

use glam::Vec3;

/// Pixels on each side of a picture.
pub const SIDE: usize = 256;

/// A camera that looks along z, above the origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Camera {
    /// The horizon's row.
    pub(crate) horizon: f32,
    /// Pixels that one unit covers at distance one.
    pub(crate) focal: f32,
    /// Height of the eye above the water.
    pub(crate) height: f32,
}

/// Distance beyond which nothing stands.
pub(crate) const FAR: f32 = 260.0;

impl Camera {
    /// x over z of a column.
    pub(crate) fn column(&self, column: f32) -> f32 {
        (column + 0.5 - SIDE as f32 / 2.0) / self.focal
    }

    /// Column and row of a point.
    pub(crate) fn project(&self, point: Vec3) -> (f32, f32) {
        let scale = self.focal / point.z;
        (point.x * scale + SIDE as f32 / 2.0 - 0.5, self.row(point.y, point.z))
    }

    /// The row of height `y` at distance `z`.
    pub(crate) fn row(&self, y: f32, z: f32) -> f32 {
        self.horizon - self.focal * (y - self.height) / z
    }

    /// The point at distance `z` that a pixel shows.
    pub(crate) fn point(&self, column: f32, row: f32, z: f32) -> Vec3 {
        Vec3::new(self.column(column) * z, self.height - (row - self.horizon) * z / self.focal, z)
    }

    /// Distance of the flat ground of height 0 in a row below the horizon.
    pub(crate) fn ground(&self, row: f32) -> f32 {
        self.height * self.focal / (row - self.horizon).max(0.5)
    }

    /// Width of a pixel at distance `z`.
    pub(crate) fn footprint(&self, z: f32) -> f32 {
        z / self.focal
    }

    /// Length along z of flat ground that a pixel covers at distance `z`.
    pub(crate) fn ground_footprint(&self, z: f32) -> f32 {
        z * z / (self.focal * self.height)
    }
}
