//! Everything that gamma and beta depend on at one resolution: two k×k convs see (2k−1)×(2k−1) codes of a pixel.

use spadework_model::{Grid, nearest_index};

use super::{
    codes::{CodeMap, OUTSIDE},
    windows::Windows,
};

/// A tap that lies outside the map, where the second conv reads a zero.
pub const NO_PATCH: u32 = spadework_kernels::device::NO_ROW;

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
        let all = |length: usize| (0..length).collect::<Vec<usize>>();
        let sampled =
            |from: usize, to: usize| (0..to).map(|i| nearest_index(i, from, to)).collect::<Vec<usize>>();
        let patches =
            Windows::of(&map.codes, map.grid, (side, OUTSIDE), &all(map.grid.height), &all(map.grid.width));
        let neighbourhoods = Windows::of(
            &patches.ids,
            map.grid,
            (side, NO_PATCH),
            &sampled(map.grid.height, grid.height),
            &sampled(map.grid.width, grid.width),
        );
        let (codes, extent) = (map.bordered(side - 1), 2 * side - 1);
        let mut windows = Vec::with_capacity(neighbourhoods.firsts.len() * extent * extent);
        for &(y, x) in &neighbourhoods.firsts {
            codes.push_window(extent, y, x, &mut windows);
        }
        Self {
            grid,
            patches: patches.cells,
            taps: neighbourhoods.cells,
            windows,
            ids: neighbourhoods.ids,
            area: side * side,
        }
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
        let mut numbers = vec![NO_PATCH; self.patches.len() / self.area];
        for row in rows {
            let taps = &self.taps[row as usize * self.area..(row as usize + 1) * self.area];
            if portion.patches.len() + self.area > most && !portion.rows.is_empty() {
                portion.patches.iter().for_each(|&patch| numbers[patch as usize] = NO_PATCH);
                portions.push(std::mem::take(&mut portion));
            }
            portion.rows.push(row);
            for &patch in taps {
                if patch != NO_PATCH && numbers[patch as usize] == NO_PATCH {
                    numbers[patch as usize] = portion.patches.len() as u32;
                    portion.patches.push(patch);
                }
                portion.taps.push(if patch == NO_PATCH { NO_PATCH } else { numbers[patch as usize] });
            }
        }
        portions.extend((!portion.rows.is_empty()).then_some(portion));
        portions
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
                let padded = map.bordered(side - 1);
                for (i, &code) in window.iter().enumerate() {
                    let (y, x) = (cell / width + i / extent, cell % width + i % extent);
                    prop_assert_eq!(code, padded.cells[y * padded.grid.width + x]);
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
