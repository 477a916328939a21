//! A look at all files before an hour is spent on them.

use std::{collections::BTreeMap, fmt};

use anyhow::anyhow;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::Serialize;
use spadework_imaging::{LabelSet, MaskError, Size, peek};

use super::{
    Pair, Pairs,
    files::{read_file, read_mask},
};
use crate::outcome::Mistake;

/// Names that a report lists before it only counts.
const LISTED: usize = 5;

/// What a scan found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Scan {
    /// Complete pairs.
    pub pairs: usize,
    /// Label maps without an image.
    pub without_image: Vec<String>,
    /// Images without a label map.
    pub without_labels: Vec<String>,
    /// Label maps without an instance map, where there should be one.
    pub without_instances: Vec<String>,
    /// Files that cannot be used, each with the reason.
    pub unusable: Vec<String>,
    /// Pairs whose label map has not the image's size.
    pub of_two_sizes: Vec<String>,
    /// Pixels of each value that names no class, and a file that has it.
    pub unknown_ids: BTreeMap<u16, UnknownValue>,
    /// The smallest and the largest image, by pixels.
    pub sizes: Option<(String, String)>,
    /// Share of pixels and of label maps for each class that occurs.
    pub classes: Vec<ClassShare>,
}

/// A value that names no class.
#[derive(Clone, Debug, Serialize)]
pub struct UnknownValue {
    /// Pixels that have it.
    pub pixels: u64,
    /// The sample of one of them.
    pub example: String,
}

/// How common a class is.
#[derive(Clone, Debug, Serialize)]
pub struct ClassShare {
    /// Its name.
    pub name: String,
    /// Share of all pixels.
    pub pixels: f64,
    /// Share of the label maps that have it.
    pub maps: f64,
}

/// What one pair adds.
enum Look {
    Usable { size: Size, same_size: bool, pixels: Vec<u64> },
    UnknownIds(Vec<(u16, u64)>),
    Unusable(String),
}

impl Scan {
    /// Reads every label map and every image's header.
    pub fn of(found: &Pairs, labels: &LabelSet) -> Self {
        let looks: Vec<(&Pair, Look)> =
            found.pairs.par_iter().map(|pair| (pair, look(pair, labels))).collect();
        let mut scan = Self {
            pairs: found.pairs.len(),
            without_image: found.without_image.clone(),
            without_labels: found.without_labels.clone(),
            without_instances: found.without_instances.clone(),
            ..Self::default()
        };
        let mut sizes = Vec::new();
        let (mut pixels, mut maps) = (vec![0; labels.classes()], vec![0u64; labels.classes()]);
        for (pair, look) in looks {
            match look {
                Look::Unusable(reason) => scan.unusable.push(reason),
                Look::UnknownIds(ids) => scan.count_unknown(&ids, pair),
                Look::Usable { size, same_size, pixels: here } => {
                    sizes.push(size);
                    scan.of_two_sizes.extend((!same_size).then(|| pair.name.clone()));
                    for (class, here) in here.into_iter().enumerate() {
                        pixels[class] += here;
                        maps[class] += u64::from(here > 0);
                    }
                }
            }
        }
        scan.classes = shares(labels, &pixels, &maps, sizes.len());
        let smallest = sizes.iter().min_by_key(|size| size.pixels());
        let largest = sizes.iter().max_by_key(|size| size.pixels());
        scan.sizes = smallest.zip(largest).map(|(small, large)| (small.to_string(), large.to_string()));
        scan
    }

    fn count_unknown(&mut self, ids: &[(u16, u64)], pair: &Pair) {
        for &(id, pixels) in ids {
            let new = || UnknownValue { pixels: 0, example: pair.name.clone() };
            self.unknown_ids.entry(id).or_insert_with(new).pixels += pixels;
        }
    }

    /// Whether a run over these files would stop at one of them.
    ///
    /// # Errors
    /// With the first reasons.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.pairs == 0 {
            return Err(Mistake::error("no label map has an image of the same name"));
        }
        if let Some((id, value)) = self.unknown_ids.first_key_value() {
            return Err(Mistake::error(format!(
                "{} values in the label maps name no class, the first of them {id} (in `{}`); \
                 give the model more labels, or an unknown label",
                self.unknown_ids.len(),
                value.example
            )));
        }
        if let Some(first) = self.unusable.first() {
            let count = self.unusable.len();
            return Err(Mistake::error(format!("{count} files cannot be used, the first of them: {first}")));
        }
        Ok(())
    }
}

fn look(pair: &Pair, labels: &LabelSet) -> Look {
    let image = read_file(&pair.image)
        .and_then(|bytes| peek(&bytes).map_err(|error| anyhow!("{}: {error}", pair.image.display())));
    let size = match image {
        Ok(header) => header.size,
        Err(error) => return Look::Unusable(format!("{error:#}")),
    };
    match read_mask(&pair.labels, labels, None) {
        Ok(mask) => {
            let mut pixels = vec![0; labels.classes()];
            for &id in mask.labels.ids() {
                pixels[usize::from(id)] += 1;
            }
            Look::Usable { size, same_size: mask.labels.size() == size, pixels }
        }
        Err(error) => match error.downcast_ref() {
            Some(MaskError::UnknownIds { ids, .. }) => {
                Look::UnknownIds(ids.iter().map(|unknown| (unknown.id, unknown.pixels)).collect())
            }
            _ => Look::Unusable(format!("{error:#}")),
        },
    }
}

fn shares(labels: &LabelSet, pixels: &[u64], maps: &[u64], count: usize) -> Vec<ClassShare> {
    let total = pixels.iter().sum::<u64>().max(1) as f64;
    (0..labels.classes())
        .map(|class| ClassShare {
            name: labels.name(class as u8),
            pixels: pixels[class] as f64 / total,
            maps: maps[class] as f64 / count.max(1) as f64,
        })
        .collect()
}

impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pairs", self.pairs)?;
        if let Some((smallest, largest)) = &self.sizes {
            write!(f, ", images from {smallest} to {largest}")?;
        }
        writeln!(f)?;
        for (what, names) in [
            ("label maps without an image", &self.without_image),
            ("images without a label map", &self.without_labels),
            ("label maps without an instance map", &self.without_instances),
            ("pairs whose label map has another size than the image", &self.of_two_sizes),
            ("files that cannot be used", &self.unusable),
        ] {
            list(f, what, names)?;
        }
        for (id, value) in &self.unknown_ids {
            writeln!(
                f,
                "value {id} names no class: {} pixels, such as in `{}`",
                value.pixels, value.example
            )?;
        }
        for class in self.classes.iter().filter(|class| class.maps > 0.0) {
            let ClassShare { name, pixels, maps } = class;
            writeln!(f, "  {name:<24} {:6.2}% of pixels, in {:5.1}% of maps", 100.0 * pixels, 100.0 * maps)?;
        }
        let absent: Vec<_> = self.classes.iter().filter(|c| c.maps == 0.0).map(|c| c.name.clone()).collect();
        list(f, "classes that never occur", &absent)
    }
}

fn list(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    let more = if names.len() > LISTED { ", …" } else { "" };
    writeln!(f, "{} {what}: {}{more}", names.len(), names[..names.len().min(LISTED)].join(", "))
}
