//! Where an encoder writes: memory of at most so many bytes, which takes no more once nobody waits for them.

use std::io::{self, Write};

/// Between two questions whether anybody waits, in bytes.
const ASK_EVERY: usize = 4096;

/// Takes an encoder's bytes.
pub(crate) struct Sink<'a> {
    bytes: Vec<u8>,
    most: usize,
    stop: &'a dyn Fn() -> bool,
    /// Bytes at which it asks again.
    ask_at: usize,
    refusal: Option<Refusal>,
}

/// Why it took no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nobody waits.
    Stopped,
    /// They are more than it may hold.
    Full,
}

impl<'a> Sink<'a> {
    /// An empty one, for `most` bytes, that asks `stop` now and then.
    pub(crate) fn new(most: usize, stop: &'a dyn Fn() -> bool) -> Self {
        Self { bytes: Vec::new(), most, stop, ask_at: 0, refusal: None }
    }

    /// Why it took no more, if so.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// What it has taken.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            self.refusal.get_or_insert(Refusal::Full);
        } else if self.bytes.len() >= self.ask_at {
            self.ask_at = self.bytes.len() + ASK_EVERY;
            if (self.stop)() {
                self.refusal.get_or_insert(Refusal::Stopped);
            }
        }
        if self.refusal.is_some() {
            return Err(io::Error::other("no more is taken"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
