//! Pairs in files as a source of samples.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use spadework_imaging::{
    LabelSet, Limits, Mask, MaskFormat, MaskOptions, Resize, Size, decode_instances, decode_mask,
    decode_picture, peek,
};

use super::{Pair, Sample, SampleSource, Transform, cache::ImageCache, transform::Original};
use crate::outcome::Mistake;

/// Training files may be larger than what strangers send to a server.
pub(super) const LIMITS: Limits = Limits { bytes: 256 << 20, pixels: 200_000_000, side: 65_535 };

/// Pairs in files, in an order that each epoch shuffles anew.
pub struct Files {
    pairs: Vec<Pair>,
    labels: LabelSet,
    transform: Transform,
    seed: u64,
    /// Whether each epoch has an order of its own; else it is the order of the pairs.
    shuffled: bool,
    cache: ImageCache,
    /// The orders of the last two epochs: workers may be on either side of an epoch's end.
    orders: Mutex<[Option<Order>; 2]>,
}

/// An epoch, and which pair each of its places is.
type Order = (u64, Arc<[u32]>);

/// What a [`Files`] is made of besides its pairs.
pub struct FilesOptions {
    /// The classes that label maps may name.
    pub labels: LabelSet,
    /// From a file's size to the network's.
    pub transform: Transform,
    /// Decides the order, the crops and the mirroring.
    pub seed: u64,
    /// Whether each epoch has an order of its own; else it is the order of the pairs.
    pub shuffled: bool,
    /// Bytes of decoded pairs to keep.
    pub cache_bytes: usize,
}

impl Files {
    /// A source of `pairs`.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(pairs: Vec<Pair>, options: FilesOptions) -> anyhow::Result<Self> {
        if pairs.is_empty() {
            return Err(Mistake::error("there is no label map with an image of the same name"));
        }
        let FilesOptions { labels, transform, seed, shuffled, cache_bytes } = options;
        let cache = ImageCache::new(cache_bytes);
        Ok(Self { pairs, labels, transform, seed, shuffled, cache, orders: Mutex::default() })
    }

    /// Which pair a place of an epoch is.
    fn index(&self, epoch: u64, place: u64) -> usize {
        if !self.shuffled {
            return place as usize;
        }
        // Nothing in the lock can leave it half changed.
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut orders[(epoch % 2) as usize];
        let order = match slot {
            Some((of, order)) if *of == epoch => order,
            _ => &slot.insert((epoch, self.order(epoch))).1,
        };
        order[place as usize] as usize
    }

    fn order(&self, epoch: u64) -> Arc<[u32]> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(2 * epoch);
        let mut order: Vec<u32> = (0..self.pairs.len() as u32).collect();
        order.shuffle(&mut random);
        order.into()
    }
}

impl SampleSource for Files {
    fn epoch(&self) -> u64 {
        self.pairs.len() as u64
    }

    fn sample(&self, position: u64) -> anyhow::Result<Sample> {
        let count = self.epoch();
        let (epoch, place) = (position / count, position % count);
        let index = self.index(epoch, place);
        let pair = &self.pairs[index];
        let original = self.cache.get(index, || read(pair, &self.labels))?;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(2 * epoch + 1);
        random.set_word_pos(u128::from(place) << 8);
        let sample = self.transform.apply(&original, &mut random);
        sample.with_context(|| format!("crop the sample `{}`", pair.name))
    }
}

/// Reads a pair as its files have it; the label map is brought to the image's size if it has another.
fn read(pair: &Pair, labels: &LabelSet) -> anyhow::Result<Original> {
    let bytes = read_file(&pair.image)?;
    let image = decode_picture(&bytes, &LIMITS).map_err(|error| unusable(&pair.image, &error))?;
    let size = image.size();
    let mask = read_mask(&pair.labels, labels, Some(size))?;
    let from_file = pair.instances.as_deref().map(|path| read_instances(path, size)).transpose()?;
    Ok(Original { labels: mask.labels, instances: from_file.or(mask.instances), image })
}

/// Reads a label map at `size`, or at its own.
pub(super) fn read_mask(path: &Path, labels: &LabelSet, size: Option<Size>) -> anyhow::Result<Mask> {
    let bytes = read_file(path)?;
    let own = peek(&bytes).map_err(|error| unusable(path, &error))?.size;
    let size = size.unwrap_or(own);
    let options = MaskOptions { resize: Resize::Nearest, instance_edges: true, ..MaskOptions::default() };
    let mask = match decode_mask(&bytes, labels, size, options, &LIMITS) {
        // One file may leave it open, such as a mask of class 0 and 255 alone; a data set's grey values are ids.
        Err(error) if error.is_settled_by_grey_ids() => {
            decode_mask(&bytes, labels, size, MaskOptions { format: MaskFormat::Raw, ..options }, &LIMITS)
        }
        read => read,
    };
    mask.map_err(|error| {
        // The error itself stays in the chain, so that a scan can count the ids.
        anyhow::Error::new(error).context(format!("the label map {} cannot be used", path.display()))
    })
}

fn read_instances(path: &Path, size: Size) -> anyhow::Result<spadework_imaging::InstanceMap> {
    let bytes = read_file(path)?;
    let own = peek(&bytes).map_err(|error| unusable(path, &error))?.size;
    decode_instances(&bytes, own, size, &LIMITS).map_err(|error| unusable(path, &error))
}

pub(super) fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> anyhow::Error {
    Mistake::error(format!("{} cannot be used: {error}", path.display()))
}
