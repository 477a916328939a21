//! How many instances a load needs, and what a million pictures cost: the arithmetic beside a simulation of the real
//! scheduler, as a table.
//!
//!     spadework bench --json >bench.json
//!     cargo run --release -p spadework-batching --example capacity -- --bench bench.json --price 0.10

mod fleet;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use fleet::{Balancer, Plan, capacity, simulate};
use serde::Deserialize;
use spadework_batching::CostModel;

/// Loads of an instance that the table has, as shares of its capacity, as nearly as whole instances allow.
const LOADS: [f64; 7] = [0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 2.0];

/// What to plan for.
#[derive(Debug, Parser)]
struct Args {
    /// What `spadework bench --json` printed
    #[arg(long, value_name = "FILE")]
    bench: PathBuf,
    /// Pictures an hour
    #[arg(long, default_value_t = 1e6)]
    per_hour: f64,
    /// Price of an instance for an hour
    #[arg(long, default_value_t = 0.10)]
    price: f64,
    /// Deadline of a request, in seconds
    #[arg(long, default_value_t = 2.0)]
    deadline: f64,
    /// From a batch's end to its answers, in milliseconds
    #[arg(long, default_value_t = 5.0)]
    codec_ms: f64,
    /// By how much the time of a batch varies, as a share
    #[arg(long, default_value_t = 0.1)]
    jitter: f64,
    /// Seconds of traffic that are simulated
    #[arg(long, default_value_t = 300.0)]
    seconds: f64,
}

#[derive(Deserialize)]
struct Bench {
    model: String,
    threads: usize,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    batch: usize,
    median_ms: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let bench: Bench = serde_json::from_slice(&fs::read(&args.bench)?)?;
    let points = bench.rows.iter().map(|row| (row.batch, Duration::from_secs_f64(row.median_ms / 1e3)));
    let cost = CostModel::measured(&points.collect::<Vec<_>>())?;
    let (rate, one) = (args.per_hour / 3600.0, capacity(&cost));
    println!(
        "{} on {} threads: {one:.1} pictures a second in batches of {}; {:.0} an hour are {rate:.0} a second, \
         deadline {} s\n",
        bench.model,
        bench.threads,
        cost.knee(),
        args.per_hour,
        args.deadline,
    );
    println!(
        "| load | instances | balancer | p50 ms | p95 ms | p99 ms | refused | late | mean batch | a million cost |"
    );
    println!("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    // Few instances cannot be at every load.
    let mut fleets = LOADS.map(|load| (rate / (load * one)).ceil() as usize).to_vec();
    fleets.dedup();
    for instances in fleets {
        for balancer in [Balancer::Random, Balancer::LeastOfTwo] {
            let plan = Plan {
                instances,
                balancer,
                rate,
                deadline: Duration::from_secs_f64(args.deadline),
                span: Duration::from_secs_f64(args.seconds),
                cost: cost.clone(),
                codec: Duration::from_secs_f64(args.codec_ms / 1e3),
                jitter: args.jitter,
            };
            print_row(&plan, rate / (instances as f64 * one), args.price);
        }
    }
    Ok(())
}

fn print_row(plan: &Plan, load: f64, price: f64) {
    let outcome = simulate(plan);
    let ms = |share| outcome.percentile(share).as_secs_f64() * 1e3;
    let percent = |count: usize| 100.0 * count as f64 / outcome.requests.max(1) as f64;
    let balancer = match plan.balancer {
        Balancer::Random => "random",
        Balancer::LeastOfTwo => "least of two",
    };
    println!(
        "| {:.0}% | {} | {balancer} | {:.0} | {:.0} | {:.0} | {:.2}% | {:.2}% | {:.2} | {:.2} |",
        100.0 * load,
        plan.instances,
        ms(0.5),
        ms(0.95),
        ms(0.99),
        percent(outcome.refused),
        percent(outcome.late),
        (outcome.requests - outcome.refused) as f64 / outcome.batches.max(1) as f64,
        plan.instances as f64 * price * 1e6 / (3600.0 * outcome.useful_per_second()),
    );
}
