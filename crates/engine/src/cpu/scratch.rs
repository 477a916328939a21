//! Working memory of each thread.

use std::sync::{Mutex, PoisonError};

use spadework_kernels::cpu::Buffer;

/// Working memory of each thread.
pub(super) struct Scratch(Vec<Mutex<Buffer<f32>>>);

impl Scratch {
    pub(super) fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Mutex::default()).collect())
    }

    /// Lends `len` elements of the calling thread's memory.
    pub(super) fn with<R>(&self, len: usize, use_it: impl FnOnce(&mut [f32]) -> R) -> R {
        let own = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        // A panic while it was held left nothing but numbers that are about to be overwritten.
        let mut memory = self.0[own].lock().unwrap_or_else(PoisonError::into_inner);
        use_it(memory.at_least(len))
    }
}
