//! Label maps as codes: one small number says everything the modulation can see of a pixel.

use spadework_model::{Grid, nearest_index};

use super::windows::Bordered;

/// The code of every cell outside the map; no cell inside has it.
pub(crate) const OUTSIDE: u16 = 0;

/// The code of a cell that shows `label`, on an instance boundary or not.
pub(crate) fn code(label: u8, edge: bool) -> u16 {
    2 * (u16::from(label) + 1) + u16::from(edge)
}

/// The label behind a code, and whether it lies on an edge; `None` outside.
pub fn decode(code: u16) -> Option<(usize, bool)> {
    (code != OUTSIDE).then(|| (usize::from(code / 2) - 1, code % 2 == 1))
}

/// A row-major map of codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeMap {
    /// Its size.
    pub grid: Grid,
    /// A code for each cell; see [`decode`].
    pub codes: Vec<u16>,
}

impl CodeMap {
    /// Codes of a label map and its instance edges, both row-major and of size `grid`.
    pub fn new(grid: Grid, ids: &[u8], edges: Option<&[u8]>) -> Self {
        let edge = |i: usize| edges.is_some_and(|edges| edges[i] != 0);
        let codes = ids.iter().enumerate().map(|(i, &id)| code(id, edge(i))).collect();
        Self { grid, codes }
    }

    /// Resized as the network resizes its semantic map: nearest, by `floor(i · in / out)`.
    pub fn resized(&self, to: Grid) -> Self {
        if to == self.grid {
            return self.clone();
        }
        let columns: Vec<usize> =
            (0..to.width).map(|x| nearest_index(x, self.grid.width, to.width)).collect();
        let codes = (0..to.height)
            .flat_map(|y| {
                let row = nearest_index(y, self.grid.height, to.height) * self.grid.width;
                columns.iter().map(move |x| self.codes[row + x])
            })
            .collect();
        Self { grid: to, codes }
    }

    /// The `side`×`side` codes around every cell, row-major; `side` is odd.
    pub(crate) fn windows(&self, side: usize) -> Vec<u16> {
        let bordered = self.bordered(side / 2);
        let mut windows = Vec::with_capacity(self.codes.len() * side * side);
        for y in 0..self.grid.height {
            (0..self.grid.width).for_each(|x| bordered.push_window(side, y, x, &mut windows));
        }
        windows
    }

    /// The map inside a border of `margin` cells of [`OUTSIDE`].
    pub(super) fn bordered(&self, margin: usize) -> Bordered<u16> {
        Bordered::new(&self.codes, self.grid, margin, OUTSIDE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_and_edge_has_its_own_code() {
        let mut seen: Vec<u16> =
            (0..=254).flat_map(|label| [code(label, false), code(label, true)]).collect();
        assert!(seen.iter().all(|&code| code != OUTSIDE));
        assert_eq!(decode(code(7, true)), Some((7, true)));
        assert_eq!(decode(OUTSIDE), None);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 510);
    }

    #[test]
    fn resizing_takes_the_top_left_cell_of_each_square() {
        let grid = Grid { height: 4, width: 4 };
        let ids: Vec<u8> = (0..16).collect();
        let small = CodeMap::new(grid, &ids, None).resized(Grid { height: 2, width: 2 });
        assert_eq!(small.codes, [0, 2, 8, 10].map(|label| code(label, false)));
    }
}
