//! Gathers jobs into batches for a worker; knows time and deadlines, not pixels.
//!
//! A worker thread per device **pulls when it is free**, and jobs keep joining until that moment: nothing is
//! batched by waiting while a device is idle, and no batch that could grow is frozen while a device is busy. One
//! that cannot is given to a device ahead, where the device works by itself ([`Started::Running`]). Jobs of one
//! [`Queue`] run first come, first served; between queues the earliest deadline goes first. A job is admitted
//! when it is predicted to be answered in time and to make nobody else late; otherwise it is refused at once.
//! Nothing waits to enqueue.
//!
//! Read in this order: [`policy`] decides and holds no state, [`scheduler`] holds the state and no thread,
//! [`Batcher`] adds the threads and the lock. Only the last reads a clock, and the clock is an argument.
//!
//! ```
//! # use std::{sync::Arc, time::{Duration, Instant}};
//! # use spadework_batching::*;
//! struct Doubler;
//! impl Worker for Doubler {
//!     type Key = &'static str;
//!     type Job = u32;
//!     type Output = u32;
//!     fn start(&mut self, _: &&'static str, jobs: &[u32]) -> Result<Started<u32>, BatchError> {
//!         Ok(Started::Complete(jobs.iter().map(|job| job * 2).collect()))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let devices = vec![Device::new("cpu", || Ok(Doubler))];
//! let batcher = Batcher::start(Settings::default(), Arc::new(Instant::now), Arc::new(()), devices)?;
//! let cost = CostModel::measured(&[(1, Duration::from_millis(1)), (8, Duration::from_millis(2))])?;
//! let queue = batcher.open("doubles", cost);
//!
//! let deadline = Instant::now() + Duration::from_secs(5);
//! assert_eq!(queue.submit(21, size_of::<u32>(), deadline)?.await?.output, 42);
//! # Ok(()) }
//! ```

mod answer;
mod arrivals;
mod batcher;
mod clock;
mod cost;
mod device_thread;
mod error;
mod estimate;
mod job_queue;
mod observer;
pub mod policy;
mod queue;
pub mod scheduler;
mod settings;
mod shared;
mod ticket;
mod watcher;
mod worker;

pub use answer::Completed;
pub use arrivals::Arrivals;
pub use batcher::Batcher;
pub use clock::Clock;
pub use cost::{CostError, CostModel};
pub use error::{BatchError, Cause, Failure, FailureReason, Refused, StartError};
pub use estimate::Estimate;
pub use job_queue::{JobQueue, QueueId, Waiting};
pub use observer::{Observer, Stage};
pub use queue::{Queue, Reservation};
pub use scheduler::{Limits, QueueStatus};
pub use settings::Settings;
pub use shared::Health;
pub use ticket::Ticket;
pub use worker::{AwaitOutputs, BatchOutputs, Device, EndSignal, Started, Worker};
