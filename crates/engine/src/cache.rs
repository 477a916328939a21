//! What is kept from one mask to the next, and how it is counted.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use spadework_imaging::{EdgeMap, LabelMap, RgbImage};

use crate::Input;

/// What was there for a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    /// Everything.
    Hit,
    /// Some of its tables' rows.
    Partial,
    /// Nothing.
    Miss,
}

/// Counts that others may read while the engine runs.
#[derive(Debug, Default)]
pub struct CacheUse {
    hits: AtomicU64,
    partial: AtomicU64,
    misses: AtomicU64,
    bytes: AtomicU64,
}

impl CacheUse {
    /// Masks for which the cache had this, since it was last asked.
    pub fn take(&self, cached: Cached) -> u64 {
        self.counter(cached).swap(0, Ordering::Relaxed)
    }

    /// Bytes that are held now.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, cached: Cached) {
        self.counter(cached).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_bytes(&self, bytes: usize) {
        self.bytes.store(bytes as u64, Ordering::Relaxed);
    }

    fn counter(&self, cached: Cached) -> &AtomicU64 {
        match cached {
            Cached::Hit => &self.hits,
            Cached::Partial => &self.partial,
            Cached::Miss => &self.misses,
        }
    }
}

/// Images that were made, by everything that they are a function of.
#[derive(Debug)]
pub(crate) struct Images {
    most_bytes: usize,
    bytes: usize,
    /// The latest first.
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    labels: LabelMap,
    edges: Option<EdgeMap>,
    z: Option<Vec<f32>>,
    image: RgbImage,
}

impl Images {
    /// None yet; they will hold up to `most_bytes`.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, bytes: 0, entries: VecDeque::new() }
    }

    /// The image of this input. Noise is as large as an image and seldom comes again, so such inputs are not kept.
    pub(crate) fn find(&mut self, input: &Input) -> Option<RgbImage> {
        let place = self.entries.iter().position(|entry| entry.is_of(input))?;
        let entry = self.entries.remove(place)?;
        let image = entry.image.clone();
        self.entries.push_front(entry);
        Some(image)
    }

    /// Keeps an image, and lets go those that were longest unused.
    pub(crate) fn keep(&mut self, input: &Input, image: &RgbImage) {
        if !input.noise.is_empty() {
            return;
        }
        let entry = Entry {
            labels: input.plan.labels.clone(),
            edges: input.plan.edges.clone(),
            z: input.z.clone(),
            image: image.clone(),
        };
        self.bytes += entry.bytes();
        self.entries.push_front(entry);
        while self.bytes > self.most_bytes {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets them all.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.most_bytes);
    }
}

impl Entry {
    fn is_of(&self, input: &Input) -> bool {
        let same_numbers = |a: &Vec<f32>, b: &Vec<f32>| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        let same_z = match (&self.z, &input.z) {
            (None, None) => true,
            (Some(own), Some(other)) => same_numbers(own, other),
            _ => false,
        };
        input.noise.is_empty() && same_z && self.labels == input.plan.labels && self.edges == input.plan.edges
    }

    fn bytes(&self) -> usize {
        let edges = self.edges.as_ref().map_or(0, |edges| edges.edges().len());
        let z = self.z.as_ref().map_or(0, |z| size_of_val(&z[..]));
        self.labels.ids().len() + edges + z + self.image.pixels().len()
    }
}
