//! What can be set.

use std::time::Duration;

use crate::scheduler::Limits;

/// What can be set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What may wait at most.
    pub limits: Limits,
    /// The share of its predicted wait that a job must have to spare before its deadline to be admitted.
    pub margin: f64,
    /// A device whose batch is this much over its predicted time is reported as stalled.
    pub stall_after: Duration,
}

impl Default for Settings {
    /// Default limits, 15% margin, stalled after 30 s. With 5%, batches whose times vary by a tenth make one admitted
    /// job in a hundred late under overload; with 10% none (`tests/capacity.rs`), but a machine that others share slows
    /// for longer than a batch: there one in eighty was late.
    fn default() -> Self {
        Self { limits: Limits::default(), margin: 0.15, stall_after: Duration::from_secs(30) }
    }
}
