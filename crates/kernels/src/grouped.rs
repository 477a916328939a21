//! Items in the order of their keys, as compressed sparse rows are stored.

/// Items in the order of their keys: those of `key` are `items[starts[key]..starts[key + 1]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouped {
    /// Where each key's items begin, and where the last one's end.
    pub starts: Vec<u32>,
    /// The items, key by key.
    pub items: Vec<u32>,
}

impl Grouped {
    /// Groups pairs of key and item; within a key, items keep their order.
    ///
    /// # Panics
    /// When a key is not below `keys`.
    pub fn new(keys: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0u32; keys + 1];
        pairs.clone().for_each(|(key, _)| starts[key as usize + 1] += 1);
        for key in 0..keys {
            starts[key + 1] += starts[key];
        }
        let (mut next, mut items) = (starts.clone(), vec![0; starts[keys] as usize]);
        for (key, item) in pairs {
            items[next[key as usize] as usize] = item;
            next[key as usize] += 1;
        }
        Self { starts, items }
    }

    /// The items of `key`.
    ///
    /// # Panics
    /// When there is no such key.
    pub fn of(&self, key: usize) -> &[u32] {
        &self.items[self.starts[key] as usize..self.starts[key + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_grouped_by_key_in_their_order() {
        let pairs = [(2, 10), (0, 11), (2, 12), (2, 9)];
        let grouped = Grouped::new(4, pairs.into_iter());
        assert_eq!(grouped, Grouped { starts: vec![0, 1, 1, 4, 4], items: vec![11, 10, 12, 9] });
    }
}
