//! A model's engine alone, no HTTP and no codec.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;
use spadework_imaging::{EdgeMap, LabelMap, Limits};

use crate::{
    bounds::{MOST_BATCH, MOST_JOBS, at_most},
    commands::model::ModelArgs,
    outcome::Mistake,
    output::outln,
    synthesis::{
        EngineDescription, Files, Job, Latent, Resize, ServedModel, SynthesisOptions, input, prepare,
    },
};

/// What to time.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Batch sizes
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8], value_parser = at_most::<MOST_BATCH>)]
    batch: Vec<usize>,
    /// A mask, or a folder of them; made-up ones without it
    #[arg(long, value_name = "FILE|DIR")]
    mask: Option<PathBuf>,
    /// The masks' instance maps: a file, or a folder of files of the same names
    #[arg(long, value_name = "FILE|DIR", requires = "mask")]
    instances: Option<PathBuf>,
    /// Batches of each size that are timed
    #[arg(long, default_value_t = 10, value_parser = at_most::<MOST_JOBS>)]
    repeat: usize,
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    model: String,
    device: String,
    precision: String,
    instruction_set: Option<&'static str>,
    threads: usize,
    /// Milliseconds to plan one mask, median.
    plan_ms: f64,
    /// Milliseconds of one picture of a new mask by part, medians.
    parts_ms: BTreeMap<&'static str, f64>,
    rows: Vec<Row>,
}

/// One batch size, distinct masks. Milliseconds are for the batch.
#[derive(Serialize)]
struct Row {
    batch: usize,
    /// Nothing of the masks is cached.
    median_ms: f64,
    fastest_ms: f64,
    /// The masks of the batch before in another style; for a model without a latent, the very same pictures.
    same_masks_ms: f64,
    /// The masks of the batch before, each with a stroke of a brush 14 pixels wide.
    stroke_ms: f64,
    /// Of new masks.
    pictures_per_second: f64,
}

/// Measures.
///
/// # Errors
/// When the model or the masks cannot be used.
pub fn run(model: &ModelArgs, args: &EngineArgs, json: bool) -> anyhow::Result<()> {
    if args.batch.contains(&0) || args.repeat == 0 {
        return Err(Mistake::error("--batch and --repeat must be at least 1"));
    }
    let threads = model.threads();
    let model = model.load()?;
    let largest = args.batch.iter().copied().max().unwrap_or(1);
    let wanted = largest * (args.repeat + 1);
    let jobs = match &args.mask {
        Some(path) => from_files(&model, path, args.instances.as_deref(), wanted)?,
        None => made(wanted, |i| model.sample_jobs(1, i as u64))?,
    };
    let rows = args.batch.iter().map(|&batch| row(&model, &jobs, batch, args.repeat));
    let rows = rows.collect::<anyhow::Result<_>>()?;
    let parts = parts(&model, &jobs[..(args.repeat + 1).min(jobs.len())])?;
    let EngineDescription { device, precision, instruction_set, .. } = &model.descriptions()[0];
    let report = Report {
        model: model.name().to_owned(),
        device: device.clone(),
        precision: precision.to_string(),
        instruction_set: instruction_set.map(|set| set.name()),
        threads,
        plan_ms: ms(planning(&model, &jobs)?),
        parts_ms: parts,
        rows,
    };
    if json {
        outln!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

/// As many jobs as wanted from the files, over and over, each with a seed of its own.
fn from_files(
    model: &ServedModel,
    path: &Path,
    instances: Option<&Path>,
    wanted: usize,
) -> anyhow::Result<Vec<Job>> {
    let mut paths = if path.is_dir() {
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?
    } else {
        vec![path.to_owned()]
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    paths.sort();
    if paths.is_empty() {
        return Err(Mistake::error(format!("{} holds no .png file", path.display())));
    }
    made(wanted, |i| {
        let path = &paths[i % paths.len()];
        let mask = fs::read(path)?;
        let instances = instances.map(|folder| match (folder.is_dir(), path.file_name()) {
            (true, Some(name)) => fs::read(folder.join(name)),
            _ => fs::read(folder),
        });
        let instances = instances.transpose()?;
        let files = Files { mask: &mask, style: None, instances: instances.as_deref() };
        let options =
            SynthesisOptions { seed: Some(i as u64), resize: Resize::Nearest, ..SynthesisOptions::default() };
        Ok(prepare(model, &files, &options, &Limits::default(), &|| false)?.jobs)
    })
}

/// As many jobs as wanted.
fn made(wanted: usize, make: impl Fn(usize) -> anyhow::Result<Vec<Job>>) -> anyhow::Result<Vec<Job>> {
    let jobs: Vec<Vec<Job>> = (0..wanted).map(make).collect::<anyhow::Result<_>>()?;
    Ok(jobs.concat())
}

/// The median time that a mask takes to plan.
fn planning(model: &ServedModel, jobs: &[Job]) -> anyhow::Result<Duration> {
    let one = |job: &Job| {
        let edges = job.plan.edges().cloned();
        let start = Instant::now();
        model.planner().plan_edges(job.plan.labels(), edges)?;
        Ok(start.elapsed())
    };
    Ok(median(jobs.iter().map(one).collect::<anyhow::Result<_>>()?))
}

fn row(model: &ServedModel, jobs: &[Job], batch: usize, repeat: usize) -> anyhow::Result<Row> {
    let mut batches = jobs.chunks_exact(batch).cycle();
    let mut next = || batches.next().unwrap_or(&jobs[..batch]);
    model.time(0, next())?;
    let (mut new, mut same, mut stroke) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repeat {
        let jobs = next();
        new.push(model.time(0, jobs)?);
        let restyled: Vec<Job> = jobs.iter().map(restyled).collect();
        same.push(model.time_as_it_is(0, &restyled)?);
        let edited = jobs.iter().map(|job| edited(model, job)).collect::<anyhow::Result<Vec<_>>>()?;
        stroke.push(model.time_as_it_is(0, &edited)?);
    }
    let fastest = new.iter().min().copied().unwrap_or_default();
    let middle = median(new);
    Ok(Row {
        batch,
        median_ms: ms(middle),
        fastest_ms: ms(fastest),
        same_masks_ms: ms(median(same)),
        stroke_ms: ms(median(stroke)),
        pictures_per_second: batch as f64 / middle.as_secs_f64(),
    })
}

/// The same mask in another style, where the model has styles.
fn restyled(job: &Job) -> Job {
    let mut job = job.clone();
    if let Latent::Given(z) = &mut job.latent {
        z.rotate_left(1);
    }
    job
}

/// The mask with a stroke across its middle, and the stroke an instance of its own.
fn edited(model: &ServedModel, job: &Job) -> anyhow::Result<Job> {
    const RADIUS: f64 = 7.0;
    const LENGTH: f64 = 28.0;
    let size = model.mask_size();
    let (middle, left) = (size.height as f64 / 2.0, size.width as f64 / 2.0 - LENGTH / 2.0);
    let inside = |x: usize, y: usize| {
        let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
        (x - x.clamp(left, left + LENGTH)).hypot(y - middle) < RADIUS
    };
    let labels = job.plan.labels();
    let (classes, old) = (model.labels().classes(), labels.ids());
    let painted = (usize::from(old[size.height / 2 * size.width + size.width / 2]) + 1) % classes;
    let mut ids = old.to_vec();
    let mut edges = job.plan.edges().map(|edges| edges.edges().to_vec());
    for (index, id) in ids.iter_mut().enumerate() {
        let (x, y) = (index % size.width, index / size.width);
        let neighbours = [(x + 1, y), (x, y + 1), (x.wrapping_sub(1), y), (x, y.wrapping_sub(1))];
        let border = neighbours.iter().any(|&(a, b)| inside(a, b) != inside(x, y));
        if inside(x, y) {
            *id = painted as u8;
        }
        if let Some(edges) = edges.as_mut().filter(|_| border || inside(x, y)) {
            edges[index] = u8::from(border);
        }
    }
    let labels = LabelMap::new(size.width, size.height, ids, classes)?;
    let edges = edges.map(|edges| EdgeMap::new(size.width, size.height, edges)).transpose()?;
    Ok(Job { plan: Arc::new(model.planner().plan_edges(&labels, edges)?), ..job.clone() })
}

/// Medians of each part's time over pictures of new masks.
fn parts(model: &ServedModel, jobs: &[Job]) -> anyhow::Result<BTreeMap<&'static str, f64>> {
    let mut engine = model.engine(0)?;
    let mut times: BTreeMap<&'static str, Vec<Duration>> = BTreeMap::new();
    for job in jobs {
        engine.forget();
        let input = input(&mut engine, job)?;
        let mut sums: BTreeMap<&'static str, Duration> = BTreeMap::new();
        let mut since = Instant::now();
        engine.profile(&input, &mut |part| {
            *sums.entry(part.name()).or_default() += since.elapsed();
            since = Instant::now();
        })?;
        sums.into_iter().for_each(|(part, sum)| times.entry(part).or_default().push(sum));
    }
    Ok(times.into_iter().map(|(part, times)| (part, ms(median(times)))).collect())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Report {
    fn print(&self) {
        let isa = self.instruction_set.map(|isa| format!(", {isa}")).unwrap_or_default();
        outln!("{} on {} ({}{isa}), {} threads", self.model, self.device, self.precision, self.threads);
        outln!("plan {:.2} ms a mask", self.plan_ms);
        let parts = self.parts_ms.iter().map(|(part, ms)| format!("{part} {ms:.1}"));
        outln!("one picture, ms: {}", parts.collect::<Vec<_>>().join(", "));
        outln!("batch   new mask ms   fastest ms   same mask ms   stroke ms   pictures/s");
        for row in &self.rows {
            outln!(
                "{:5} {:13.1} {:12.1} {:14.1} {:11.1} {:12.2}",
                row.batch,
                row.median_ms,
                row.fastest_ms,
                row.same_masks_ms,
                row.stroke_ms,
                row.pictures_per_second
            );
        }
    }
}
