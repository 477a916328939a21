//! A bound on the bytes that requests hold at a time: bodies as they come, pixels, answers until they are sent.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// The bound. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    held: AtomicUsize,
    /// Something has come back.
    returned: Notify,
}

/// Bytes of the bound, until it is dropped.
#[derive(Debug)]
pub struct Reserved {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Budget {
    /// A bound of `total` bytes, all of them free.
    pub fn new(total: usize) -> Self {
        let held = AtomicUsize::new(0);
        Self(Arc::new(Shared { total, held, returned: Notify::new() }))
    }

    /// Bytes that can be held at most.
    pub fn total(&self) -> usize {
        self.0.total
    }

    /// Nothing yet, to [grow](Reserved::try_grow).
    pub fn empty(&self) -> Reserved {
        Reserved { shared: self.0.clone(), bytes: 0 }
    }

    /// Takes `bytes`, or nothing when they are not free. Never waits.
    pub fn try_reserve(&self, bytes: usize) -> Option<Reserved> {
        let mut reserved = self.empty();
        reserved.try_grow(bytes).then_some(reserved)
    }

    /// Takes `bytes` as soon as they are free; never, when the bound is less. Whoever needs little may pass whoever
    /// needs much.
    pub async fn reserve(&self, bytes: usize) -> Reserved {
        loop {
            let returned = self.0.returned.notified();
            tokio::pin!(returned);
            returned.as_mut().enable(); // what comes back from here on is not missed
            if let Some(reserved) = self.try_reserve(bytes) {
                return reserved;
            }
            returned.await;
        }
    }
}

impl Reserved {
    /// Nothing of the same bound.
    pub fn none(&self) -> Self {
        Self { shared: self.shared.clone(), bytes: 0 }
    }

    /// Takes `bytes` more, or nothing when they are not free; tells which.
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let grow = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.shared.total);
        let grown = self.shared.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow).is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    /// Gives back what is more than `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let returned = self.bytes.saturating_sub(bytes);
        if returned > 0 {
            self.bytes -= returned;
            self.shared.held.fetch_sub(returned, Ordering::AcqRel);
            self.shared.returned.notify_waiters();
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_comes_back() {
        let budget = Budget::new(10);
        let mut most = budget.try_reserve(8).unwrap();
        assert!(budget.try_reserve(3).is_none());
        assert!(!most.try_grow(3) && most.try_grow(2));
        most.shrink_to(4);
        drop(budget.try_reserve(6).unwrap());
        drop(most);
        assert!(budget.try_reserve(10).is_some());
        assert!(budget.try_reserve(usize::MAX).is_none());
    }

    #[tokio::test]
    async fn who_waits_goes_on_as_soon_as_enough_has_come_back() {
        let budget = Budget::new(10);
        let (small, large) = (budget.try_reserve(2).unwrap(), budget.try_reserve(8).unwrap());
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(7).await }
        });
        tokio::task::yield_now().await;
        drop(small);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(budget.try_reserve(2).unwrap());
        drop(large);
        waiting.await.unwrap();
    }
}
