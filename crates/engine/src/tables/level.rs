//! One resolution of a batch of masks: their distinct patches and neighbourhoods, each once.

use std::{collections::HashMap, ops::Range};

use candle_core::{Result, Tensor};
use spadework_model::Grid;

use super::operators::Operators;
use crate::plan::level::{Level, NO_PATCH};

/// Several masks' levels as one. Cells of equal surroundings share an id, whichever mask they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchLevel {
    pub(crate) grid: Grid,
    /// Codes of the distinct patches, k² each.
    pub(crate) patches: Vec<u16>,
    /// The k² patches of every distinct neighbourhood; the number of patches stands for none.
    pub(crate) taps: Vec<u32>,
    /// The neighbourhood of every cell of every mask.
    pub(crate) ids: Vec<u32>,
    /// k².
    area: usize,
}

impl BatchLevel {
    /// The levels of a batch, in its order; `kernel` is the side of a patch.
    pub(crate) fn new(levels: &[&Level], kernel: usize) -> Self {
        let mut merge = Merge::new(kernel * kernel);
        let mut seen: Vec<(&Level, Vec<u32>)> = Vec::new();
        let mut ids = Vec::with_capacity(levels.iter().map(|level| level.ids.len()).sum());
        let distinct = levels.iter().any(|level| !std::ptr::eq(*level, levels[0]));
        for level in levels {
            // Pictures of one mask come with the same plan; nothing has to be compared.
            let known = seen.iter().position(|(other, _)| std::ptr::eq(*other, *level));
            let known = known.unwrap_or_else(|| {
                seen.push((level, if distinct { merge.add(level) } else { merge.take(level) }));
                seen.len() - 1
            });
            ids.extend(level.ids.iter().map(|&id| seen[known].1[id as usize]));
        }
        let none = (merge.patches.len() / merge.area) as u32;
        let taps = merge.taps.into_iter().map(|tap| if tap == NO_PATCH { none } else { tap });
        Self { grid: levels[0].grid, patches: merge.patches, taps: taps.collect(), ids, area: merge.area }
    }

    /// Number of distinct neighbourhoods.
    pub(crate) fn len(&self) -> usize {
        self.taps.len() / self.area
    }

    /// As tensors, with the patches as the rows that a [`Lookup`](super::lookup::Lookup) of `codes` codes reads.
    pub(super) fn upload(&self, operators: &dyn Operators, codes: usize) -> Result<DeviceLevel> {
        let rows = lookup_rows(&self.patches, self.area, codes);
        let numbers: Vec<u32> =
            rows.chain(self.taps.iter().copied()).chain(self.ids.iter().copied()).collect();
        let all = operators.upload(&numbers)?;
        let part = |range: Range<usize>| all.narrow(0, range.start, range.len());
        let (patches, taps) = (self.patches.len(), self.patches.len() + self.taps.len());
        let Grid { height, width } = self.grid;
        let pictures = self.ids.len() / (height * width);
        Ok(DeviceLevel {
            patches: part(0..patches)?.reshape((patches / self.area, self.area))?,
            taps: part(patches..taps)?.reshape((self.len(), self.area))?,
            ids: part(taps..numbers.len())?.reshape((pictures, height, width))?,
        })
    }
}

/// A [`BatchLevel`] on a device.
pub(super) struct DeviceLevel {
    /// The rows of a lookup that each patch adds up, (patches, k²).
    pub(super) patches: Tensor,
    /// The patches that each neighbourhood sees, (neighbourhoods, k²).
    pub(super) taps: Tensor,
    /// (N, H, W).
    pub(super) ids: Tensor,
}

/// The rows of a lookup's weights that belong to patches of `area` codes: one for each tap and code.
pub(super) fn lookup_rows(patches: &[u16], area: usize, codes: usize) -> impl Iterator<Item = u32> + '_ {
    patches.iter().enumerate().map(move |(i, &code)| (i % area * codes) as u32 + u32::from(code))
}

/// The distinct patches and neighbourhoods of the levels so far.
struct Merge {
    area: usize,
    patches: Vec<u16>,
    taps: Vec<u32>,
    patch_numbers: HashMap<Box<[u16]>, u32>,
    numbers: HashMap<Box<[u32]>, u32>,
}

impl Merge {
    fn new(area: usize) -> Self {
        let (patch_numbers, numbers) = (HashMap::new(), HashMap::new());
        Self { area, patches: Vec::new(), taps: Vec::new(), patch_numbers, numbers }
    }

    /// Takes the only level as it is. Answers each neighbourhood's number.
    fn take(&mut self, level: &Level) -> Vec<u32> {
        self.patches.clone_from(&level.patches);
        self.taps.clone_from(&level.taps);
        (0..level.len() as u32).collect()
    }

    /// Adds what is new in `level`. Answers each neighbourhood's number.
    fn add(&mut self, level: &Level) -> Vec<u32> {
        let patches: Vec<u32> =
            level.patches.chunks_exact(self.area).map(|codes| self.patch(codes)).collect();
        let mut taps = vec![NO_PATCH; self.area];
        let neighbourhoods = level.taps.chunks_exact(self.area);
        neighbourhoods
            .map(|local| {
                for (tap, &patch) in taps.iter_mut().zip(local) {
                    *tap = if patch == NO_PATCH { NO_PATCH } else { patches[patch as usize] };
                }
                self.neighbourhood(&taps)
            })
            .collect()
    }

    fn patch(&mut self, codes: &[u16]) -> u32 {
        let next = self.patch_numbers.len() as u32;
        if let Some(&number) = self.patch_numbers.get(codes) {
            return number;
        }
        self.patch_numbers.insert(codes.into(), next);
        self.patches.extend_from_slice(codes);
        next
    }

    fn neighbourhood(&mut self, taps: &[u32]) -> u32 {
        let next = self.numbers.len() as u32;
        if let Some(&number) = self.numbers.get(taps) {
            return number;
        }
        self.numbers.insert(taps.into(), next);
        self.taps.extend_from_slice(taps);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::codes::CodeMap;
    use proptest::prelude::*;

    fn level(seed: &[u8], side: usize) -> Level {
        Level::new(&CodeMap::new(Grid { height: 6, width: 6 }, &seed[..36], None), side)
    }

    /// The codes of all patches that a neighbourhood sees.
    fn seen(taps: &[u32], patches: &[u16], area: usize) -> Vec<Option<Vec<u16>>> {
        let codes = |&tap: &u32| {
            let start = (tap as usize).checked_mul(area)?;
            patches.get(start..start + area).map(<[u16]>::to_vec)
        };
        taps.iter().map(codes).collect()
    }

    proptest! {
        #[test]
        fn every_cell_of_a_batch_sees_what_it_sees_alone_and_nothing_is_there_twice(
            seeds in prop::collection::vec(prop::collection::vec(0u8..2, 36), 1..4),
            again in 0usize..4,
            side in prop::sample::select(vec![1usize, 3]),
        ) {
            let alone: Vec<Level> = seeds.iter().map(|seed| level(seed, side)).collect();
            let mut batch: Vec<&Level> = alone.iter().collect();
            batch.push(&alone[again % alone.len()]);
            let (merged, area) = (BatchLevel::new(&batch, side), side * side);
            for (index, level) in batch.iter().enumerate() {
                for (cell, &id) in level.ids.iter().enumerate() {
                    let (id, together) = (id as usize, merged.ids[index * 36 + cell] as usize);
                    prop_assert_eq!(
                        seen(&level.taps[id * area..(id + 1) * area], &level.patches, area),
                        seen(&merged.taps[together * area..(together + 1) * area], &merged.patches, area)
                    );
                }
            }
            let mut patches: Vec<_> = merged.patches.chunks(area).collect();
            let mut neighbourhoods: Vec<_> = merged.taps.chunks(area).collect();
            let (before, rows) = (patches.len(), neighbourhoods.len());
            patches.sort_unstable();
            patches.dedup();
            neighbourhoods.sort_unstable();
            neighbourhoods.dedup();
            prop_assert_eq!((patches.len(), neighbourhoods.len()), (before, rows));
        }
    }

    #[test]
    fn every_tap_has_rows_of_its_own() {
        let rows: Vec<u32> = lookup_rows(&[5, 0, 3, 1], 2, 10).collect();
        assert_eq!(rows, [5, 10, 3, 11]);
    }
}
