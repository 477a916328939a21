//! How much a batch needs of the memory that graphs work on, and how that memory grows.

/// Images, and rows of tables at each resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    pub(super) images: usize,
    pub(super) rows: Vec<usize>,
}

impl Capacity {
    /// Whether a batch that needs `need` finds it.
    pub(super) fn holds(&self, need: &Self) -> bool {
        self.images >= need.images && self.rows.iter().zip(&need.rows).all(|(has, needs)| has >= needs)
    }

    /// Capacity for `need` as well, in powers of two, so that few batches make it grow; but no more rows than `cells`, those
    /// of an image at each resolution, can tell apart.
    pub(super) fn grown(before: Option<&Self>, need: &Self, cells: &[usize]) -> Self {
        let most = |before: usize, need: usize| before.max(need.next_power_of_two());
        let images = most(before.map_or(0, |before| before.images), need.images);
        let rows = need.rows.iter().zip(cells).enumerate();
        let rows = rows.map(|(index, (&rows, cells))| {
            most(before.map_or(0, |before| before.rows[index]), rows).min(images * cells)
        });
        Self { images, rows: rows.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELLS: [usize; 2] = [12, 48];

    fn capacity(images: usize, rows: [usize; 2]) -> Capacity {
        Capacity { images, rows: rows.to_vec() }
    }

    #[test]
    fn room_is_a_power_of_two_and_no_more_than_cells_can_tell_apart() {
        assert_eq!(Capacity::grown(None, &capacity(1, [5, 33]), &CELLS), capacity(1, [8, 48]));
        assert_eq!(Capacity::grown(None, &capacity(3, [33, 33]), &CELLS), capacity(4, [48, 64]));
    }

    #[test]
    fn it_never_shrinks_and_holds_all_that_it_has_grown_for() {
        let needs = [capacity(3, [20, 20]), capacity(1, [12, 48]), capacity(2, [3, 90]), capacity(5, [1, 1])];
        let mut has: Option<Capacity> = None;
        for (index, need) in needs.iter().enumerate() {
            has = Some(Capacity::grown(has.as_ref(), need, &CELLS));
            for need in &needs[..=index] {
                assert!(has.as_ref().is_some_and(|has| has.holds(need)), "{has:?} for {need:?}");
            }
        }
        assert_eq!(has, Some(capacity(8, [32, 128])));
    }

    #[test]
    fn a_batch_of_more_images_or_rows_finds_no_room() {
        let has = capacity(2, [8, 16]);
        assert!(has.holds(&capacity(2, [8, 16])) && has.holds(&capacity(1, [1, 1])));
        assert!(
            !has.holds(&capacity(3, [1, 1]))
                && !has.holds(&capacity(1, [9, 1]))
                && !has.holds(&capacity(1, [1, 17]))
        );
    }
}
