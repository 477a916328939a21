//! Which memory an upload goes through, of what uploads before it have used.

/// What to do for room for an upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Use this slot.
    Use(usize),
    /// This one is free but too small.
    Replace(usize),
    /// None is free.
    Add,
}

/// The smallest free slot with room for `len`. `free` has the room of each that is.
pub(crate) fn choose(free: &[Option<usize>], len: usize) -> Choice {
    let slots = || free.iter().enumerate().filter_map(|(index, room)| Some((index, (*room)?)));
    if let Some((index, _)) = slots().filter(|(_, room)| *room >= len).min_by_key(|(_, room)| *room) {
        return Choice::Use(index);
    }
    slots().max_by_key(|(_, room)| *room).map_or(Choice::Add, |(index, _)| Choice::Replace(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_goes_through_the_smallest_free_slot_and_never_through_one_that_is_read() {
        let free = [Some(64), None, Some(16), Some(256)];
        assert_eq!(choose(&free, 10), Choice::Use(2));
        assert_eq!(choose(&free, 17), Choice::Use(0));
        assert_eq!(choose(&free, 300), Choice::Replace(3), "smaller ones are left to smaller uploads");
        assert_eq!(choose(&[None, None], 1), Choice::Add);
        assert_eq!(choose(&[], 1), Choice::Add);
    }

    #[test]
    fn slots_are_no_more_than_the_uploads_that_are_under_way_at_once() {
        // Two batches at once, of uploads whose sizes change.
        let mut rooms: Vec<usize> = Vec::new();
        let mut read: Vec<Vec<usize>> = Vec::new();
        for batch in 0..50 {
            if read.len() == 2 {
                read.remove(0);
            }
            read.push(Vec::new());
            for upload in 0..7 {
                let len = 1usize << ((upload * 5 + batch * 3) % 20);
                let busy = |index: &usize| read.iter().flatten().any(|slot| slot == index);
                let free: Vec<_> =
                    rooms.iter().enumerate().map(|(i, room)| (!busy(&i)).then_some(*room)).collect();
                let slot = match choose(&free, len) {
                    Choice::Use(index) => index,
                    Choice::Replace(index) => {
                        rooms[index] = len;
                        index
                    }
                    Choice::Add => {
                        rooms.push(len);
                        rooms.len() - 1
                    }
                };
                assert!(!busy(&slot) && rooms[slot] >= len);
                read[batch.min(1)].push(slot);
            }
        }
        assert!(rooms.len() <= 14, "{} slots", rooms.len());
    }
}
