//! Threads that turn bytes into pixels and back, and the bound on what they and their requests hold.
//!
//! Files are decoded, masks planned and images encoded here: never on a tokio worker, never on a device's thread. Work
//! is queued by its size, so that it waits only for work of about its own size: a stranger's 64 megapixels have a thread of
//! their own.

mod budget;
mod cost;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::oneshot;

pub use budget::{Budget, Reserved};
use cost::Costs;
pub use cost::{Kind, Work};

/// The pool. Clones are the same pool.
#[derive(Clone)]
pub struct CodecPool {
    lanes: Arc<[Lane]>,
    costs: Arc<Costs>,
    /// Bytes that requests hold.
    pub budget: Budget,
}

/// Threads for work of one order of size.
struct Lane {
    /// Pixels of the largest work that belongs here.
    most: u64,
    threads: ThreadPool,
    /// Expected nanoseconds of the work that waits or runs here.
    pending: Arc<AtomicU64>,
}

/// Pixels of the largest work of each lane, and its share of the threads.
const LANES: [(u64, usize); 3] = [(2_000_000, 1), (12_000_000, 2), (u64::MAX, 4)];

/// Work on the pool panicked; the panic has been printed.
#[derive(Debug, thiserror::Error)]
#[error("a codec panicked")]
pub struct CodecPanic;

/// Tells work in progress that nobody waits for it any more.
pub struct Gone<'a>(&'a dyn Fn() -> bool);

impl Gone<'_> {
    /// Whether the work can be given up.
    pub fn is_gone(&self) -> bool {
        (self.0)()
    }
}

impl CodecPool {
    /// A pool whose smallest work has `threads` threads, for requests that hold at most `bytes` bytes at a time.
    ///
    /// # Errors
    /// When the system starts no more threads.
    pub fn new(threads: usize, bytes: usize) -> Result<Self, ThreadPoolBuildError> {
        let lane = |(index, (most, share)): (usize, (u64, usize))| -> Result<Lane, ThreadPoolBuildError> {
            let name = move |i| if index == 0 { format!("codec {i}") } else { format!("codec {index}.{i}") };
            let threads =
                ThreadPoolBuilder::new().num_threads(threads.div_ceil(share)).thread_name(name).build()?;
            Ok(Lane { most, threads, pending: Arc::default() })
        };
        let lanes: Vec<Lane> = LANES.into_iter().enumerate().map(lane).collect::<Result<_, _>>()?;
        Ok(Self { lanes: lanes.into(), costs: Arc::default(), budget: Budget::new(bytes) })
    }

    /// How long `work` would take until it is done, what waits before it included.
    pub fn time(&self, work: Work) -> Duration {
        let lane = self.lane(work);
        let pending = Duration::from_nanos(lane.pending.load(Ordering::Relaxed));
        pending / threads(lane) + self.costs.time(work, Instant::now())
    }

    /// The least that it has ever taken, when nothing else was to be done.
    pub fn fastest(&self, work: Work) -> Duration {
        self.costs.fastest(work)
    }

    /// How many pieces of this size are worked on at a time.
    pub fn at_once(&self, work: Work) -> usize {
        self.lane(work).threads.current_num_threads()
    }

    /// Runs `job` on the pool. When the caller leaves, a job that has not begun is not done, and one that has is told.
    /// One that answers [`Ok`] counts in what is expected of its kind.
    ///
    /// # Errors
    /// When it panics.
    pub async fn run<T: Send + 'static, E: Send + 'static>(
        &self,
        work: Work,
        job: impl FnOnce(&Gone<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, CodecPanic> {
        let (answer, answered) = oneshot::channel();
        let (lane, costs) = (self.lane(work), self.costs.clone());
        let pending = Pending::new(&lane.pending, costs.time(work, Instant::now()));
        lane.threads.spawn_fifo(move || {
            if answer.is_closed() {
                return;
            }
            let began = Instant::now();
            let gone = || answer.is_closed();
            // A panic that left a rayon thread would abort the process; `job` is dropped with what it owned.
            let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| job(&Gone(&gone)))) else { return };
            if outcome.is_ok() {
                costs.observe(work, began.elapsed(), Instant::now());
            }
            drop(pending); // before anybody is told
            let _ = answer.send(outcome);
        });
        answered.await.map_err(|_| CodecPanic)
    }

    fn lane(&self, work: Work) -> &Lane {
        let lane = self.lanes.iter().position(|lane| work.pixels <= lane.most);
        &self.lanes[lane.unwrap_or(self.lanes.len() - 1)]
    }
}

fn threads(lane: &Lane) -> u32 {
    u32::try_from(lane.threads.current_num_threads()).unwrap_or(u32::MAX).max(1)
}

/// Counts among what its lane has to do, until it is dropped.
struct Pending {
    pending: Arc<AtomicU64>,
    nanos: u64,
}

impl Pending {
    fn new(pending: &Arc<AtomicU64>, expected: Duration) -> Self {
        let nanos = u64::try_from(expected.as_nanos()).unwrap_or(0);
        pending.fetch_add(nanos, Ordering::Relaxed);
        Self { pending: pending.clone(), nanos }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.pending.fetch_sub(self.nanos, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn small() -> Work {
        Work { kind: Kind::Prepare, pixels: 1 }
    }

    fn huge() -> Work {
        Work { kind: Kind::Prepare, pixels: 64_000_000 }
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_work_only() {
        let pool = CodecPool::new(1, 1 << 20).unwrap();
        assert!(pool.run::<(), ()>(small(), |_| panic!("on purpose")).await.is_err());
        assert_eq!(pool.run::<_, ()>(small(), |_| Ok(7)).await.unwrap(), Ok(7));
        assert!(pool.time(small()) < Duration::from_secs(1), "nothing waits any more");
    }

    #[tokio::test]
    async fn small_work_does_not_wait_for_a_stranger_s_large_work() {
        let pool = CodecPool::new(1, 1 << 20).unwrap();
        let (go_on, wait) = channel::<()>();
        let stranger = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run::<(), _>(huge(), move |_| wait.recv().map_err(drop)).await }
        });
        while pool.lanes[2].pending.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run::<_, ()>(small(), |_| Ok(7)).await.unwrap(), Ok(7));
        assert!(pool.time(huge()) > 2 * pool.fastest(huge()) - Duration::from_micros(1), "one is before it");
        go_on.send(()).unwrap();
        assert_eq!(stranger.await.unwrap().unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn work_is_told_that_its_caller_has_left() {
        let pool = CodecPool::new(1, 1 << 20).unwrap();
        let (tell, told) = channel();
        let caller = tokio::spawn({
            let pool = pool.clone();
            async move {
                let job = move |gone: &Gone<'_>| {
                    tell.send(()).unwrap(); // it has begun
                    while !gone.is_gone() {
                        std::thread::yield_now();
                    }
                    tell.send(()).map_err(drop)
                };
                pool.run(huge(), job).await
            }
        });
        tokio::task::yield_now().await;
        told.recv().unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        told.recv().unwrap();
    }
}
