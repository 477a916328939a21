//! Everything that gamma and beta depend on at one resolution: two k×k convs see (2k−1)×(2k−1) codes of a pixel.

use std::collections::HashMap;

use spadework_model::{Grid, nearest_index};

use super::{
    codes::CodeMap,
    patches::{Patches, distinct_patches},
};

/// A tap that lies outside the map, where the second conv reads a zero.
pub const NO_PATCH: u32 = u32::MAX;

/// The distinct neighbourhoods of one resolution.
///
/// A *patch* is a k×k window, what the first conv sees. A *neighbourhood* is a (2k−1)×(2k−1) window, what both see; it
/// is told by the patches at its k² inner cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Resolution of the layers that read this level.
    pub grid: Grid,
    /// Codes of the distinct patches, k² each.
    pub patches: Vec<u16>,
    /// The k² patches of every distinct neighbourhood, [`NO_PATCH`] outside the map.
    pub taps: Vec<u32>,
    /// The (2k−1)² codes of every distinct neighbourhood: what it is, whatever mask it came from.
    pub windows: Vec<u16>,
    /// The neighbourhood of every cell of `grid`.
    pub ids: Vec<u32>,
    /// Taps of the second conv, k².
    area: usize,
}

/// Some neighbourhoods of a level, with the patches they see numbered among themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Portion {
    /// The neighbourhoods.
    pub(crate) rows: Vec<u32>,
    /// The distinct patches they see.
    pub(crate) patches: Vec<u32>,
    /// The k² patches of every neighbourhood, as indices into `patches`, or [`NO_PATCH`].
    pub(crate) taps: Vec<u32>,
}

impl Level {
    /// About how many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.patches[..])
            + size_of_val(&self.taps[..])
            + size_of_val(&self.windows[..])
            + size_of_val(&self.ids[..])
    }

    /// Neighbourhoods of `map` for layers at `map`'s own resolution.
    pub fn new(map: &CodeMap, side: usize) -> Self {
        Self::sampled(map, side, map.grid)
    }

    /// Neighbourhoods of `map` at those of its cells that nearest resizing to `grid` reads.
    ///
    /// This is what a layer sees when gamma and beta are predicted at `map`'s resolution and then resized.
    pub fn sampled(map: &CodeMap, side: usize, grid: Grid) -> Self {
        let patches = distinct_patches(map, side);
        let rows: Vec<usize> =
            (0..grid.height).map(|y| nearest_index(y, map.grid.height, grid.height)).collect();
        let columns: Vec<usize> =
            (0..grid.width).map(|x| nearest_index(x, map.grid.width, grid.width)).collect();
        let neighbours = Neighbours::new(map.grid, &patches, side);
        let windows = map.padded(side - 1);

        let mut numbers: HashMap<Box<[u32]>, u32> = HashMap::new();
        let mut level = Self {
            grid,
            patches: Vec::new(),
            taps: Vec::new(),
            windows: Vec::new(),
            ids: Vec::new(),
            area: side * side,
        };
        level.ids.reserve(grid.height * grid.width);
        let mut taps = vec![NO_PATCH; side * side];
        let mut last: Option<(Vec<u32>, u32)> = None;
        for &y in &rows {
            for &x in &columns {
                neighbours.read(y, x, &mut taps);
                let id = match &last {
                    Some((seen, id)) if *seen == taps => *id,
                    _ => match numbers.get(taps.as_slice()) {
                        Some(&id) => id,
                        None => {
                            let id = numbers.len() as u32;
                            numbers.insert(taps.as_slice().into(), id);
                            level.taps.extend_from_slice(&taps);
                            level.push_window(&windows, 2 * side - 1, y, x);
                            id
                        }
                    },
                };
                match &mut last {
                    Some((seen, last_id)) => {
                        seen.copy_from_slice(&taps);
                        *last_id = id;
                    }
                    None => last = Some((taps.clone(), id)),
                }
                level.ids.push(id);
            }
        }
        level.patches = patches.codes;
        level
    }

    /// Codes of a patch, and patches of a neighbourhood: k².
    pub(crate) fn area(&self) -> usize {
        self.area
    }

    /// Number of distinct neighbourhoods.
    pub fn len(&self) -> usize {
        self.taps.len() / self.area
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.taps.is_empty()
    }

    /// The neighbourhoods `rows` in portions that see at most `most` distinct patches each, or one neighbourhood.
    pub(crate) fn portions(&self, rows: impl Iterator<Item = u32>, most: usize) -> Vec<Portion> {
        let mut portions = Vec::new();
        let mut portion = Portion::default();
        let mut local: HashMap<u32, u32> = HashMap::new();
        for row in rows {
            let taps = &self.taps[row as usize * self.area..(row as usize + 1) * self.area];
            if local.len() + self.area > most && !portion.rows.is_empty() {
                portions.push(std::mem::take(&mut portion));
                local.clear();
            }
            portion.rows.push(row);
            for &patch in taps {
                let next = local.len() as u32;
                portion.taps.push(match patch {
                    NO_PATCH => NO_PATCH,
                    _ => *local.entry(patch).or_insert_with(|| {
                        portion.patches.push(patch);
                        next
                    }),
                });
            }
        }
        portions.extend((!portion.rows.is_empty()).then_some(portion));
        portions
    }

    fn push_window(&mut self, padded: &CodeMap, extent: usize, y: usize, x: usize) {
        for row in 0..extent {
            let start = (y + row) * padded.grid.width + x;
            self.windows.extend_from_slice(&padded.codes[start..start + extent]);
        }
    }
}

/// The patch ids of a map inside a border of [`NO_PATCH`].
struct Neighbours {
    width: usize,
    side: usize,
    ids: Vec<u32>,
}

impl Neighbours {
    fn new(grid: Grid, patches: &Patches, side: usize) -> Self {
        let margin = side / 2;
        let width = grid.width + 2 * margin;
        let mut ids = vec![NO_PATCH; (grid.height + 2 * margin) * width];
        for (y, row) in patches.ids.chunks_exact(grid.width).enumerate() {
            let start = (y + margin) * width + margin;
            ids[start..start + row.len()].copy_from_slice(row);
        }
        Self { width, side, ids }
    }

    fn read(&self, y: usize, x: usize, taps: &mut [u32]) {
        for (row, taps) in taps.chunks_exact_mut(self.side).enumerate() {
            let start = (y + row) * self.width + x;
            taps.copy_from_slice(&self.ids[start..start + self.side]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(height: usize, width: usize, seed: &[u8]) -> CodeMap {
        CodeMap::new(Grid { height, width }, &seed[..height * width], None)
    }

    proptest! {
        #[test]
        fn a_neighbourhood_is_its_window_and_its_taps_are_the_patches_in_it(
            (height, width, side) in (1usize..8, 1usize..8, prop::sample::select(vec![1usize, 3, 5])),
            seed in prop::collection::vec(0u8..3, 64),
        ) {
            let map = map(height, width, &seed);
            let level = Level::new(&map, side);
            let (extent, area) = (2 * side - 1, side * side);
            for cell in 0..height * width {
                let id = level.ids[cell] as usize;
                let window = &level.windows[id * extent * extent..(id + 1) * extent * extent];
                let padded = map.padded(side - 1);
                for (i, &code) in window.iter().enumerate() {
                    let (y, x) = (cell / width + i / extent, cell % width + i % extent);
                    prop_assert_eq!(code, padded.codes[y * padded.grid.width + x]);
                }
                for (tap, &patch) in level.taps[id * area..(id + 1) * area].iter().enumerate() {
                    let (row, column) = (tap / side, tap % side);
                    let (y, x) = (cell / width + row, cell % width + column);
                    let margin = side / 2;
                    let inside = (margin..height + margin).contains(&y) && (margin..width + margin).contains(&x);
                    prop_assert_eq!(inside, patch != NO_PATCH);
                    if inside {
                        let codes = &level.patches[patch as usize * area..(patch as usize + 1) * area];
                        for (i, &code) in codes.iter().enumerate() {
                            prop_assert_eq!(code, window[(row + i / side) * extent + column + i % side]);
                        }
                    }
                }
            }
            prop_assert_eq!(level.len(), level.ids.iter().max().map_or(0, |&id| id as usize + 1));
        }

        #[test]
        fn portions_cover_the_rows_and_see_the_same_patches(
            seed in prop::collection::vec(0u8..3, 64),
            most in 1usize..40,
        ) {
            let level = Level::new(&map(8, 8, &seed), 3);
            let portions = level.portions(0..level.len() as u32, most);
            let rows: Vec<u32> = portions.iter().flat_map(|portion| portion.rows.clone()).collect();
            prop_assert_eq!(rows, (0..level.len() as u32).collect::<Vec<_>>());
            let taps = portions.iter().flat_map(|portion| {
                let patch = |&tap: &u32| if tap == NO_PATCH { tap } else { portion.patches[tap as usize] };
                portion.taps.iter().map(patch)
            });
            prop_assert_eq!(&taps.collect::<Vec<_>>(), &level.taps);
            prop_assert!(portions.iter().all(|part| part.patches.len() <= most || part.rows.len() == 1));
        }

        #[test]
        fn a_sampled_level_keeps_the_neighbourhoods_of_the_full_map(
            seed in prop::collection::vec(0u8..3, 64),
            (height, width) in (1usize..8, 1usize..8),
        ) {
            let map = map(8, 8, &seed);
            let full = Level::new(&map, 3);
            let level = Level::sampled(&map, 3, Grid { height, width });
            for cell in 0..height * width {
                let (y, x) = (nearest_index(cell / width, 8, height), nearest_index(cell % width, 8, width));
                let (id, from) = (level.ids[cell] as usize, full.ids[y * 8 + x] as usize);
                prop_assert_eq!(&level.windows[id * 25..(id + 1) * 25], &full.windows[from * 25..(from + 1) * 25]);
            }
        }
    }
}
