//! Graphs: what a capture has recorded, to be done again.

use std::sync::{Mutex, PoisonError};

use crate::{
    memory,
    stream::{Capture, Work},
};

pub struct Graph {
    capture: Capture,
    /// Whether it has its memory.
    taken: Mutex<bool>,
}

impl Graph {
    pub fn new(capture: Capture) -> Self {
        Self { capture, taken: Mutex::new(false) }
    }

    pub fn works(&self) -> &[Work] {
        &self.capture.works
    }

    /// Memory that it allocates and leaves: it cannot be launched twice.
    pub fn leaks(&self) -> bool {
        self.capture.allocated.iter().any(|address| !self.capture.freed.contains(address))
    }

    /// Takes its memory, all of which it has to itself. Answers whether there is room; where there is none, it may be tried
    /// again.
    pub fn take_memory(&self) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = *taken || memory::commit(&self.capture.allocated);
        *taken
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.capture.allocated.iter().for_each(|&address| _ = memory::free(address));
    }
}
