//! `spadework-train render-dataset`: procedural landscapes with exact label maps, in files.

use std::{
    fs,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::Serialize;
use spadework_imaging::{encode_label_png, encode_png};

use crate::{
    data::{Landscapes, Recipe},
    outcome::Mistake,
};

/// Renders procedural landscapes: `labels/`, `images/`, `labels.json` and `manifest.jsonl`
#[derive(Debug, Args)]
pub struct RenderDataset {
    /// Landscapes to render
    #[arg(long, env = "SPADEWORK_TRAIN_COUNT", default_value_t = 1000)]
    count: u64,
    /// The same seed renders the same landscapes
    #[arg(long, env = "SPADEWORK_TRAIN_SEED", default_value_t = 0)]
    seed: u64,
    /// Share of the landscapes that are made from a label map of plain painted shapes, as people paint
    #[arg(long, env = "SPADEWORK_TRAIN_PAINTED", default_value_t = 0.45)]
    painted: f64,
    /// Folder to write to; made if it does not exist
    #[arg(long, env = "SPADEWORK_TRAIN_OUT")]
    out: PathBuf,
}

/// A line of the manifest.
#[derive(Serialize)]
struct DatasetLine<'a> {
    name: &'a str,
    #[serde(flatten)]
    recipe: Recipe,
}

impl RenderDataset {
    /// Renders them.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if !(0.0..=1.0).contains(&self.painted) {
            return Err(Mistake::error("--painted is a share; give a number from 0 to 1"));
        }
        let (labels, images) = (self.out.join("labels"), self.out.join("images"));
        for folder in [&labels, &images] {
            make_empty(folder)?;
        }
        let source = Landscapes { seed: self.seed, epoch: self.count.max(1), painted: self.painted };
        self.write_manifest(&source)?;
        let bar = Arc::new(ProgressBar::new(self.count));
        let started = Instant::now();
        (0..self.count).into_par_iter().try_for_each(|position| {
            let sample = source.recipe(position).render();
            let name = name(position);
            write(&labels.join(&name), &encode_label_png(&sample.labels)?)?;
            write(&images.join(&name), &encode_png(&sample.image)?)?;
            bar.inc(1);
            anyhow::Ok(())
        })?;
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        println!("{} landscapes in {seconds:.1} s, {:.1} a second", self.count, self.count as f64 / seconds);
        Ok(())
    }

    fn write_manifest(&self, source: &Landscapes) -> anyhow::Result<()> {
        write(&self.out.join("labels.json"), &serde_json::to_vec_pretty(&Landscapes::labels())?)?;
        let path = self.out.join("manifest.jsonl");
        let file = fs::File::create(&path).with_context(|| format!("write {}", path.display()))?;
        let mut file = BufWriter::new(file);
        for position in 0..self.count {
            let line = DatasetLine { name: &name(position), recipe: source.recipe(position) };
            writeln!(file, "{}", serde_json::to_string(&line)?)?;
        }
        file.flush().with_context(|| format!("write {}", path.display()))
    }
}

fn name(position: u64) -> String {
    format!("{position:06}.png")
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

/// Makes a folder; one with files in it is not mixed with others.
fn make_empty(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    let mut entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Mistake::error(format!("{} has files in it; choose another --out", folder.display()))),
    }
}
