//! A fixed pool of threads that turn bytes into pixels and back, bounded in bytes.
//!
//! Files are decoded, masks planned and pictures encoded here: never on a tokio worker, never on a device's thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Bytes in one unit of the bound; a semaphore counts in 32 bits.
const UNIT: usize = 1024;

/// The pool. Clones are the same pool.
#[derive(Clone)]
pub struct CodecPool {
    threads: Arc<ThreadPool>,
    units: Arc<Semaphore>,
}

/// Keeps bytes of the bound taken until it is dropped.
#[derive(Debug)]
pub struct Reserved {
    _permit: OwnedSemaphorePermit,
}

/// Work on the pool panicked; the panic has been printed.
#[derive(Debug, thiserror::Error)]
#[error("a codec panicked")]
pub struct CodecPanic;

impl CodecPool {
    /// A pool of `threads` threads that holds at most `bytes` bytes of requests at a time.
    ///
    /// # Errors
    /// When the system starts no more threads.
    pub fn new(threads: usize, bytes: usize) -> Result<Self, ThreadPoolBuildError> {
        let pool =
            ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("codec {i}")).build()?;
        let units = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self { threads: Arc::new(pool), units: Arc::new(Semaphore::new(units)) })
    }

    /// Takes `bytes` of the bound, or nothing when they are not free. Never waits.
    pub fn reserve(&self, bytes: usize) -> Option<Reserved> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        let permit = self.units.clone().try_acquire_many_owned(units).ok()?;
        Some(Reserved { _permit: permit })
    }

    /// Runs `work` on the pool. When the caller leaves, work that has not begun is not done.
    ///
    /// # Errors
    /// When it panics.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CodecPanic> {
        let (answer, answered) = oneshot::channel();
        self.threads.spawn_fifo(move || {
            if answer.is_closed() {
                return;
            }
            // A panic that left a rayon thread would abort the process; `work` is dropped with what it owned.
            if let Ok(value) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = answer.send(value);
            }
        });
        answered.await.map_err(|_| CodecPanic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_its_own_work_only() {
        let pool = CodecPool::new(1, 1 << 20).unwrap();
        assert!(pool.run(|| panic!("on purpose")).await.is_err());
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }

    #[test]
    fn what_is_reserved_comes_back() {
        let pool = CodecPool::new(1, 10 * UNIT).unwrap();
        let most = pool.reserve(8 * UNIT).unwrap();
        assert!(pool.reserve(3 * UNIT).is_none());
        drop(most);
        assert!(pool.reserve(3 * UNIT).is_some());
    }
}
