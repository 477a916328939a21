//! Slices of one length that lie one after the other, found by what they hold.

use std::hash::{BuildHasher as _, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// The numbers of distinct slices. It keeps no slice itself: every call brings all of them.
#[derive(Debug, Default)]
pub(crate) struct SliceIndex {
    hasher: DefaultHashBuilder,
    numbers: HashTable<u32>,
}

impl SliceIndex {
    /// How many slices are in it.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of the slice in `all` that equals `slice`, if it is in the index.
    pub(crate) fn find<T: Eq + Hash>(&self, all: &[T], slice: &[T]) -> Option<u32> {
        let equal = |&number: &u32| nth(all, slice.len(), number) == slice;
        self.numbers.find(self.hasher.hash_one(slice), equal).copied()
    }

    /// Takes in slice `number` of `all`, which equals none that is in.
    pub(crate) fn insert<T: Hash>(&mut self, all: &[T], length: usize, number: u32) {
        let hash_of = |&number: &u32| self.hasher.hash_one(nth(all, length, number));
        self.numbers.insert_unique(hash_of(&number), number, hash_of);
    }

    /// Drops slice `number` of `all`, which is in.
    pub(crate) fn remove<T: Hash>(&mut self, all: &[T], length: usize, number: u32) {
        let hash = self.hasher.hash_one(nth(all, length, number));
        if let Ok(entry) = self.numbers.find_entry(hash, |&other| other == number) {
            entry.remove();
        }
    }
}

fn nth<T>(all: &[T], length: usize, number: u32) -> &[T] {
    &all[number as usize * length..][..length]
}
