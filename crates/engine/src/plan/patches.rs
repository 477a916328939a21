//! The distinct k×k patches of a code map: all that a k×k conv on the one-hot map can tell apart.

use std::{collections::HashMap, hash::Hash};

use super::codes::{CODE_BITS, CodeMap, OUTSIDE};

/// Distinct k×k windows of a code map and which of them each cell is the centre of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patches {
    /// Codes of each distinct window, row-major, k² each.
    pub(crate) codes: Vec<u16>,
    /// The window around every cell, as an index into the distinct ones, numbered in order of appearance.
    pub(crate) ids: Vec<u32>,
}

/// Numbers the `side`×`side` windows of `map`; `side` is odd.
pub(crate) fn distinct_patches(map: &CodeMap, side: usize) -> Patches {
    let packs = (side * side) as u32 * CODE_BITS <= u128::BITS;
    let padded = map.padded(side / 2);
    if packs {
        number_windows(map, &padded, side, |window| {
            window.iter().fold(0u128, |key, &code| (key << CODE_BITS) | u128::from(code))
        })
    } else {
        number_windows(map, &padded, side, |window: &[u16]| Box::<[u16]>::from(window))
    }
}

fn number_windows<K: Hash + Eq>(
    map: &CodeMap,
    padded: &CodeMap,
    side: usize,
    key_of: impl Fn(&[u16]) -> K,
) -> Patches {
    let mut numbers: HashMap<K, u32> = HashMap::new();
    let mut codes = Vec::new();
    let mut ids = Vec::with_capacity(map.codes.len());
    let mut window = vec![OUTSIDE; side * side];
    let mut last = vec![OUTSIDE; side * side];
    let mut last_id = None;
    for y in 0..map.grid.height {
        for x in 0..map.grid.width {
            for (row, cells) in window.chunks_exact_mut(side).enumerate() {
                let start = (y + row) * padded.grid.width + x;
                cells.copy_from_slice(&padded.codes[start..start + side]);
            }
            // Most cells look like their left neighbour: they cost a comparison, not a hash.
            let id = match last_id {
                Some(id) if window == last => id,
                _ => {
                    let next = numbers.len() as u32;
                    let id = *numbers.entry(key_of(&window)).or_insert(next);
                    if id == next {
                        codes.extend_from_slice(&window);
                    }
                    last.copy_from_slice(&window);
                    last_id = Some(id);
                    id
                }
            };
            ids.push(id);
        }
    }
    Patches { codes, ids }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spadework_model::Grid;

    fn window(map: &CodeMap, side: usize, y: usize, x: usize) -> Vec<u16> {
        let padded = map.padded(side / 2);
        (0..side * side).map(|i| padded.codes[(y + i / side) * padded.grid.width + x + i % side]).collect()
    }

    proptest! {
        #[test]
        fn two_cells_share_an_id_exactly_when_their_windows_are_equal(
            (height, width, side) in (1usize..9, 1usize..9, prop::sample::select(vec![1usize, 3, 5])),
            seed in prop::collection::vec(0u8..3, 64),
        ) {
            let map = CodeMap::new(Grid { height, width }, &seed[..height * width], None);
            let patches = distinct_patches(&map, side);
            for cell in 0..height * width {
                let id = patches.ids[cell] as usize;
                let codes = &patches.codes[id * side * side..(id + 1) * side * side];
                prop_assert_eq!(codes, window(&map, side, cell / width, cell % width));
            }
            let mut distinct: Vec<_> = patches.codes.chunks(side * side).collect();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), patches.codes.len() / (side * side));
        }
    }
}
