//! A model's engine alone, no HTTP and no codec.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;
use spadework_imaging::Limits;

use crate::{
    commands::model::ModelArgs,
    outcome::Mistake,
    synthesis::{Files, Job, Resize, ServedModel, SynthesisOptions, prepare},
};

/// What to time.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Batch sizes
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    batch: Vec<usize>,
    /// A mask, or a folder of them; made-up ones without it
    #[arg(long, value_name = "FILE|DIR")]
    mask: Option<PathBuf>,
    /// Batches of each size that are timed
    #[arg(long, default_value_t = 10)]
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
    rows: Vec<Row>,
}

/// One batch size, distinct masks.
#[derive(Serialize)]
struct Row {
    batch: usize,
    /// Milliseconds for the batch.
    median_ms: f64,
    fastest_ms: f64,
    /// Milliseconds for the batch when its masks are those of the batch before, with other seeds.
    same_masks_ms: f64,
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
    let (jobs, plan) = match &args.mask {
        Some(path) => from_files(&model, path, wanted)?,
        None => timed(wanted, |i| model.sample_jobs(1, i as u64))?,
    };
    let rows = args.batch.iter().map(|&batch| row(&model, &jobs, batch, args.repeat));
    let engine = model.engine(0)?;
    let instruction_set = engine.instruction_set();
    drop(engine);
    let (device, precision) = model.precisions().remove(0);
    let report = Report {
        model: model.name().to_owned(),
        device,
        precision: precision.to_string(),
        instruction_set,
        threads,
        plan_ms: ms(plan),
        rows: rows.collect::<anyhow::Result<_>>()?,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

/// As many jobs as wanted from the files, over and over, each with a seed of its own.
fn from_files(model: &ServedModel, path: &PathBuf, wanted: usize) -> anyhow::Result<(Vec<Job>, Duration)> {
    let mut paths = if path.is_dir() {
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?
    } else {
        vec![path.clone()]
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    paths.sort();
    if paths.is_empty() {
        return Err(Mistake::error(format!("{} holds no .png file", path.display())));
    }
    timed(wanted, |i| {
        let path = &paths[i % paths.len()];
        let mask = fs::read(path)?;
        let files = Files { mask: &mask, style: None, instances: None };
        let options =
            SynthesisOptions { seed: Some(i as u64), resize: Resize::Nearest, ..SynthesisOptions::default() };
        Ok(prepare(model, &files, &options, &Limits::default())?.jobs)
    })
}

/// Jobs, and the median time that one took to prepare.
fn timed(
    wanted: usize,
    make: impl Fn(usize) -> anyhow::Result<Vec<Job>>,
) -> anyhow::Result<(Vec<Job>, Duration)> {
    let mut times = Vec::with_capacity(wanted);
    let mut jobs = Vec::with_capacity(wanted);
    for i in 0..wanted {
        let start = Instant::now();
        jobs.extend(make(i)?);
        times.push(start.elapsed());
    }
    Ok((jobs, median(times)))
}

fn row(model: &ServedModel, jobs: &[Job], batch: usize, repeat: usize) -> anyhow::Result<Row> {
    let mut batches = jobs.chunks_exact(batch).cycle();
    let mut next = || batches.next().unwrap_or(&jobs[..batch]);
    model.time(0, next())?;
    let mut fresh = Vec::with_capacity(repeat);
    let mut again = Vec::with_capacity(repeat);
    for _ in 0..repeat {
        let jobs = next();
        fresh.push(model.time(0, jobs)?);
        let same: Vec<Job> =
            jobs.iter().map(|job| Job { plan: Arc::clone(&job.plan), ..job.clone() }).collect();
        again.push(model.time(0, &same)?);
    }
    let fastest = fresh.iter().min().copied().unwrap_or_default();
    let middle = median(fresh);
    Ok(Row {
        batch,
        median_ms: ms(middle),
        fastest_ms: ms(fastest),
        same_masks_ms: ms(median(again)),
        pictures_per_second: batch as f64 / middle.as_secs_f64(),
    })
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
        println!("{} on {} ({}{isa}), {} threads", self.model, self.device, self.precision, self.threads);
        println!("plan {:.2} ms a mask", self.plan_ms);
        println!("batch   median ms   fastest ms   same masks ms   pictures/s");
        for row in &self.rows {
            println!(
                "{:5} {:11.1} {:12.1} {:15.1} {:12.2}",
                row.batch, row.median_ms, row.fastest_ms, row.same_masks_ms, row.pictures_per_second
            );
        }
    }
}
