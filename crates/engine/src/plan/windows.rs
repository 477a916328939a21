//! The distinct square windows of a map: all that a conv of that size can tell apart.

use std::hash::Hash;

use spadework_model::Grid;

use crate::plan::slice_index::SliceIndex;

/// Distinct windows, numbered in order of appearance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Windows<T> {
    /// Cells of each distinct window, row-major.
    pub(super) cells: Vec<T>,
    /// Row and column of the cell around which each was first seen.
    pub(super) firsts: Vec<(usize, usize)>,
    /// The window around every cell that was looked at.
    pub(super) ids: Vec<u32>,
}

impl<T: Copy + Eq + Hash> Windows<T> {
    /// The `side`×`side` windows around the cells at `rows` and `columns` of a map, both in ascending order. `side` is odd;
    /// beyond the map all is `outside`.
    pub(super) fn of(
        map: &[T],
        grid: Grid,
        (side, outside): (usize, T),
        rows: &[usize],
        columns: &[usize],
    ) -> Self {
        let bordered = Bordered::new(map, grid, side / 2, outside);
        let repeats = bordered.repeats(side);
        let mut index = SliceIndex::default();
        let mut window = Vec::with_capacity(side * side);
        let mut found = Self {
            cells: Vec::new(),
            firsts: Vec::new(),
            ids: Vec::with_capacity(rows.len() * columns.len()),
        };
        for &y in rows {
            let mut left: Option<(usize, u32)> = None;
            for &x in columns {
                let id = match left {
                    // Most windows are those of their left neighbours: they cost no hash.
                    Some((from, id)) if (from + 1..=x).all(|x| repeats[y * grid.width + x]) => id,
                    _ => {
                        window.clear();
                        bordered.push_window(side, y, x, &mut window);
                        index.find(&found.cells, &window).unwrap_or_else(|| {
                            let id = found.firsts.len() as u32;
                            found.cells.extend_from_slice(&window);
                            found.firsts.push((y, x));
                            index.insert(&found.cells, window.len(), id);
                            id
                        })
                    }
                };
                left = Some((x, id));
                found.ids.push(id);
            }
        }
        found
    }
}

/// A map inside a border.
#[derive(Clone, Debug)]
pub(super) struct Bordered<T> {
    pub(super) cells: Vec<T>,
    pub(super) grid: Grid,
}

impl<T: Copy + Eq> Bordered<T> {
    /// `map` inside a border of `margin` cells of `outside`.
    pub(super) fn new(map: &[T], grid: Grid, margin: usize, outside: T) -> Self {
        let bordered = Grid { height: grid.height + 2 * margin, width: grid.width + 2 * margin };
        let mut cells = vec![outside; bordered.height * bordered.width];
        for (y, row) in map.chunks_exact(grid.width).enumerate() {
            let start = (y + margin) * bordered.width + margin;
            cells[start..start + row.len()].copy_from_slice(row);
        }
        Self { cells, grid: bordered }
    }

    /// Appends the `side`×`side` window whose first cell, border included, is at row `y` and column `x`.
    pub(super) fn push_window(&self, side: usize, y: usize, x: usize, out: &mut Vec<T>) {
        for row in 0..side {
            let start = (y + row) * self.grid.width + x;
            out.extend_from_slice(&self.cells[start..start + side]);
        }
    }

    /// Whether each `side`×`side` window is the one that begins a column further left.
    fn repeats(&self, side: usize) -> Vec<bool> {
        let Grid { height, width } = self.grid;
        let mut same = vec![false; self.cells.len()]; // as the cell to the left
        for (same, cells) in same.chunks_exact_mut(width).zip(self.cells.chunks_exact(width)) {
            for (same, pair) in same[1..].iter_mut().zip(cells.windows(2)) {
                *same = pair[0] == pair[1];
            }
        }
        let mut repeats = Vec::with_capacity((height + 1 - side) * (width + 1 - side));
        for rows in same.windows(side * width).step_by(width) {
            let (columns, rows) = rows.split_at(width);
            let mut columns = columns.to_vec();
            for row in rows.chunks_exact(width) {
                columns.iter_mut().zip(row).for_each(|(all, same)| *all &= same);
            }
            repeats.extend(columns.windows(side).map(|columns| columns.iter().all(|&same| same)));
        }
        repeats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn two_cells_share_an_id_exactly_when_their_windows_are_equal(
            (height, width, side) in (1usize..9, 1usize..9, prop::sample::select(vec![1usize, 3, 5])),
            seed in prop::collection::vec(1u8..3, 64),
            (rows, columns) in (prop::collection::vec(0usize..9, 0..9), prop::collection::vec(0usize..9, 0..9)),
        ) {
            let within = |places: Vec<usize>, length: usize| {
                let mut places: Vec<usize> = places.into_iter().map(|place| place % length).collect();
                places.sort_unstable();
                places
            };
            let (rows, columns) = (within(rows, height), within(columns, width));
            let (map, grid) = (&seed[..height * width], Grid { height, width });
            let windows = Windows::of(map, grid, (side, 0), &rows, &columns);
            let bordered = Bordered::new(map, grid, side / 2, 0);
            let read = |y: usize, x: usize| {
                let mut window = Vec::new();
                bordered.push_window(side, y, x, &mut window);
                window
            };
            let places = rows.iter().flat_map(|&y| columns.iter().map(move |&x| (y, x)));
            prop_assert_eq!(windows.ids.len(), rows.len() * columns.len());
            for ((y, x), &id) in places.zip(&windows.ids) {
                prop_assert_eq!(&windows.cells[id as usize * side * side..][..side * side], read(y, x));
            }
            let mut distinct: Vec<_> = windows.cells.chunks(side * side).collect();
            for (&(y, x), &window) in windows.firsts.iter().zip(&distinct) {
                prop_assert_eq!(window, read(y, x));
            }
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), windows.firsts.len());
        }
    }
}
