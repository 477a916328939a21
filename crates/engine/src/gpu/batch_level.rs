//! One resolution of a batch of masks, each mask once.

use candle_core::{Result, Tensor};
use spadework_model::Grid;

use super::operators::Operators;
use crate::plan::level::{Level, NO_PATCH};

/// Several masks' levels as one: their patches and neighbourhoods one mask after the other, numbered through.
///
/// What different masks have in common is not looked for: it would save the device a part of its tables, and cost the
/// thread that feeds it many times what the whole batch takes there.
pub(crate) struct BatchLevel<'a> {
    grid: Grid,
    /// k².
    area: usize,
    masks: Vec<Mask<'a>>,
    /// The mask of every image.
    images: Vec<usize>,
    patches: usize,
    rows: usize,
}

/// A mask's level, and what lies before it.
struct Mask<'a> {
    level: &'a Level,
    patches: usize,
    rows: usize,
}

impl<'a> BatchLevel<'a> {
    /// The levels of a batch, in its order; `kernel` is the side of a patch.
    pub(crate) fn new(levels: &[&'a Level], kernel: usize) -> Self {
        let (grid, area) = (levels[0].grid, kernel * kernel);
        let mut batch = Self { grid, area, masks: Vec::new(), images: Vec::new(), patches: 0, rows: 0 };
        for &level in levels {
            // Images of one mask come with the same plan.
            let known = batch.masks.iter().position(|mask| std::ptr::eq(mask.level, level));
            batch.images.push(known.unwrap_or(batch.masks.len()));
            if known.is_none() {
                batch.masks.push(Mask { level, patches: batch.patches, rows: batch.rows });
                batch.patches += level.patches.len() / area;
                batch.rows += level.len();
            }
        }
        batch
    }

    /// Its neighbourhoods, each a row of a table.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// As tensors, with the patches as the rows that a [`Lookup`](super::lookup::Lookup) of `codes` codes reads.
    pub(super) fn upload(&self, operators: &dyn Operators, codes: usize) -> Result<DeviceLevel> {
        let Grid { height, width } = self.grid;
        let (patches, taps) = (self.patches * self.area, self.rows * self.area);
        let ids = self.images.len() * height * width;
        let all = operators.upload(patches + taps + ids, &mut |out| self.write(codes, out))?;
        Ok(DeviceLevel {
            patches: all.narrow(0, 0, patches)?.reshape((self.patches, self.area))?,
            taps: all.narrow(0, patches, taps)?.reshape((self.rows, self.area))?,
            ids: all.narrow(0, patches + taps, ids)?.reshape((self.images.len(), height, width))?,
        })
    }

    /// Lookup rows, taps and ids, from the first number to the last: the memory may be slow to go back in.
    fn write(&self, codes: usize, out: &mut [u32]) {
        let mut rest = out;
        for Mask { level, .. } in &self.masks {
            fill(&mut rest, lookup_rows(&level.patches, self.area, codes));
        }
        let none = self.patches as u32;
        for Mask { level, patches, .. } in &self.masks {
            let first = *patches as u32;
            fill(&mut rest, level.taps.iter().map(|&tap| if tap == NO_PATCH { none } else { first + tap }));
        }
        for &mask in &self.images {
            let Mask { level, rows, .. } = &self.masks[mask];
            let first = *rows as u32;
            fill(&mut rest, level.ids.iter().map(|&id| first + id));
        }
    }
}

/// Writes `values` to the front of `rest`, and leaves what is behind them.
fn fill(rest: &mut &mut [u32], values: impl ExactSizeIterator<Item = u32>) {
    let (front, behind) = std::mem::take(rest).split_at_mut(values.len());
    front.iter_mut().zip(values).for_each(|(place, value)| *place = value);
    *rest = behind;
}

/// A [`BatchLevel`] on a device.
pub(super) struct DeviceLevel {
    /// The rows of a lookup that each patch adds up, (patches, k²).
    pub(super) patches: Tensor,
    /// The patches that each neighbourhood sees, (neighbourhoods, k²); the number of patches stands for none.
    pub(super) taps: Tensor,
    /// The neighbourhood of every cell, (N, H, W).
    pub(super) ids: Tensor,
}

impl DeviceLevel {
    /// Its neighbourhoods, each a row of a table.
    pub(super) fn rows(&self) -> Result<usize> {
        self.taps.dim(0)
    }
}

/// The rows of a lookup's weights that belong to patches of `area` codes: one for each tap and code.
pub(super) fn lookup_rows(
    patches: &[u16],
    area: usize,
    codes: usize,
) -> impl ExactSizeIterator<Item = u32> + '_ {
    patches.iter().enumerate().map(move |(i, &code)| (i % area * codes) as u32 + u32::from(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::codes::CodeMap;
    use proptest::prelude::*;

    const CODES: usize = 8;

    fn level(seed: &[u8], side: usize) -> Level {
        Level::new(&CodeMap::new(Grid { height: 6, width: 6 }, &seed[..36], None), side)
    }

    /// The numbers of a batch, as they go to a device.
    fn written(batch: &BatchLevel<'_>) -> Vec<u32> {
        let mut out = vec![0; (batch.patches + batch.rows) * batch.area + batch.images.len() * 36];
        batch.write(CODES, &mut out);
        out
    }

    /// The lookup rows of all patches that the neighbourhood of `cell` of image `index` sees.
    fn seen(batch: &BatchLevel<'_>, index: usize, cell: usize) -> Vec<Option<Vec<u32>>> {
        let (all, area) = (written(batch), batch.area);
        let (patches, taps) = all.split_at(batch.patches * area);
        let (taps, ids) = taps.split_at(batch.rows * area);
        let id = ids[index * 36 + cell] as usize;
        let rows = |&tap: &u32| patches.chunks(area).nth(tap as usize).map(<[u32]>::to_vec);
        taps[id * area..(id + 1) * area].iter().map(rows).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn every_cell_of_a_batch_sees_what_it_sees_alone_and_no_mask_is_there_twice(
            seeds in prop::collection::vec(prop::collection::vec(0u8..2, 36), 1..4),
            again in 0usize..4,
            side in prop::sample::select(vec![1usize, 3]),
        ) {
            let masks: Vec<Level> = seeds.iter().map(|seed| level(seed, side)).collect();
            let mut levels: Vec<&Level> = masks.iter().collect();
            levels.push(&masks[again % masks.len()]);
            let batch = BatchLevel::new(&levels, side);
            for (index, level) in levels.iter().enumerate() {
                let alone = BatchLevel::new(&[level], side);
                for cell in 0..36 {
                    prop_assert_eq!(seen(&batch, index, cell), seen(&alone, 0, cell));
                }
            }
            prop_assert_eq!(batch.rows, masks.iter().map(Level::len).sum::<usize>());
        }
    }

    #[test]
    fn every_tap_has_rows_of_its_own() {
        let rows: Vec<u32> = lookup_rows(&[5, 0, 3, 1], 2, 10).collect();
        assert_eq!(rows, [5, 10, 3, 11]);
    }
}
