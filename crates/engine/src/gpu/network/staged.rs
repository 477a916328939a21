//! A batch in two stages: all that depends on the masks first, then work that depends on the number of images alone.

use candle_core::{Result, bail};
use spadework_model::Grid;

use super::Network;
use crate::{
    EngineError, Input,
    gpu::{batch::Batch, batch_level::BatchLevel, spade::Spade},
};

impl Network {
    /// Puts into a batch's memory all that [`work`](Self::work) reads. `levels` are its [`batch_levels`](Self::batch_levels).
    pub(in crate::gpu) fn prepare(
        &self,
        inputs: &[Input],
        levels: &[BatchLevel<'_>],
        batch: &Batch,
    ) -> std::result::Result<(), EngineError> {
        let operators = &*self.operators;
        batch.x.slice_set(&self.start.run(operators, inputs, self.grid, &self.target)?, 0, 0)?;
        for ((level, ids), grid) in levels.iter().zip(&batch.ids).zip(&self.resolutions) {
            let level = level.upload(operators, self.codes)?;
            ids.slice_set(&level.ids, 0, 0)?;
            let blocks = self.blocks.iter().zip(&batch.tables);
            for ((_, block), tables) in blocks.filter(|((stage, _), _)| stage.grid == *grid) {
                for (layer, table) in block.layers().zip(tables) {
                    layer.table(operators, &level, table)?;
                }
            }
        }
        for (index, plane) in batch.noise.iter().enumerate() {
            if let Some(noise) = self.noise(inputs, index)? {
                plane.slice_set(&noise, 0, 0)?;
            }
        }
        Ok(())
    }

    /// All that is left to do for the images of a prepared batch. It can be captured: its work depends on the number of
    /// images alone.
    pub(in crate::gpu) fn work(&self, batch: &Batch) -> Result<()> {
        let operators = &*self.operators;
        let mut x = batch.x.clone();
        for (index, ((stage, block), tables)) in self.blocks.iter().zip(&batch.tables).enumerate() {
            let ids = &batch.ids[self.place(stage.grid)];
            let mut tables = tables.iter();
            let mut table = |_: &Spade| match tables.next() {
                Some(table) => Ok(table.clone()),
                None => bail!("every layer has a table"),
            };
            x = block.run(operators, ids, &mut table, &x, batch.noise.get(index))?;
        }
        operators.image(&x, &self.to_image, &batch.images)
    }

    /// A batch's levels at every resolution.
    pub(in crate::gpu) fn batch_levels<'a>(&self, inputs: &'a [Input]) -> Vec<BatchLevel<'a>> {
        let level = |grid: &Grid| BatchLevel::new(&self.levels(inputs, *grid), self.kernel);
        self.resolutions.iter().map(level).collect()
    }
}
