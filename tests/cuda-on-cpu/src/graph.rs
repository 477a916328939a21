//! Graphs: what a capture has recorded, to be done again.

use std::sync::OnceLock;

use crate::{
    memory,
    stream::{Capture, Work},
};

pub struct Graph {
    capture: Capture,
    /// Whether there was room for its memory.
    fits: OnceLock<bool>,
}

impl Graph {
    pub fn new(capture: Capture) -> Self {
        Self { capture, fits: OnceLock::new() }
    }

    pub fn works(&self) -> &[Work] {
        &self.capture.works
    }

    /// Memory that it allocates and leaves: it cannot be launched twice.
    pub fn leaks(&self) -> bool {
        self.capture.allocated.iter().any(|address| !self.capture.freed.contains(address))
    }

    /// Takes its memory, all of which it has to itself. Answers whether there is room.
    pub fn take_memory(&self) -> bool {
        *self.fits.get_or_init(|| memory::commit(&self.capture.allocated))
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.capture.allocated.iter().for_each(|&address| _ = memory::free(address));
    }
}
