//! Every layer's modulation tables, kept from one mask to the next.

use rayon::prelude::*;
use spadework_model::{Architecture, Grid};

use super::{
    network::Scratch,
    policy::Policy,
    rows::{Placed, Rows},
    spade::{ROW, Spade},
    table_plan::TablePlan,
    tiles::{self, Tiles},
};
use crate::{
    Cached,
    buffer::Buffer,
    gemm::Pair,
    isa::Isa,
    plan::{level::Level, resolutions},
};

/// The tables of a network.
pub(super) struct Tables {
    levels: Vec<LevelTables>,
    memory: TableMemory,
}

/// The tables of the layers at one resolution.
struct LevelTables {
    /// Whether a row is a tile's, not a neighbourhood's.
    in_tiles: bool,
    rows: Rows,
    layers: Vec<LayerTable>,
    /// The rows to be made for the mask in hand.
    plan: TablePlan,
    /// Where every cell of the mask in hand has its scale and shift: its row, or its cell of a tile's row.
    cells: Vec<u32>,
}

struct LayerTable {
    blocks: usize,
    values: Buffer<f32>, // [block][row][cell of a tile][scale | shift]
}

/// Working memory while tables are made.
pub(super) struct TableMemory {
    /// Hidden vectors of patches, in f32 or in bf16.
    pub(super) hidden: Buffer<f32>,
    pub(super) hidden_bf16: Buffer<Pair>,
    /// What tiles read of them, transformed.
    pub(super) transformed: Buffer<f32>,
    /// Each thread's products.
    pub(super) scratch: Scratch,
}

/// Where a layer's table is: its level, and its place there.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableIndex {
    level: usize,
    layer: usize,
}

/// Counts the layers while a network is read, so that each finds its table.
pub(super) struct Shelf {
    levels: Vec<ShelfLevel>,
    /// Codes that a neighbourhood sees.
    window: usize,
}

struct ShelfLevel {
    grid: Grid,
    in_tiles: bool,
    /// Of each layer.
    blocks: Vec<usize>,
}

impl Shelf {
    pub(super) fn new(architecture: &Architecture, policy: Policy) -> Self {
        let level = |grid| {
            let in_tiles = policy.tables_in_tiles() && tiles::pay(architecture, grid);
            ShelfLevel { grid, in_tiles, blocks: Vec::new() }
        };
        let extent = 2 * architecture.kernel - 1;
        Self { levels: resolutions(architecture).into_iter().map(level).collect(), window: extent * extent }
    }

    /// A table for a layer of so many blocks at `grid`.
    pub(super) fn add(&mut self, grid: Grid, blocks: usize) -> TableIndex {
        let level = self.level(grid);
        self.levels[level].blocks.push(blocks);
        TableIndex { level, layer: self.levels[level].blocks.len() - 1 }
    }

    /// Whether the rows of the layers at `grid` are tiles.
    pub(super) fn in_tiles(&self, grid: Grid) -> bool {
        self.levels[self.level(grid)].in_tiles
    }

    fn level(&self, grid: Grid) -> usize {
        let index = self.levels.iter().position(|level| level.grid == grid);
        index.expect("every block's resolution is in the list made from the blocks")
    }

    /// Empty tables, of which about `kept` bytes stay when no mask needs them.
    pub(super) fn tables(self, kept: usize, memory: TableMemory) -> Tables {
        let row_bytes = |level: &ShelfLevel| cells_of_row(level.in_tiles) * bytes_of_cell(&level.blocks);
        let cells = |level: &ShelfLevel| level.grid.height * level.grid.width;
        let most: Vec<usize> =
            self.levels.iter().map(|level| cells(level) * bytes_of_cell(&level.blocks)).collect();
        let shares = share_out(kept, &most);
        let level = |(level, share): (ShelfLevel, usize)| LevelTables {
            in_tiles: level.in_tiles,
            rows: Rows::new(
                if level.in_tiles { tiles::WINDOW } else { self.window },
                share / row_bytes(&level).max(1),
            ),
            layers: level
                .blocks
                .into_iter()
                .map(|blocks| LayerTable { blocks, values: Buffer::default() })
                .collect(),
            plan: TablePlan::default(),
            cells: Vec::new(),
        };
        Tables { levels: self.levels.into_iter().zip(shares).map(level).collect(), memory }
    }
}

fn cells_of_row(in_tiles: bool) -> usize {
    if in_tiles { tiles::CELLS } else { 1 }
}

fn bytes_of_cell(blocks: &[usize]) -> usize {
    blocks.iter().sum::<usize>() * ROW * size_of::<f32>()
}

/// Shares `total` out evenly, but to none more than its `most`.
fn share_out(total: usize, most: &[usize]) -> Vec<usize> {
    let mut shares = vec![0; most.len()];
    let mut left = total;
    let mut order: Vec<usize> = (0..most.len()).collect();
    order.sort_by_key(|&index| most[index]);
    for (taken, &index) in order.iter().enumerate() {
        shares[index] = most[index].min(left / (most.len() - taken));
        left -= shares[index];
    }
    shares
}

/// A level's tables as layers read them.
pub(super) struct LevelView<'a> {
    pub(super) table: &'a [f32],
    pub(super) cells: &'a [u32],
}

impl Tables {
    /// Finds the rows of a mask's neighbourhoods or tiles and plans those that are missing.
    pub(super) fn place(&mut self, levels: &[Level]) -> Cached {
        let places = self.levels.par_iter_mut().zip(levels).map(|(tables, level)| {
            let placed = tables.place(level);
            (placed.rows.len() - placed.missing.len(), placed.missing.len())
        });
        match places.reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1)) {
            (_, 0) => Cached::Hit,
            (0, _) => Cached::Miss,
            _ => Cached::Partial,
        }
    }

    /// The layer's table for the mask in hand, with the rows made that were missing.
    pub(super) fn of(&mut self, isa: Isa, spade: &Spade) -> LevelView<'_> {
        let TableIndex { level, layer } = spade.table;
        let LevelTables { layers, plan, cells, .. } = &mut self.levels[level];
        let table = &mut layers[layer].values;
        spade.tabulate(isa, plan, &mut self.memory, table);
        LevelView { table, cells }
    }

    /// Bytes of rows that are held.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |level: &LevelTables| {
            let blocks: Vec<usize> = level.layers.iter().map(|layer| layer.blocks).collect();
            level.rows.used() * cells_of_row(level.in_tiles) * bytes_of_cell(&blocks)
        };
        self.levels.iter().map(bytes).sum()
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        self.levels.iter_mut().for_each(|level| level.rows.clear());
    }
}

impl LevelTables {
    fn place(&mut self, level: &Level) -> Placed {
        let tiles = self.in_tiles.then(|| Tiles::of(level));
        let windows = tiles.as_ref().map_or(&level.windows, |tiles| &tiles.windows);
        let placed = self.rows.place(windows);
        for layer in &mut self.layers {
            let len = layer.blocks * self.rows.capacity() * cells_of_row(self.in_tiles) * ROW;
            if layer.values.len() != len {
                layer.values = Buffer::default(); // release before asking for more
                layer.values = Buffer::zeroed(len);
            }
        }
        // A layer's blocks are tasks of their own; where they are fewer than the threads, so are parts of the rows.
        let fewest = self.layers.iter().map(|layer| layer.blocks).min().unwrap_or(1);
        let parts = rayon::current_num_threads().div_ceil(fewest);
        self.cells.clear();
        match tiles {
            Some(tiles) => {
                let cell = |index: usize| {
                    let (place, cell) = Tiles::find(level.grid.width, index);
                    placed.rows[tiles.ids[place] as usize] * tiles::CELLS as u32 + cell as u32
                };
                self.cells.extend((0..level.ids.len()).map(cell));
                self.plan = TablePlan::of_tiles(level, &tiles, &placed, parts);
            }
            None => {
                self.cells.extend(level.ids.iter().map(|&id| placed.rows[id as usize]));
                self.plan = TablePlan::new(level, &placed, parts);
            }
        }
        placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_even_unless_less_is_enough() {
        assert_eq!(share_out(100, &[10, 500, 500]), [10, 45, 45]);
        assert_eq!(share_out(100, &[20, 1, 30]), [20, 1, 30]);
        assert_eq!(share_out(0, &[20, 1]), [0, 0]);
    }
}
