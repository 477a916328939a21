//! Every layer's modulation tables, kept from one mask to the next.

use rayon::prelude::*;
use spadework_model::Grid;

use super::{
    network::Scratch,
    rows::{Placed, Rows},
    spade::{ROW, Spade, TablePlan},
};
use crate::{Cached, buffer::Buffer, gemm::Pair, isa::Isa, plan::level::Level};

/// The tables of a network.
pub(super) struct Tables {
    levels: Vec<LevelTables>,
    memory: TableMemory,
}

/// The tables of the layers at one resolution.
struct LevelTables {
    rows: Rows,
    layers: Vec<LayerTable>,
    /// The rows to be made for the mask in hand.
    plan: TablePlan,
    /// The row of every cell of the mask in hand.
    cells: Vec<u32>,
}

struct LayerTable {
    blocks: usize,
    values: Buffer<f32>, // [block][row][scale | shift]
}

/// Working memory while tables are made.
pub(super) struct TableMemory {
    /// Hidden vectors of patches, in f32 or in bf16.
    pub(super) hidden: Buffer<f32>,
    pub(super) hidden_bf16: Buffer<Pair>,
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
    resolutions: Vec<Grid>,
    blocks: Vec<Vec<usize>>,
}

impl Shelf {
    pub(super) fn new(resolutions: Vec<Grid>) -> Self {
        Self { blocks: vec![Vec::new(); resolutions.len()], resolutions }
    }

    /// A table for a layer of so many blocks at `grid`.
    pub(super) fn add(&mut self, grid: Grid, blocks: usize) -> TableIndex {
        let level = level_of(&self.resolutions, grid);
        self.blocks[level].push(blocks);
        TableIndex { level, layer: self.blocks[level].len() - 1 }
    }

    /// Empty tables, of which about `kept` bytes stay when no mask needs them. `codes` is the length of a window.
    pub(super) fn tables(self, codes: usize, kept: usize, memory: TableMemory) -> Tables {
        let cells: Vec<usize> = self.resolutions.iter().map(|grid| grid.height * grid.width).collect();
        let row_bytes: Vec<usize> = self.blocks.iter().map(|blocks| bytes_of_row(blocks)).collect();
        let most: Vec<usize> = cells.iter().zip(&row_bytes).map(|(cells, bytes)| cells * bytes).collect();
        let shares = share_out(kept, &most);
        let level = |((blocks, bytes), share): ((Vec<usize>, usize), usize)| LevelTables {
            rows: Rows::new(codes, share / bytes.max(1)),
            layers: blocks
                .into_iter()
                .map(|blocks| LayerTable { blocks, values: Buffer::default() })
                .collect(),
            plan: TablePlan::default(),
            cells: Vec::new(),
        };
        let levels = self.blocks.into_iter().zip(row_bytes).zip(shares).map(level).collect();
        Tables { levels, memory }
    }
}

/// The place of `grid` among `resolutions`.
fn level_of(resolutions: &[Grid], grid: Grid) -> usize {
    let index = resolutions.iter().position(|resolution| *resolution == grid);
    index.expect("every block's resolution is in the list made from the blocks")
}

fn bytes_of_row(blocks: &[usize]) -> usize {
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
    /// Finds the rows of a mask's neighbourhoods and plans those that are missing.
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
            level.rows.used() * bytes_of_row(&blocks)
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
        let placed = self.rows.place(&level.windows);
        for layer in &mut self.layers {
            let len = layer.blocks * self.rows.capacity() * ROW;
            if layer.values.len() != len {
                layer.values = Buffer::default(); // release before asking for more
                layer.values = Buffer::zeroed(len);
            }
        }
        self.cells.clear();
        self.cells.extend(level.ids.iter().map(|&id| placed.rows[id as usize]));
        // A layer's blocks are tasks of their own; where they are fewer than the threads, so are parts of the rows.
        let fewest = self.layers.iter().map(|layer| layer.blocks).min().unwrap_or(1);
        self.plan = TablePlan::new(level, &placed, rayon::current_num_threads().div_ceil(fewest));
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
