//! Load on a running server: requests like those that people send, at a rate that the answers do not slow down, and
//! what became of them.
//!
//! Time counts from when a request was due, not from when it could be sent: a generator that waits for a slow server
//! would otherwise leave out the very requests that it made late.

mod arrival;
mod client;
mod mix;
mod report;
mod summary;

pub use arrival::{Arrival, Bounds, drive};
pub use client::Client;
pub use mix::Mix;
pub use report::Report;
pub use summary::Summary;

use std::time::Duration;

use tokio::time::Instant;

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// When it was due.
    pub due: Instant,
    /// From then until it was sent: what the generator itself was late by.
    pub lag: Duration,
    /// From when it was due until its last byte, or until it was given up.
    pub took: Duration,
    /// How it ended.
    pub end: End,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With this status.
    Status(u16),
    /// Without an answer that can be used, for this reason.
    Lost(String),
}
