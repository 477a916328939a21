//! The command line.

mod bench;
mod drive;
mod evaluate;
mod export;
mod features;
mod fit;
mod numbers;
mod render_dataset;
mod resume;
mod steer;
mod threads;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

pub use bench::BenchArgs;
pub use evaluate::EvaluateArgs;
pub use export::ExportArgs;
pub use features::FeaturesArgs;
pub use fit::FitArgs;
pub use render_dataset::RenderDataset;
pub use resume::ResumeArgs;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a generator from label maps and images
    Fit(Box<FitArgs>),
    /// Go on with a run from its last checkpoint
    Resume(ResumeArgs),
    /// Make a model directory of a run
    Export(ExportArgs),
    /// Measure models on held-out masks, side by side
    Evaluate(Box<EvaluateArgs>),
    /// Train the network that `fit --perceptual` compares images with
    Features(FeaturesArgs),
    /// Render procedural landscapes with exact label maps
    RenderDataset(RenderDataset),
    /// Time a training step
    Bench(BenchArgs),
    /// Run one training step and compare every loss, gradient and buffer with a reference
    Verify(verify::Verify),
}

impl Command {
    /// Does it, and says how the process ends.
    ///
    /// # Errors
    /// With a sentence that says what to change, or what failed.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Fit(args) => return fit::run(&args),
            Self::Resume(args) => return resume::run(&args),
            Self::Export(args) => export::run(&args)?,
            Self::Evaluate(args) => args.run()?,
            Self::Features(args) => features::run(&args)?,
            Self::RenderDataset(command) => command.run()?,
            Self::Bench(args) => bench::run(&args)?,
            Self::Verify(verify) => verify.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
