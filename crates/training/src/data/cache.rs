//! Decoded pairs kept in memory, up to a number of bytes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::transform::Original;

/// The pairs that were decoded first, as many as fit. An epoch reads every pair once, so which of them are kept makes
/// no difference, and none is worth driving out for another.
pub(super) struct ImageCache {
    capacity: usize,
    held: Mutex<CachedImage>,
}

#[derive(Default)]
struct CachedImage {
    bytes: usize,
    pairs: HashMap<usize, Arc<Original>>,
}

impl ImageCache {
    /// An empty cache for `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, held: Mutex::default() }
    }

    /// The pair `index`, decoded by `read` if it is not there.
    pub(super) fn get<E>(
        &self,
        index: usize,
        read: impl FnOnce() -> Result<Original, E>,
    ) -> Result<Arc<Original>, E> {
        if let Some(pair) = self.held().pairs.get(&index) {
            return Ok(pair.clone());
        }
        // Decoded outside the lock; two threads may decode the same pair, and get the same.
        let pair = Arc::new(read()?);
        let bytes = pair.bytes();
        let mut held = self.held();
        if held.bytes + bytes <= self.capacity && !held.pairs.contains_key(&index) {
            held.bytes += bytes;
            held.pairs.insert(index, pair.clone());
        }
        Ok(pair)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, CachedImage> {
        // Nothing in the lock can leave it half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Original {
    fn bytes(&self) -> usize {
        let instances = self.instances.as_ref().map_or(0, |map| 4 * map.ids().len());
        self.labels.ids().len() + self.image.pixels().len() + instances
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use spadework_imaging::{LabelMap, RgbImage};

    use super::*;

    #[test]
    fn what_fits_is_decoded_once_and_the_rest_each_time() {
        let pair = || Original {
            labels: LabelMap::new(10, 10, vec![0; 100], 1).unwrap(),
            instances: None,
            image: RgbImage::new(10, 10, vec![0; 300]).unwrap(),
        };
        let cache = ImageCache::new(900);
        let mut reads = [0; 3];
        for _ in 0..4 {
            for (index, reads) in reads.iter_mut().enumerate() {
                let read = || {
                    *reads += 1;
                    Ok::<_, Infallible>(pair())
                };
                assert_eq!(cache.get(index, read).unwrap().labels.ids().len(), 100);
            }
        }
        assert_eq!(reads, [1, 1, 4]);
    }
}
