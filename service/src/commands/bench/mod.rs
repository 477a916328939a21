//! `spadework bench`: an engine alone, or with `--url` a running server under load.

mod engine;
mod load;

use clap::Args;

use super::model::ModelArgs;

/// What to measure.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    engine: engine::EngineArgs,
    #[command(flatten)]
    load: load::LoadArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Measures.
///
/// # Errors
/// When the model, the masks or the server cannot be used.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    match args.load.url() {
        Some(url) => load::run(url, &args.load, args.model.given(), args.json),
        None => engine::run(&args.model, &args.engine, args.json),
    }
}
