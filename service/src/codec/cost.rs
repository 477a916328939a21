//! What work on images takes, as it was lately measured.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use spadework_batching::Estimate;
use spadework_imaging::Format;

/// A piece of work on a codec thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// What is done.
    pub kind: Kind,
    /// Pixels that it is done to: read, resized or written.
    pub pixels: u64,
}

/// What is done to pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Files are decoded, checked and planned.
    Prepare,
    /// An image is encoded as the model makes it.
    Encode(Format),
    /// An image is resized, then encoded.
    Resize(Format),
    /// Text is parsed, a pixel for a byte.
    Parse,
}

const KINDS: usize = 8;
/// What every piece of work takes beside its pixels, in pixels.
const OVERHEAD: f64 = 20_000.0;
/// Seconds a pixel before anything is measured: less than any work takes, so that none is refused for it.
const FIRST: f64 = 5e-9;

impl Work {
    fn units(self) -> f64 {
        OVERHEAD + self.pixels as f64
    }
}

impl Kind {
    fn index(self) -> usize {
        let format = |format| match format {
            Format::Png => 0,
            Format::Jpeg => 1,
            Format::WebP => 2,
        };
        match self {
            Self::Prepare => 0,
            Self::Parse => 1,
            Self::Encode(to) => 2 + format(to),
            Self::Resize(to) => 5 + format(to),
        }
    }
}

/// An estimate for each kind of work.
pub struct Costs(Mutex<[Estimate; KINDS]>);

impl Default for Costs {
    fn default() -> Self {
        Self(Mutex::new(std::array::from_fn(|_| Estimate::new(FIRST))))
    }
}

impl Costs {
    /// The expected time on a thread.
    pub fn time(&self, work: Work, now: Instant) -> Duration {
        self.with(|estimates| estimates[work.kind.index()].time(work.units(), now))
    }

    /// The least time it has taken.
    pub fn fastest(&self, work: Work) -> Duration {
        self.with(|estimates| estimates[work.kind.index()].fastest(work.units()))
    }

    /// Takes in what work took on its thread.
    pub fn observe(&self, work: Work, took: Duration, now: Instant) {
        self.with(|estimates| estimates[work.kind.index()].observe(work.units(), took, now));
    }

    fn with<T>(&self, look: impl FnOnce(&mut [Estimate; KINDS]) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
