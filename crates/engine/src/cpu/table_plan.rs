//! Which rows of a level's tables have yet to be made, in portions that threads share out.

use super::{
    row_cache::Placed,
    tiles::{PATCHES, Tiles},
};
use crate::plan::level::{Level, NO_PATCH, Portion};

/// Distinct patches whose products are held at once, by each thread.
const MOST_PATCHES: usize = 4096;

/// Below this many patches a second thread is not worth the patches that two portions share.
const FEWEST_PATCHES: usize = 256;

/// Tiles whose products are held at once, by each thread.
const MOST_TILES: usize = 128;

/// Below this many tiles a second thread is not worth transforming the weights twice.
const FEWEST_TILES: usize = 32;

/// The rows of a level's tables that have yet to be made.
#[derive(Debug, Default)]
pub(super) struct TablePlan {
    /// Codes of the patches that they see.
    pub(super) patches: Vec<u16>,
    /// The rows, in rising order throughout, and the patches as indices into those above.
    pub(super) portions: Vec<Portion>,
}

impl TablePlan {
    /// Plans the missing rows of `placed`; those of a whole mask in at least so many `parts`.
    pub(super) fn new(level: &Level, placed: &Placed, parts: usize) -> Self {
        let area = level.area();
        let share = (level.patches.len() / area).div_ceil(parts);
        let most = share.clamp(FEWEST_PATCHES, MOST_PATCHES);
        let mut portions = level.portions(placed.missing.iter().copied(), most);
        let mut patches = Patches::of(level);
        for portion in &mut portions {
            portion.rows.iter_mut().for_each(|row| *row = placed.rows[*row as usize]);
            portion.patches.iter_mut().for_each(|patch| *patch = patches.number(*patch));
        }
        Self { patches: patches.codes, portions }
    }

    /// The same for rows that are tiles. Their portions name patches by what they read, not by a list of their own.
    pub(super) fn of_tiles(level: &Level, tiles: &Tiles, placed: &Placed, parts: usize) -> Self {
        let most = placed.missing.len().div_ceil(parts).clamp(FEWEST_TILES, MOST_TILES);
        let mut patches = Patches::of(level);
        let mut portion = |missing: &[u32]| Portion {
            rows: missing.iter().map(|&tile| placed.rows[tile as usize]).collect(),
            patches: Vec::new(),
            taps: missing
                .iter()
                .flat_map(|&tile| &tiles.patches[tile as usize * PATCHES..][..PATCHES])
                .map(|&patch| if patch == NO_PATCH { NO_PATCH } else { patches.number(patch) })
                .collect(),
        };
        let portions = placed.missing.chunks(most).map(&mut portion).collect();
        Self { patches: patches.codes, portions }
    }

    /// Every portion, with the rows of `table`, of so many numbers, from its first to its last.
    pub(super) fn spans<'a, const LEN: usize>(
        &'a self,
        mut table: &'a mut [[f32; LEN]],
    ) -> impl Iterator<Item = (&'a Portion, &'a mut [[f32; LEN]])> {
        let mut passed = 0;
        self.portions.iter().map(move |portion| {
            let (first, last) = (portion.rows[0] as usize, portion.rows[portion.rows.len() - 1] as usize);
            let (rows, rest) = std::mem::take(&mut table)[first - passed..].split_at_mut(last + 1 - first);
            (table, passed) = (rest, last + 1);
            (portion, rows)
        })
    }
}

/// Patches that are numbered as they are named.
struct Patches<'a> {
    level: &'a Level,
    numbers: Vec<u32>,
    codes: Vec<u16>,
}

impl<'a> Patches<'a> {
    fn of(level: &'a Level) -> Self {
        let numbers = vec![NO_PATCH; level.patches.len() / level.area()];
        Self { level, numbers, codes: Vec::new() }
    }

    fn number(&mut self, patch: u32) -> u32 {
        let (area, number) = (self.level.area(), &mut self.numbers[patch as usize]);
        if *number == NO_PATCH {
            *number = (self.codes.len() / area) as u32;
            self.codes.extend_from_slice(&self.level.patches[patch as usize * area..][..area]);
        }
        *number
    }
}
