//! `spadework synthesize`: the server's work on files, the same bytes for the same seed.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use clap::Args;
use safetensors::{Dtype, tensor::TensorView};
use serde::de::DeserializeOwned;
use spadework_checkpoint::read_tensors;
use spadework_engine::Engine;
use spadework_imaging::{Format, Limits, Size};

use super::{
    mask_folder::{FolderMasks, INSTANCE_IDS, LABEL_IDS, instance_ids_of},
    model::ModelArgs,
    progress::Progress,
};
use crate::{
    bounds::{MOST_BATCH, at_most},
    outcome::{Mistake, in_flags, told, unreadable},
    synthesis::{
        Count, Files, Job, Latent, MaskFormat, OutputSize, PrepareError, Prepared, Resize, ServedModel,
        SynthesisOptions, input, output_size, prepare, render, run_jobs,
    },
};

/// What to make from what.
#[derive(Debug, Args)]
pub struct SynthesizeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The mask, PNG, or a folder of them; of a Cityscapes folder, its *_labelIds.png with their instances
    #[arg(long, value_name = "FILE|DIR")]
    mask: PathBuf,
    /// A picture whose style to take: PNG, JPEG or WebP
    #[arg(long, value_name = "FILE")]
    style: Option<PathBuf>,
    /// The instance map, PNG; for a folder of masks, the folder of maps of the same names
    #[arg(long, value_name = "FILE|DIR")]
    instances: Option<PathBuf>,
    /// Seed of the latent and the noise; a fresh one without it
    #[arg(long)]
    seed: Option<u64>,
    /// The latent itself: a JSON array, or a safetensors file with a tensor `z`
    #[arg(long, value_name = "FILE")]
    latent: Option<PathBuf>,
    /// One of the model's named styles
    #[arg(long, value_name = "NAME")]
    style_preset: Option<String>,
    /// 0 takes the encoder's mean, 1 a sample
    #[arg(long, value_name = "0..1")]
    style_noise: Option<f32>,
    /// Pictures from each mask, with the seeds that follow
    #[arg(long, default_value = "1", value_parser = json::<Count>)]
    count: Count,
    /// What the mask's pixels mean: auto, ids, colors, raw (ids as stored) or shown (ids as the greys shown)
    #[arg(long, default_value = "auto", value_parser = word::<MaskFormat>)]
    mask_format: MaskFormat,
    /// What to do with a mask of another size than the model's: auto (sample it if its aspect ratio fits), reject or nearest
    #[arg(long, default_value = "auto", value_parser = word::<Resize>)]
    resize: Resize,
    /// The picture's size: model or mask
    #[arg(long, default_value = "model", value_parser = word::<OutputSize>)]
    output_size: OutputSize,
    /// The picture, .png, .jpg, .webp, or .safetensors for the network's own numbers; a folder for several
    #[arg(long, value_name = "FILE|DIR")]
    out: PathBuf,
    /// Masks of a folder that are computed together
    #[arg(long, default_value_t = 4, value_parser = at_most::<MOST_BATCH>)]
    batch: usize,
}

fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// One mask and where its pictures go.
struct Item {
    mask: PathBuf,
    instances: Option<PathBuf>,
    out: PathBuf,
}

/// Makes the pictures.
///
/// # Errors
/// When a file or option cannot be used. In a folder the others are still made.
pub fn run(args: &SynthesizeArgs) -> anyhow::Result<()> {
    if args.batch == 0 {
        return Err(Mistake::error("--batch is 0; it must be at least 1"));
    }
    let items = if args.mask.is_dir() { folder(args)? } else { vec![single(args)?] };
    let style = args.style.as_deref().map(read).transpose()?;
    let options = options(args)?;
    let model = args.model.load()?;
    let mut progress = Progress::new(items.len() * args.count.get());
    let mut failed = 0;
    // How a mask was read is told once for all that follow and were read alike.
    let mut said = String::new();
    for items in items.chunks(args.batch) {
        let mut ready = Vec::new();
        for item in items {
            let beside = published_instances(&model, item);
            let instances = item.instances.as_deref().or(beside.as_deref());
            let style = args.style.as_deref().zip(style.as_deref());
            match prepare_item(&model, &item.mask, instances, style, &options) {
                Ok(prepared) => {
                    let mut sentence = prepared.report.sentence();
                    if beside.is_some() {
                        sentence += &format!(", with its *{INSTANCE_IDS}");
                    }
                    if sentence != said {
                        progress.line(&format!("{}: {sentence}", item.mask.display()));
                        said = sentence;
                    }
                    ready.push((item, prepared));
                }
                Err(error) if args.mask.is_dir() => {
                    progress.line(&told(&error));
                    failed += 1;
                }
                Err(error) => return Err(error),
            }
        }
        make(&model, &ready, args, &progress)?;
        progress.add(items.len() * args.count.get());
    }
    match failed {
        0 => Ok(()),
        _ => Err(Mistake::error(format!(
            "{failed} of {} masks could not be used; the others are done",
            items.len()
        ))),
    }
}

fn options(args: &SynthesizeArgs) -> anyhow::Result<SynthesisOptions> {
    Ok(SynthesisOptions {
        model: None,
        seed: args.seed,
        latent: args.latent.as_deref().map(read_latent).transpose()?,
        style_preset: args.style_preset.clone(),
        style_noise: args.style_noise,
        count: args.count,
        mask_format: args.mask_format,
        resize: args.resize,
        output_size: args.output_size,
        deadline_ms: None,
    })
}

fn single(args: &SynthesizeArgs) -> anyhow::Result<Item> {
    let out = if args.out.is_dir() {
        args.out.join(args.mask.file_stem().unwrap_or_default()).with_extension("png")
    } else {
        args.out.clone()
    };
    extension(&out)?;
    Ok(Item { mask: args.mask.clone(), instances: args.instances.clone(), out })
}

/// The masks of the folder, by name.
fn folder(args: &SynthesizeArgs) -> anyhow::Result<Vec<Item>> {
    if let Some(extension) = file_extension(&args.out).filter(|_| !args.out.is_dir()) {
        return Err(Mistake::error(format!(
            "--mask is a folder and --out {} names one .{extension} file; give a folder",
            args.out.display()
        )));
    }
    let FolderMasks { masks, left_out } = FolderMasks::list(&args.mask)?;
    if !left_out.is_empty() {
        eprintln!(
            "{}: of a Cityscapes folder the *{LABEL_IDS} files are masks; left out: {left_out}",
            args.mask.display()
        );
    }
    fs::create_dir_all(&args.out).map_err(|error| unwritable(&args.out, &error))?;
    if same_folder(&args.mask, &args.out) {
        return Err(Mistake::error(
            "--out is the folder of the masks, which would be overwritten; choose another",
        ));
    }
    let item = |mask: PathBuf| {
        let name = mask.file_name().unwrap_or_default();
        let instances = args.instances.as_ref().map(|folder| instances_in(folder, name));
        Item { instances, out: args.out.join(name), mask: mask.clone() }
    };
    Ok(masks.into_iter().map(item).collect())
}

/// The map of a mask's instances in `folder`: of the mask's name, or of Cityscapes' for it.
fn instances_in(folder: &Path, mask: &OsStr) -> PathBuf {
    let published = instance_ids_of(mask).map(|name| folder.join(name)).filter(|path| path.is_file());
    published.unwrap_or_else(|| folder.join(mask))
}

fn same_folder(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn prepare_item(
    model: &ServedModel,
    mask: &Path,
    instances: Option<&Path>,
    style: Option<(&Path, &[u8])>,
    options: &SynthesisOptions,
) -> anyhow::Result<Prepared> {
    let mask_bytes = read(mask)?;
    let instance_bytes = instances.map(read).transpose()?;
    let files = Files {
        mask: &mask_bytes,
        style: style.map(|(_, bytes)| bytes),
        instances: instance_bytes.as_deref(),
    };
    prepare(model, &files, options, &Limits::default(), &|| false).map_err(|error| {
        let file = match &error {
            PrepareError::Style(_) => style.map(|(path, _)| path),
            PrepareError::Instances(_) => instances,
            PrepareError::Mask(_) => Some(mask),
            _ => None,
        };
        if !error.is_user_error() {
            return anyhow::Error::new(error).context(mask.display().to_string());
        }
        let sentence = in_flags(&error.to_string());
        Mistake::error(match file {
            Some(path) => format!("{}: {sentence}", path.display()),
            None => sentence,
        })
    })
}

/// The instances that Cityscapes publishes beside a label map, for a model that uses them and a caller who gave none.
fn published_instances(model: &ServedModel, item: &Item) -> Option<PathBuf> {
    let path = item.mask.with_file_name(instance_ids_of(item.mask.file_name()?)?);
    (item.instances.is_none() && model.config().architecture.instance_edges && path.is_file()).then_some(path)
}

/// Runs the jobs of some masks together and writes their pictures.
fn make(
    model: &ServedModel,
    ready: &[(&Item, Prepared)],
    args: &SynthesizeArgs,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut engine = model.engine(0)?;
    let mut outs: Vec<(PathBuf, u64, &Prepared)> = Vec::new();
    for (item, prepared) in ready {
        for (i, seed) in prepared.seeds.iter().enumerate() {
            outs.push((numbered(&item.out, i, prepared.seeds.len()), *seed, prepared));
        }
    }
    let jobs: Vec<Job> = ready.iter().flat_map(|(_, prepared)| prepared.jobs.clone()).collect();
    if extension(&args.out).is_ok_and(|extension| extension == "safetensors") {
        for (job, (out, ..)) in jobs.iter().zip(&outs) {
            write_tensors(model, &mut engine, job, out)?;
        }
        return Ok(());
    }
    let pictures = run_jobs(&mut engine, &jobs)?;
    for (picture, (out, seed, prepared)) in pictures.into_iter().zip(outs) {
        let size = output_size(args.output_size, model.image_size(), prepared.report.original_size);
        write(&out, &render(&picture.pixels, size, format(&out)?, &|| false)?)?;
        if args.seed.is_none() {
            progress.line(&format!("{}: seed {seed}", out.display()));
        }
    }
    Ok(())
}

/// `out.png` for one picture, `out-0.png`, `out-1.png`, ... for several.
fn numbered(out: &Path, index: usize, count: usize) -> PathBuf {
    if count == 1 {
        return out.to_owned();
    }
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let extension = out.extension().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{stem}-{index}.{extension}"))
}

fn extension(out: &Path) -> anyhow::Result<String> {
    picture_extension(out).ok_or_else(|| {
        Mistake::error(format!(
            "--out {} does not say what to write; end it in .png, .jpg, .webp or .safetensors",
            out.display()
        ))
    })
}

/// What is written, by a path's ending.
const WRITTEN: [&str; 5] = ["png", "jpg", "jpeg", "webp", "safetensors"];

/// Endings of files that are not written here, and that no folder has.
const NOT_WRITTEN: [&str; 10] = ["gif", "bmp", "tif", "tiff", "avif", "heic", "jxl", "npy", "npz", "pth"];

/// What a path's ending says to write, if it says anything.
fn picture_extension(out: &Path) -> Option<String> {
    file_extension(out).filter(|extension| WRITTEN.contains(&extension.as_str()))
}

/// The ending of a path that names a file.
fn file_extension(out: &Path) -> Option<String> {
    let extension = out.extension()?.to_string_lossy().to_ascii_lowercase();
    [&WRITTEN[..], &NOT_WRITTEN].concat().contains(&extension.as_str()).then_some(extension)
}

fn format(out: &Path) -> anyhow::Result<Format> {
    Ok(match extension(out)?.as_str() {
        "jpg" | "jpeg" => Format::Jpeg,
        "webp" => Format::WebP,
        _ => Format::Png,
    })
}

/// Writes a file whole or not at all: what was there stays until all is written.
fn write(out: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let partial = out.with_file_name(format!(".{name}.partial"));
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, out));
    written.map_err(|error| {
        // It may not be there at all; the error that is told is the first one.
        let _ = fs::remove_file(&partial);
        unwritable(out, &error)
    })
}

/// What the network computes with and what comes of it: `out`, the picture in [-1, 1] (1, 3, H, W); `z` and the style's
/// `mu` and `logvar` (1, `z_dim`); the noise planes `noise.0`, `noise.1`, ... (1, 1, H, W).
fn write_tensors(model: &ServedModel, engine: &mut Engine, job: &Job, out: &Path) -> anyhow::Result<()> {
    let Size { width, height } = model.image_size();
    let input = input(engine, job)?;
    let mut tensors: HashMap<String, (Vec<usize>, Vec<f32>)> = HashMap::new();
    if let Latent::Style { picture, .. } = &job.latent {
        for posterior in engine.encode_style(&[picture.as_ref()])? {
            tensors.insert("mu".into(), (vec![1, posterior.mu.len()], posterior.mu));
            tensors.insert("logvar".into(), (vec![1, posterior.logvar.len()], posterior.logvar));
        }
    }
    if let Some(z) = &input.z {
        tensors.insert("z".into(), (vec![1, z.len()], z.clone()));
    }
    for (i, (plane, grid)) in input.noise.iter().zip(model.config().architecture.noise_planes()).enumerate() {
        tensors.insert(format!("noise.{i}"), (vec![1, 1, grid.height, grid.width], plane.clone()));
    }
    for values in engine.generate_tensor(&[input])? {
        tensors.insert("out".into(), (vec![1, 3, height, width], values));
    }
    let bytes: HashMap<String, (Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, (shape, values))| {
            (name, (shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, (shape, bytes))| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    write(out, &safetensors::serialize(views, None)?)
}

fn read_latent(path: &Path) -> anyhow::Result<Vec<f32>> {
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        let tensors = read_tensors(path)?;
        let z = tensors
            .get("z")
            .ok_or_else(|| Mistake::error(format!("{} has no tensor `z`", path.display())))?;
        return Ok(z.flatten_all()?.to_vec1()?);
    }
    serde_json::from_slice(&read(path)?)
        .map_err(|error| Mistake::error(format!("{} is no JSON array of numbers: {error}", path.display())))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let parent = path.parent().filter(|parent| error.kind() == ErrorKind::NotFound && !parent.exists());
    Mistake::error(match parent {
        Some(parent) => {
            format!("{} cannot be written: the folder {} does not exist", path.display(), parent.display())
        }
        None => format!("{} cannot be written: {error}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_pictures_are_numbered() {
        assert_eq!(numbered(Path::new("a/b.png"), 0, 1), Path::new("a/b.png"));
        assert_eq!(numbered(Path::new("a/b.png"), 2, 3), Path::new("a/b-2.png"));
    }
}
