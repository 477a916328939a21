//! Where the world lies on the image: x to the right, y up, z away from the viewer.

use glam::Vec3;

/// Pixels on each side of an image.
pub const SIDE: usize = 256;

/// Samples on each side of a pixel: what is drawn is drawn on a finer grid, whose cells become pixels two by two.
pub(crate) const SAMPLES: usize = 2;

/// Cells on each side of what is drawn.
pub(crate) const GRID: usize = SAMPLES * SIDE;

/// A camera that looks along z, above the origin. Columns and rows are the grid's; `pixel` is the image's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Camera {
    /// The horizon's row.
    pub(crate) horizon: f32,
    /// Cells that one unit covers at distance one.
    pub(crate) focal: f32,
    /// Height of the eye above the water.
    pub(crate) height: f32,
}

/// Distance beyond which nothing stands.
pub(crate) const FAR: f32 = 260.0;

impl Camera {
    /// x over z of a column.
    pub(crate) fn column(&self, column: f32) -> f32 {
        (column + 0.5 - GRID as f32 / 2.0) / self.focal
    }

    /// Column and row of a point.
    pub(crate) fn project(&self, point: Vec3) -> (f32, f32) {
        let scale = self.scale(point.z);
        (point.x * scale + GRID as f32 / 2.0 - 0.5, self.row(point.y, point.z))
    }

    /// The row of height `y` at distance `z`.
    pub(crate) fn row(&self, y: f32, z: f32) -> f32 {
        self.horizon - self.focal * (y - self.height) / z
    }

    /// The point at distance `z` that a cell shows.
    pub(crate) fn point(&self, column: f32, row: f32, z: f32) -> Vec3 {
        Vec3::new(self.column(column) * z, self.height - (row - self.horizon) * z / self.focal, z)
    }

    /// Distance of the flat ground of height 0 in a row below the horizon.
    pub(crate) fn ground(&self, row: f32) -> f32 {
        self.height * self.focal / (row - self.horizon).max(0.5)
    }

    /// Cells that one unit covers at distance `z`.
    pub(crate) fn scale(&self, z: f32) -> f32 {
        self.focal / z
    }

    /// Width of a pixel at distance `z`.
    pub(crate) fn footprint(&self, z: f32) -> f32 {
        SAMPLES as f32 * z / self.focal
    }

    /// Length along z of flat ground that a pixel covers at distance `z`.
    pub(crate) fn ground_footprint(&self, z: f32) -> f32 {
        SAMPLES as f32 * z * z / (self.focal * self.height)
    }
}
