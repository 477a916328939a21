//! The tensors that captured work reads and writes: they lie at the same addresses for every batch.

use candle_core::{DType, Result, Tensor};
use spadework_model::Grid;

use super::capacity::Capacity;
use crate::gpu::{batch::Batch, operators::Operators};

/// What a network's tensors are like, but for the number of images and rows.
pub(super) struct Shapes {
    /// The type that the network computes in.
    pub(super) dtype: DType,
    /// The first map's resolution and channels.
    pub(super) start: (Grid, usize),
    /// The resolutions that blocks run at.
    pub(super) levels: Vec<Grid>,
    /// Each block's resolution, as a place among `levels`, and the columns of its layers' tables.
    pub(super) blocks: Vec<(usize, Vec<usize>)>,
    /// The noise planes of each block, or none.
    pub(super) noise: Vec<Grid>,
    /// The image's size.
    pub(super) image: Grid,
}

/// Memory for all batches that find capacity.
pub(super) struct Memory {
    capacity: Capacity,
    all: Batch,
}

impl Shapes {
    /// The cells of each resolution.
    pub(super) fn cells(&self) -> Vec<usize> {
        self.levels.iter().map(|grid| grid.height * grid.width).collect()
    }
}

impl Memory {
    pub(super) fn new(operators: &dyn Operators, shapes: &Shapes, capacity: Capacity) -> Result<Self> {
        let n = capacity.images;
        let planes = |grids: &[Grid], dtype: DType| -> Result<Vec<Tensor>> {
            grids.iter().map(|grid| operators.blank(&[n, grid.height, grid.width], dtype)).collect()
        };
        let tables = shapes.blocks.iter().map(|(level, columns)| {
            columns
                .iter()
                .map(|&columns| operators.blank(&[capacity.rows[*level], columns], shapes.dtype))
                .collect()
        });
        let (start, channels) = shapes.start;
        let Grid { height, width } = shapes.image;
        let all = Batch {
            x: operators.blank(&[n, start.height, start.width, channels], shapes.dtype)?,
            ids: planes(&shapes.levels, DType::U32)?,
            tables: tables.collect::<Result<_>>()?,
            noise: planes(&shapes.noise, DType::F32)?,
            images: operators.blank(&[n, height, width, 3], DType::U8)?,
        };
        Ok(Self { capacity, all })
    }

    pub(super) fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// The part of a batch of so many images.
    pub(super) fn of(&self, images: usize) -> Result<Batch> {
        let first = |tensor: &Tensor| tensor.narrow(0, 0, images);
        let all = &self.all;
        Ok(Batch {
            x: first(&all.x)?,
            ids: all.ids.iter().map(first).collect::<Result<_>>()?,
            tables: all.tables.clone(),
            noise: all.noise.iter().map(first).collect::<Result<_>>()?,
            images: first(&all.images)?,
        })
    }
}
