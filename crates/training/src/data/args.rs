//! The data's part of a command line.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};
use spadework_checkpoint::LabelConfig;
use spadework_imaging::{Label, LabelSet, Size};
use spadework_model::Architecture;

use super::{
    DatasetLayout, Files, FilesOptions, Landscapes, Pairs, Preprocess, SampleSource, Scan, Split, Transform,
    pairs::Folder,
};
use crate::{evaluate::HeldOut, outcome::Mistake};

/// Told apart from the seed of a training run, so that what is measured with was never trained on.
const HELD_OUT: u64 = 0x6865_6c64_206f_7574;
/// The same for the segmenter.
const SEGMENTER: u64 = 0x7365_676d_656e_7473;

/// What kind of masks, and the pairs to measure on.
pub type HeldOutSet = (&'static str, Vec<HeldOut>);

/// Where training pairs come from.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[group(id = "source")]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Folder of label maps: PNGs of class ids
    #[arg(long, env = "SPADEWORK_TRAIN_LABELS", requires = "images")]
    pub labels: Option<PathBuf>,
    /// Folder of images with the label maps' names
    #[arg(long, env = "SPADEWORK_TRAIN_IMAGES", requires = "labels")]
    pub images: Option<PathBuf>,
    /// Folder of instance maps with the label maps' names
    #[arg(long, env = "SPADEWORK_TRAIN_INSTANCES", requires = "labels")]
    pub instances: Option<PathBuf>,
    /// A published data set's folder
    #[arg(long, env = "SPADEWORK_TRAIN_DATA", requires = "layout", conflicts_with = "labels")]
    pub data: Option<PathBuf>,
    /// How the data set lays out its files
    #[arg(long, env = "SPADEWORK_TRAIN_LAYOUT", requires = "data")]
    pub layout: Option<DatasetLayout>,
    /// The part of the data set
    #[arg(long, env = "SPADEWORK_TRAIN_SPLIT", value_enum, default_value_t)]
    pub split: Split,
    /// Render procedural landscapes instead of reading files; this many count as an epoch
    #[arg(long, env = "SPADEWORK_TRAIN_LANDSCAPES", num_args = 0..=1, default_missing_value = "20000",
          conflicts_with_all = ["labels", "data"])]
    pub landscapes: Option<u64>,
    /// Share of the landscapes that are made from a label map of plain painted shapes, as people paint
    #[arg(long, env = "SPADEWORK_TRAIN_PAINTED", default_value_t = 0.45)]
    pub painted: f64,
    /// How files are brought to the network's size [default: the preset's, else resize-and-crop]
    #[arg(long, env = "SPADEWORK_TRAIN_PREPROCESS", value_enum)]
    pub preprocess: Option<Preprocess>,
    /// The side to which files are resized before the crop; by default 286 for 256, as published
    #[arg(long, env = "SPADEWORK_TRAIN_LOAD_SIZE")]
    pub load_size: Option<usize>,
    /// Do not mirror half of the samples
    #[arg(long, env = "SPADEWORK_TRAIN_NO_FLIP")]
    pub no_flip: bool,
    /// Decoded files to keep in memory, in MiB
    #[arg(long, env = "SPADEWORK_TRAIN_CACHE_MIB", default_value_t = 2048)]
    pub cache_mib: usize,
}

impl DataArgs {
    /// The source to train on, after its scan has been reported line by line and passed.
    ///
    /// # Errors
    /// When the data cannot be used, with a sentence that says what to change.
    pub fn open(
        &self,
        architecture: &Architecture,
        labels: &[LabelConfig],
        seed: u64,
        mut report: impl FnMut(&str),
    ) -> anyhow::Result<Arc<dyn SampleSource>> {
        if let Some(epoch) = self.landscapes {
            return self.landscapes(architecture, epoch, seed);
        }
        let set = label_set(architecture, labels)?;
        let pairs = self.pairs(architecture.instance_edges)?;
        let scan = Scan::of(&pairs, &set);
        scan.to_string().lines().for_each(&mut report);
        scan.check()?;
        Ok(Arc::new(Files::new(pairs.pairs, self.options(architecture, set, seed))?))
    }

    /// Pairs to train a segmenter on, and kinds of at most `count` others each to measure with, which it never sees.
    ///
    /// # Errors
    /// When the data cannot be used, or are too few, with a sentence that says what to change.
    pub fn open_to_measure(
        &self,
        architecture: &Architecture,
        labels: &[LabelConfig],
        seed: u64,
        count: u64,
        mut report: impl FnMut(&str),
    ) -> anyhow::Result<(Arc<dyn SampleSource>, Vec<HeldOutSet>)> {
        if let Some(epoch) = self.landscapes {
            let training = self.landscapes(architecture, epoch, seed ^ SEGMENTER)?;
            let set = |masks, painted| (masks, HeldOut::landscapes(seed ^ HELD_OUT, count, painted));
            return Ok((training, vec![set("rendered", false), set("painted", true)]));
        }
        let set = label_set(architecture, labels)?;
        let mut pairs = self.pairs(architecture.instance_edges)?;
        let scan = Scan::of(&pairs, &set);
        scan.to_string().lines().for_each(&mut report);
        scan.check()?;
        let count = count.min(pairs.pairs.len() as u64 / 4);
        if count < 2 {
            return Err(Mistake::error("measuring takes at least 8 pairs; half of them train a segmenter"));
        }
        let held_out = pairs.pairs.split_off(pairs.pairs.len() - 2 * count as usize);
        let still = FilesOptions {
            labels: set.clone(),
            transform: Transform { flip: false, ..self.transform(architecture) },
            seed,
            shuffled: false,
            cache_bytes: 0,
        };
        let held_out: Arc<dyn SampleSource> = Arc::new(Files::new(held_out, still)?);
        let training = Files::new(pairs.pairs, self.options(architecture, set, seed))?;
        Ok((Arc::new(training), vec![("held-out", HeldOut::samples(&held_out, 0, count)?)]))
    }

    fn transform(&self, architecture: &Architecture) -> Transform {
        let size = Size::new(architecture.mask.width, architecture.mask.height);
        let published = |side: usize| side + side * 30 / 256;
        let load_size = self.load_size.unwrap_or(published(size.width.min(size.height)));
        Transform {
            preprocess: self.preprocess.unwrap_or(Preprocess::ResizeAndCrop),
            load_size,
            size,
            flip: !self.no_flip,
        }
    }

    fn options(&self, architecture: &Architecture, labels: LabelSet, seed: u64) -> FilesOptions {
        let cache_bytes = self.cache_mib << 20;
        FilesOptions { labels, transform: self.transform(architecture), seed, shuffled: true, cache_bytes }
    }

    fn landscapes(
        &self,
        architecture: &Architecture,
        epoch: u64,
        seed: u64,
    ) -> anyhow::Result<Arc<dyn SampleSource>> {
        let classes = spadework_scenery::CLASSES.len();
        let side = spadework_scenery::SIDE;
        let fits = architecture.label_planes() == classes && !architecture.instance_edges;
        if !fits || architecture.mask.width != side || architecture.mask.height != side {
            return Err(Mistake::error(format!(
                "landscapes have {classes} labels at {side}x{side} and no instances; give the model those"
            )));
        }
        if epoch == 0 || !(0.0..=1.0).contains(&self.painted) {
            return Err(Mistake::error("--landscapes is at least 1, and --painted a share from 0 to 1"));
        }
        Ok(Arc::new(Landscapes { seed, epoch, painted: self.painted }))
    }

    fn pairs(&self, edges: bool) -> anyhow::Result<Pairs> {
        if let Some((root, layout)) = self.data.as_ref().zip(self.layout) {
            return layout.pairs(root, self.split, edges);
        }
        let Some((labels, images)) = self.labels.as_ref().zip(self.images.as_ref()) else {
            return Err(Mistake::error("give --labels and --images, --data and --layout, or --landscapes"));
        };
        if edges && self.instances.is_none() {
            return Err(Mistake::error("the network has an edge plane; give --instances"));
        }
        let folder = |path| Folder { path, suffix: "" };
        let instances = self.instances.as_deref().filter(|_| edges).map(folder);
        Pairs::find(&folder(labels), &folder(images), instances.as_ref())
    }
}

/// The labels that a model's label maps may name.
pub(crate) fn label_set(architecture: &Architecture, labels: &[LabelConfig]) -> anyhow::Result<LabelSet> {
    let labels = labels
        .iter()
        .map(|label| Label { id: label.id, name: label.name.clone(), color: label.color })
        .collect();
    LabelSet::new(architecture.label_nc, architecture.unknown_label, labels)
        .map_err(|error| Mistake::error(error.to_string()))
}

/// Reads labels from a JSON file, as `render-dataset` writes them.
///
/// # Errors
/// When it cannot be read.
pub fn read_labels(path: &std::path::Path) -> anyhow::Result<Vec<LabelConfig>> {
    let text = fs::read(path).with_context(|| format!("read {}", path.display()));
    let text = text.map_err(|error| Mistake::error(format!("{error:#}")))?;
    serde_json::from_slice(&text)
        .map_err(|error| Mistake::error(format!("{} is no list of labels: {error}", path.display())))
}
