//! `spadework-train evaluate`: how good models are, in numbers and side by side.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use spadework_checkpoint::LabelConfig;
use spadework_engine::{Device, Settings};
use spadework_imaging::{RgbImage, encode_jpeg, encode_png};

use crate::{
    data::{DataArgs, SampleSource},
    evaluate::{
        BATCH, EvaluationPainter, EvaluationReport, Features, HeldOut, Measures, ModelEvaluation, Paintings,
        Segmenter, SetReport, Yardstick, colored, contact_sheet,
    },
    outcome::Mistake,
};

/// Rows of a contact sheet.
const ROWS: usize = 12;

/// Measures models on held-out masks, each number beside what real images reach and what shuffled masks do
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// A model directory; give several to compare them on the same masks
    #[arg(long = "model", env = "SPADEWORK_TRAIN_MODEL", required_unless_present = "real_features")]
    models: Vec<PathBuf>,
    /// Masks of each kind to measure on; of files, at most a quarter of the pairs
    #[arg(long, env = "SPADEWORK_TRAIN_COUNT", default_value_t = 128)]
    count: u64,
    /// Batches of eight real pairs that the segmenter is trained on
    #[arg(long, env = "SPADEWORK_TRAIN_SEGMENTER_STEPS", default_value_t = 500)]
    segmenter_steps: u64,
    /// Decides which landscapes are held out, and all that is random
    #[arg(long, env = "SPADEWORK_TRAIN_SEED", default_value_t = 0)]
    seed: u64,
    /// Print JSON
    #[arg(long, env = "SPADEWORK_TRAIN_JSON")]
    json: bool,
    /// Write mask, real image and each model's image side by side, to a PNG or a JPEG
    #[arg(long, env = "SPADEWORK_TRAIN_SHEET")]
    sheet: Option<PathBuf>,
    /// Write the real images and each model's to folders in this one, for tools of your own
    #[arg(long, env = "SPADEWORK_TRAIN_WRITE_IMAGES", value_name = "DIR")]
    write_images: Option<PathBuf>,
    /// Measure two sets of feature vectors instead, from a network of your own such as Inception: a safetensors file
    /// with one matrix, an image's features in each row
    #[arg(
        long,
        env = "SPADEWORK_TRAIN_REAL_FEATURES",
        requires = "generated_features",
        conflicts_with = "models"
    )]
    real_features: Option<PathBuf>,
    /// The other set
    #[arg(long, env = "SPADEWORK_TRAIN_GENERATED_FEATURES", requires = "real_features")]
    generated_features: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

impl EvaluateArgs {
    /// Measures.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if let Some((real, generated)) = self.real_features.as_ref().zip(self.generated_features.as_ref()) {
            return self.compare_features(real, generated);
        }
        let mut painters = self.load()?;
        let (architecture, labels) = {
            let config = &painters[0].config;
            (config.architecture.clone(), config.labels.clone())
        };
        let say = |line: &str| eprintln!("{line}");
        let (training, held_out) =
            self.data.open_to_measure(&architecture, &labels, self.seed, self.count, say)?;
        let segmenter = self.segmenter(&training, architecture.label_planes())?;
        let bordered = bordered(&labels);
        let (mut sets, mut rows) = (Vec::new(), Vec::new());
        for (masks, held_out) in &held_out {
            let yardstick = Yardstick::new(held_out, &segmenter, bordered.clone())?;
            let real = yardstick.measure(&Paintings::real(held_out))?;
            let (mut models, mut painted) = (Vec::new(), Vec::new());
            for painter in &mut painters {
                let (report, paintings) = measure(painter, held_out, &yardstick, &real)?;
                models.push(report);
                painted.push(paintings);
            }
            rows.extend(sheet_rows(held_out, &painted, &labels, ROWS / self.kinds()));
            self.write_images(masks, held_out, &painters, &painted)?;
            sets.push(SetReport { masks, count: held_out.len(), real, models });
        }
        if let Some(path) = &self.sheet {
            write(path, &contact_sheet(&rows)?)?;
        }
        let segmenter_pairs = BATCH as u64 * self.segmenter_steps;
        let report = EvaluationReport { segmenter_parameters: segmenter.parameters(), segmenter_pairs, sets };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{report}");
        }
        Ok(())
    }

    /// Kinds of masks that are measured on.
    fn kinds(&self) -> usize {
        if self.data.landscapes.is_some() { 2 } else { 1 }
    }

    /// The models, which must take the same masks.
    fn load(&self) -> anyhow::Result<Vec<EvaluationPainter>> {
        let settings = Settings { device: Device::best(), precision: None, ..Settings::default() };
        let painters = self.models.iter().map(|directory| EvaluationPainter::load(directory, settings));
        let painters = painters.collect::<anyhow::Result<Vec<_>>>()?;
        for pair in painters.windows(2) {
            let [one, other] = [&pair[0].config.architecture, &pair[1].config.architecture];
            if one.label_planes() != other.label_planes() || one.mask != other.mask {
                return Err(Mistake::error(format!(
                    "{} and {} differ in their labels or sizes; compare models of the same masks",
                    pair[0].name, pair[1].name
                )));
            }
        }
        Ok(painters)
    }

    fn segmenter(&self, training: &Arc<dyn SampleSource>, classes: usize) -> anyhow::Result<Segmenter> {
        let bar = ProgressBar::new(self.segmenter_steps).with_message("training the segmenter");
        let step = |_, _| bar.inc(1);
        let segmenter = Segmenter::train(training, classes, self.segmenter_steps, self.seed, step);
        bar.finish_and_clear();
        segmenter
    }

    fn write_images(
        &self,
        masks: &str,
        held_out: &[HeldOut],
        painters: &[EvaluationPainter],
        painted: &[Paintings],
    ) -> anyhow::Result<()> {
        let Some(folder) = &self.write_images else { return Ok(()) };
        let folder = if self.kinds() > 1 { folder.join(masks) } else { folder.clone() };
        let real: Vec<_> = held_out.iter().map(|one| one.sample.image.clone()).collect();
        write_all(&folder.join("real"), &real)?;
        for (painter, paintings) in painters.iter().zip(painted) {
            write_all(&folder.join(&painter.name), &paintings.random)?;
        }
        Ok(())
    }

    fn compare_features(&self, real: &Path, generated: &Path) -> anyhow::Result<()> {
        let (real, generated) = (read_features(real)?, read_features(generated)?);
        let (frechet, kernel) = (generated.frechet(&real)?, generated.kernel(&real, self.seed)?);
        if self.json {
            println!("{}", serde_json::json!({ "frechet": frechet, "kernel": kernel }));
        } else {
            println!("Fréchet distance {frechet:.6}\nkernel distance  {kernel:.6}");
        }
        Ok(())
    }
}

/// Classes whose borders are looked at for rims, by name: what stands out from the sky and from the ground.
const BORDERED: [&str; 3] = ["clouds", "mountain", "tree"];

fn bordered(labels: &[LabelConfig]) -> Vec<u8> {
    labels.iter().filter(|label| BORDERED.contains(&label.name.as_str())).map(|label| label.id).collect()
}

/// Rows of a contact sheet: mask, real image and each model's.
fn sheet_rows(
    held_out: &[HeldOut],
    painted: &[Paintings],
    labels: &[LabelConfig],
    count: usize,
) -> Vec<Vec<RgbImage>> {
    let mut colors = vec![None; 256];
    labels.iter().for_each(|label| colors[usize::from(label.id)] = label.color);
    let row = |(index, one): (usize, &HeldOut)| {
        let mut row = vec![colored(&one.sample.labels, &colors), one.sample.image.clone()];
        row.extend(painted.iter().map(|paintings| paintings.shown(index).clone()));
        row
    };
    held_out.iter().enumerate().take(count).map(row).collect()
}

/// One model's images and numbers.
fn measure(
    painter: &mut EvaluationPainter,
    held_out: &[HeldOut],
    yardstick: &Yardstick<'_>,
    real: &Measures,
) -> anyhow::Result<(ModelEvaluation, Paintings)> {
    let bar = ProgressBar::new(2 * held_out.len() as u64);
    let paintings = Paintings::of(painter, held_out, |one| &one.sample.labels, || bar.inc(1))?;
    let control = Paintings::of(painter, held_out, |one| &one.shuffled, || bar.inc(1))?;
    bar.finish_and_clear();
    let measures = yardstick.measure(&paintings)?;
    let report = ModelEvaluation {
        name: painter.name.clone(),
        relative_iou: measures.mean_iou / real.mean_iou,
        relative_rims: measures.rims.zip(real.rims).map(|(own, real)| own / real),
        farthest_wave: measures.lattice.farthest_from(&real.lattice),
        measures,
        shuffled: yardstick.measure(&control)?,
    };
    Ok((report, paintings))
}

fn read_features(path: &Path) -> anyhow::Result<Features> {
    let wrong = |why: String| Mistake::error(format!("{} cannot be used: {why}", path.display()));
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu);
    let tensors = tensors.map_err(|error| wrong(error.to_string()))?;
    let Some((_, matrix)) = tensors.into_iter().next() else {
        return Err(wrong("it holds no tensor".to_owned()));
    };
    let rows = matrix.to_dtype(candle_core::DType::F32).and_then(|matrix| matrix.to_vec2::<f32>());
    Features::new(&rows.map_err(|error| wrong(error.to_string()))?)
}

fn write_all(folder: &Path, images: &[RgbImage]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    for (index, image) in images.iter().enumerate() {
        write(&folder.join(format!("{index:06}.png")), image)?;
    }
    Ok(())
}

/// A JPEG where the name says so, else a PNG.
fn write(path: &Path, image: &RgbImage) -> anyhow::Result<()> {
    let jpeg = path.extension().is_some_and(|end| end == "jpg" || end == "jpeg");
    let bytes = if jpeg { encode_jpeg(image, 88)? } else { encode_png(image)? };
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}
