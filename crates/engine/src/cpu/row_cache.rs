//! Which row of a level's tables belongs to which neighbourhood, over many masks. (A tile is a larger neighbourhood.)
//!
//! A neighbourhood's row depends on its window alone, so a mask finds the rows that earlier masks had made: all of them
//! when the mask is the same, most when a stroke was added. RowCache that the mask in hand does not read make room,
//! those that were longest unread first.

use std::cmp::Reverse;

use crate::plan::slice_index::SliceIndex;

/// The rows of one level's tables.
#[derive(Debug, Default)]
pub(super) struct RowCache {
    /// Codes in a window.
    extent: usize,
    /// RowCache that may stay when no mask needs them, about.
    kept: usize,
    /// RowCache that there may be: as many as are kept or as the largest recent mask reads, and some to spare.
    capacity: usize,
    /// Masks in a row that needed less than half of them.
    small: u32,
    /// Every row's window, `extent` codes each.
    windows: Vec<u16>,
    /// When each row was last read; [`FREE`] for a row that holds nothing.
    read_at: Vec<u64>,
    now: u64,
    by_window: SliceIndex,
    free: Vec<u32>,
}

const FREE: u64 = 0;

/// Small masks in a row after which memory is given back: large masks that come now and then find theirs mapped.
const PATIENCE: u32 = 32;

/// What a mask finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    /// The row of every neighbourhood.
    pub(super) rows: Vec<u32>,
    /// The neighbourhoods whose rows have yet to be made; those rows are in rising order.
    pub(super) missing: Vec<u32>,
}

impl RowCache {
    /// Nothing yet, for windows of `extent` codes; up to `kept` rows stay.
    pub(super) fn new(extent: usize, kept: usize) -> Self {
        Self { extent, kept, capacity: kept, ..Self::default() }
    }

    /// RowCache that there may be before a mask is placed that reads more.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// RowCache that hold a neighbourhood.
    pub(super) fn used(&self) -> usize {
        self.by_window.len()
    }

    /// Forgets every neighbourhood.
    pub(super) fn clear(&mut self) {
        *self = Self { capacity: self.capacity, ..Self::new(self.extent, self.kept) };
    }

    /// Finds or assigns a row for each of `windows`, which are distinct. All rows are below [`capacity`](Self::capacity).
    pub(super) fn place(&mut self, windows: &[u16]) -> Placed {
        let count = windows.len() / self.extent;
        self.resize(self.kept.max(count));
        self.now += 1;
        let mut placed = Placed { rows: vec![u32::MAX; count], missing: Vec::new() };
        for (index, window) in windows.chunks_exact(self.extent).enumerate() {
            match self.by_window.find(&self.windows, window) {
                Some(row) => {
                    self.read_at[row as usize] = self.now;
                    placed.rows[index] = row;
                }
                None => placed.missing.push(index as u32),
            }
        }
        self.make_room(placed.missing.len());
        self.free.sort_unstable_by_key(|&row| Reverse(row)); // the lowest is taken first
        for &index in &placed.missing {
            let start = index as usize * self.extent;
            placed.rows[index as usize] = self.assign(&windows[start..start + self.extent]);
        }
        placed
    }

    /// Makes room for `needed` rows, or gives room back that was long not needed; either forgets all rows.
    fn resize(&mut self, needed: usize) {
        self.small = if 2 * needed < self.capacity { self.small + 1 } else { 0 };
        if needed > self.capacity || self.small == PATIENCE {
            self.capacity = needed + needed.div_ceil(8);
            self.clear();
        }
    }

    /// Frees rows until `wanted` can be assigned.
    fn make_room(&mut self, wanted: usize) {
        let short = wanted.saturating_sub(self.free.len() + self.capacity - self.read_at.len());
        if short == 0 {
            return;
        }
        let unread = |&row: &u32| (FREE + 1..self.now).contains(&self.read_at[row as usize]);
        let mut stale: Vec<u32> = (0..self.read_at.len() as u32).filter(unread).collect();
        stale.sort_by_key(|&row| self.read_at[row as usize]);
        for &row in stale.iter().take(short) {
            self.by_window.remove(&self.windows, self.extent, row);
            self.read_at[row as usize] = FREE;
            self.free.push(row);
        }
    }

    fn assign(&mut self, window: &[u16]) -> u32 {
        let row = self.free.pop().unwrap_or_else(|| {
            self.windows.resize(self.windows.len() + self.extent, 0);
            self.read_at.push(FREE);
            self.read_at.len() as u32 - 1
        });
        self.windows[row as usize * self.extent..][..self.extent].copy_from_slice(window);
        self.read_at[row as usize] = self.now;
        self.by_window.insert(&self.windows, self.extent, row);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    proptest! {
        #[test]
        fn a_window_keeps_its_row_while_it_is_kept_and_no_two_share_one(
            masks in prop::collection::vec(prop::collection::hash_set(0u16..60, 0..25), 1..20),
            kept in 0usize..40,
        ) {
            let mut rows = RowCache::new(1, kept);
            let mut made: HashMap<u32, u16> = HashMap::new(); // what a table would hold
            let mut largest = 0;
            for mask in masks {
                let windows: Vec<u16> = mask.into_iter().collect();
                let before = rows.capacity();
                let placed = rows.place(&windows);
                if rows.capacity() != before {
                    made.clear();
                }
                let missing: HashSet<u32> = placed.missing.iter().copied().collect();
                for (index, (&row, &window)) in placed.rows.iter().zip(&windows).enumerate() {
                    if missing.contains(&(index as u32)) {
                        made.insert(row, window);
                    } else {
                        prop_assert_eq!(made[&row], window);
                    }
                }
                prop_assert!(placed.missing.is_sorted_by_key(|&index| placed.rows[index as usize]));
                let distinct: HashSet<u32> = placed.rows.iter().copied().collect();
                prop_assert_eq!(distinct.len(), windows.len());
                largest = largest.max(windows.len());
                prop_assert!(8 * rows.capacity() <= 9 * kept.max(largest) + 8);
                prop_assert!(placed.rows.iter().all(|&row| (row as usize) < rows.capacity()));
                prop_assert!(rows.place(&windows).missing.is_empty());
            }
        }
    }

    #[test]
    fn room_for_a_large_mask_is_given_back_in_time() {
        let mut rows = RowCache::new(1, 10);
        let large: Vec<u16> = (0..80).collect();
        rows.place(&large);
        (1..PATIENCE).for_each(|_| drop(rows.place(&[1])));
        assert_eq!((rows.capacity(), rows.place(&large).missing.len()), (90, 0));
        (0..PATIENCE).for_each(|_| drop(rows.place(&[1])));
        assert_eq!(rows.capacity(), 12);
    }

    #[test]
    fn what_was_unread_longest_makes_room() {
        let mut rows = RowCache::new(1, 3);
        rows.place(&[1, 2]);
        rows.place(&[3]);
        rows.place(&[1]);
        assert_eq!(rows.place(&[4]).missing, [0]); // in the place of 2
        assert!(rows.place(&[1]).missing.is_empty());
        assert!(rows.place(&[3]).missing.is_empty());
        assert_eq!(rows.place(&[2]).missing, [0]);
    }
}
