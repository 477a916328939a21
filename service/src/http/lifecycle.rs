//! Starting, serving, stopping: read by probes without a lock.

use std::sync::atomic::{AtomicU8, Ordering};

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Models are being loaded; requests are refused.
    Loading = 0,
    /// Requests are welcome.
    Serving = 1,
    /// Unready, so that nobody sends more, but what comes is still served.
    LameDuck = 2,
    /// Nothing new is taken.
    Draining = 3,
}

/// The current phase; it only goes forward.
#[derive(Debug, Default)]
pub struct Lifecycle(AtomicU8);

impl Lifecycle {
    /// The current phase.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Loading,
            1 => Phase::Serving,
            2 => Phase::LameDuck,
            _ => Phase::Draining,
        }
    }

    /// Goes on to `phase`, unless it is past it.
    pub fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_loaded_late_does_not_undo_a_stop() {
        let lifecycle = Lifecycle::default();
        assert_eq!(lifecycle.phase(), Phase::Loading);
        lifecycle.advance(Phase::Draining);
        lifecycle.advance(Phase::Serving);
        assert_eq!(lifecycle.phase(), Phase::Draining);
    }
}
