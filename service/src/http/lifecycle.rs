//! Starting, serving, stopping: read by probes without a lock. Counts the requests that have been welcomed.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::sync::watch;

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

/// The current phase, which only goes forward, and the requests that were welcomed in it.
#[derive(Debug, Default)]
pub struct Lifecycle {
    phase: AtomicU8,
    in_flight: watch::Sender<usize>,
}

/// A request that was welcomed: it is answered, whatever phase comes.
#[derive(Debug)]
pub struct InFlight(Arc<Lifecycle>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.send_modify(|requests| *requests -= 1);
    }
}

impl Lifecycle {
    /// The current phase.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Loading,
            1 => Phase::Serving,
            2 => Phase::LameDuck,
            _ => Phase::Draining,
        }
    }

    /// Goes on to `phase`, unless it is past it.
    pub fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
    }

    /// Counts a request until what is answered is dropped.
    ///
    /// # Errors
    /// With the phase, when it takes no requests.
    pub fn enter(self: &Arc<Self>) -> Result<InFlight, Phase> {
        // Counted before the phase is read: a stop that begins in between waits for it.
        self.in_flight.send_modify(|requests| *requests += 1);
        let entered = InFlight(self.clone());
        match self.phase() {
            Phase::Serving | Phase::LameDuck => Ok(entered),
            closed => Err(closed),
        }
    }

    /// Requests that were welcomed and are not answered.
    pub fn in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    /// Resolves when every request that was welcomed is answered.
    pub async fn all_answered(&self) {
        // An error means that nothing can enter any more.
        let _ = self.in_flight.subscribe().wait_for(|requests| *requests == 0).await;
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

    #[tokio::test]
    async fn a_stop_waits_for_those_who_were_welcomed_and_for_nobody_else() {
        let lifecycle = Arc::new(Lifecycle::default());
        assert_eq!(lifecycle.enter().unwrap_err(), Phase::Loading);
        lifecycle.advance(Phase::LameDuck);
        let welcomed = lifecycle.enter().unwrap();
        lifecycle.advance(Phase::Draining);
        assert_eq!(lifecycle.enter().unwrap_err(), Phase::Draining);
        let stop = tokio::spawn({
            let lifecycle = lifecycle.clone();
            async move { lifecycle.all_answered().await }
        });
        tokio::task::yield_now().await;
        assert!(!stop.is_finished());
        drop(welcomed);
        stop.await.unwrap();
        assert_eq!(lifecycle.in_flight(), 0);
    }
}
