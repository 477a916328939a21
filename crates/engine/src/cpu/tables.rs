//! Every layer's modulation tables, kept from one mask to the next.

use rayon::prelude::*;

use super::{
    row_cache::{Placed, RowCache},
    spade::Spade,
    table_layout::{
        LevelLayout, ROW, TableIndex, TableLayout, TableMemory, bytes_of_cell, cells_of_row, share_out,
    },
    table_plan::TablePlan,
    tiles::{self, Tiles},
};
use crate::{Cached, plan::level::Level};
use spadework_kernels::cpu::{Buffer, Isa};

/// The tables of a network.
pub(super) struct Tables {
    levels: Vec<LevelTables>,
    memory: TableMemory,
}

/// The tables of the layers at one resolution.
struct LevelTables {
    /// Whether a row is a tile's, not a neighbourhood's.
    in_tiles: bool,
    rows: RowCache,
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

/// A level's tables as layers read them.
pub(super) struct LevelView<'a> {
    pub(super) table: &'a [f32],
    pub(super) cells: &'a [u32],
}

impl Tables {
    /// Empty tables, of which about `kept` bytes stay when no mask needs them.
    pub(super) fn new(layout: TableLayout, kept: usize, memory: TableMemory) -> Self {
        let window = layout.window;
        let row_bytes = |level: &LevelLayout| cells_of_row(level.in_tiles) * bytes_of_cell(&level.blocks);
        let cells = |level: &LevelLayout| level.grid.height * level.grid.width;
        let most: Vec<usize> =
            layout.levels.iter().map(|level| cells(level) * bytes_of_cell(&level.blocks)).collect();
        let shares = share_out(kept, &most);
        let level = |(level, share): (LevelLayout, usize)| LevelTables {
            in_tiles: level.in_tiles,
            rows: RowCache::new(
                if level.in_tiles { tiles::WINDOW } else { window },
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
        Self { levels: layout.levels.into_iter().zip(shares).map(level).collect(), memory }
    }

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
