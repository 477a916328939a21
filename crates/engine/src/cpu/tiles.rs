//! Squares of neighbouring cells whose modulation is computed together, by Winograd's conv.
//!
//! Where most neighbourhoods of a mask are distinct, the sum over a neighbourhood's taps needs nine products for nearly every cell;
//! F(4×4, 3×3) needs 2.25. A tile is a function of the window that its cells see, so tiles are table rows like
//! neighbourhoods, of sixteen cells each.

use std::collections::HashMap;

use spadework_model::{Architecture, Grid, Modulation};

use super::winograd::SeparateTiles;
use crate::plan::level::Level;

/// The only kernel that tiles are made for.
pub(super) const KERNEL: usize = 3;
/// Cells on a tile's side.
const SIDE: usize = SeparateTiles::SIDE;
/// Cells of a tile.
pub(super) const CELLS: usize = SIDE * SIDE;
/// Patches on the side of what a tile's second conv reads.
const PATCHES_SIDE: usize = SeparateTiles::READ_SIDE;
/// Patches that a tile's second conv reads.
pub(super) const PATCHES: usize = PATCHES_SIDE * PATCHES_SIDE;
/// Codes on the side of a tile's window.
const WINDOW_SIDE: usize = SIDE + 4;
/// Codes of a tile's window.
pub(super) const WINDOW: usize = WINDOW_SIDE * WINDOW_SIDE;

/// Up to this many cells, 64 rows of an image twice as wide as high, most neighbourhoods of a photograph's mask are distinct.
const LARGEST: usize = 64 * 128;

/// Whether tables at `grid` are better made in tiles, in f32.
pub(super) fn pay(architecture: &Architecture, grid: Grid) -> bool {
    let Grid { height, width } = grid;
    let whole = height.is_multiple_of(SIDE) && width.is_multiple_of(SIDE);
    // A shared modulation is resized, so that what neighbouring cells see need not join.
    let joins = architecture.kernel == KERNEL && architecture.modulation == Modulation::PerLayer;
    whole && joins && height * width <= LARGEST
}

/// The distinct tiles of a level of 3×3 convs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tiles {
    /// The codes that every distinct tile sees.
    pub(super) windows: Vec<u16>,
    /// The patches that it reads, [`NO_PATCH`](crate::plan::level::NO_PATCH) outside the map.
    pub(super) patches: Vec<u32>,
    /// The tile of every place, row-major.
    pub(super) ids: Vec<u32>,
}

impl Tiles {
    /// Cuts a level, whose sides are whole tiles.
    pub(super) fn of(level: &Level) -> Self {
        let Grid { height, width } = level.grid;
        let mut numbers = HashMap::new();
        let mut tiles = Self::default();
        for top in (0..height).step_by(SIDE) {
            for left in (0..width).step_by(SIDE) {
                let cell = |i: usize| level.ids[(top + i / SIDE) * width + left + i % SIDE];
                let cells: [u32; CELLS] = std::array::from_fn(cell);
                let next = numbers.len() as u32;
                let id = *numbers.entry(cells).or_insert(next);
                if id == next {
                    tiles.patches.extend(joined::<_, 3, PATCHES_SIDE>(&cells, &level.taps));
                    tiles.windows.extend(joined::<_, 5, WINDOW_SIDE>(&cells, &level.windows));
                }
                tiles.ids.push(id);
            }
        }
        tiles
    }

    /// Where the cell `index` of a map `width` wide is: in which place's tile, and which of its cells.
    pub(super) fn find(width: usize, index: usize) -> (usize, usize) {
        let (y, x) = (index / width, index % width);
        (y / SIDE * (width / SIDE) + x / SIDE, y % SIDE * SIDE + x % SIDE)
    }
}

/// The square of side `TO` around a tile, from the squares of side `AROUND` around its cells.
fn joined<T: Copy, const AROUND: usize, const TO: usize>(
    cells: &[u32; CELLS],
    around: &[T],
) -> impl Iterator<Item = T> {
    (0..TO * TO).map(move |i| {
        let (y, x) = (i / TO, i % TO);
        let (row, column) = (y.min(SIDE - 1), x.min(SIDE - 1)); // a cell that sees it
        let square = &around[cells[row * SIDE + column] as usize * AROUND * AROUND..];
        square[(y - row) * AROUND + x - column]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        codes::{CodeMap, OUTSIDE},
        level::NO_PATCH,
    };
    use proptest::prelude::*;

    /// Codes of a square that may leave the map, whose first cell is `margin` up and left of `top` and `left`.
    fn square(map: &CodeMap, side: usize, margin: usize, (top, left): (usize, usize)) -> Vec<u16> {
        let code = |i: usize| {
            let (y, x) = ((top + i / side).wrapping_sub(margin), (left + i % side).wrapping_sub(margin));
            if y < map.grid.height && x < map.grid.width {
                map.codes[y * map.grid.width + x]
            } else {
                OUTSIDE
            }
        };
        (0..side * side).map(code).collect()
    }

    proptest! {
        #[test]
        fn a_tile_is_the_window_that_it_sees(
            (rows, columns) in (1usize..4, 1usize..4),
            seed in prop::collection::vec(0u8..2, 144),
        ) {
            let grid = Grid { height: rows * SIDE, width: columns * SIDE };
            let map = CodeMap::new(grid, &seed[..grid.height * grid.width], None);
            let level = Level::new(&map, 3);
            let tiles = Tiles::of(&level);
            let mut seen = HashMap::new();
            for (place, &id) in tiles.ids.iter().enumerate() {
                let (top, left) = (place / columns * SIDE, place % columns * SIDE);
                let window = square(&map, WINDOW_SIDE, 2, (top, left));
                prop_assert_eq!(&tiles.windows[id as usize * WINDOW..][..WINDOW], &window[..]);
                prop_assert_eq!(*seen.entry(window).or_insert(id), id);
                for (i, &patch) in tiles.patches[id as usize * PATCHES..][..PATCHES].iter().enumerate() {
                    let (y, x) = ((top + i / PATCHES_SIDE).wrapping_sub(1), (left + i % PATCHES_SIDE).wrapping_sub(1));
                    prop_assert_eq!(patch != NO_PATCH, y < grid.height && x < grid.width);
                    if patch != NO_PATCH {
                        let codes = &level.patches[patch as usize * KERNEL * KERNEL..][..KERNEL * KERNEL];
                        prop_assert_eq!(codes, square(&map, KERNEL, 1, (y, x)));
                    }
                }
            }
            for cell in 0..grid.height * grid.width {
                let (place, inner) = Tiles::find(grid.width, cell);
                prop_assert_eq!(cell / grid.width, place / columns * SIDE + inner / SIDE);
                prop_assert_eq!(cell % grid.width, place % columns * SIDE + inner % SIDE);
            }
        }
    }
}
