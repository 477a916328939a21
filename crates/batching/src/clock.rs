//! Where the threads read the time. Everything pure takes `now` as a value instead.

use std::time::Instant;

/// A source of the current time; `Instant::now` is one.
pub trait Clock: Send + Sync + 'static {
    /// The current time. Never goes back.
    fn now(&self) -> Instant;
}

impl<F: Fn() -> Instant + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Instant {
        self()
    }
}
