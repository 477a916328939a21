//! The command line.

mod bench;
mod documents;
mod health;
mod import;
mod inspect;
mod mask_folder;
mod model;
mod progress;
mod synthesize;

use clap::Subcommand;

use crate::{http, serve};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve pictures over HTTP
    Serve(Box<serve::ServeArgs>),
    /// Make pictures from a mask, or from every mask of a folder
    Synthesize(synthesize::SynthesizeArgs),
    /// Make a model directory from a published SPADE checkpoint
    Import(import::ImportArgs),
    /// Say what a model directory or a weight file holds
    Inspect(inspect::InspectArgs),
    /// Time a model's engine alone
    Bench(bench::BenchArgs),
    /// Print the API's description, OpenAPI 3.1
    Openapi,
    /// Ask a running server whether it is ready, as containers do; exits with 1 when it is not
    Health(health::HealthArgs),
    /// Print a script with which a shell completes commands and flags
    Completions(documents::CompletionsArgs),
    /// Write manual pages, one for each command
    Man(documents::ManArgs),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// With a sentence that says what to change, or what failed.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Serve(args) => serve::serve(*args),
            Self::Synthesize(args) => synthesize::run(&args),
            Self::Import(args) => import::run(args),
            Self::Inspect(args) => inspect::run(&args),
            Self::Bench(args) => bench::run(&args),
            Self::Openapi => {
                crate::output::write(format_args!("{}", http::openapi::text()?));
                Ok(())
            }
            Self::Health(args) => health::run(&args),
            Self::Completions(args) => documents::completions(&args),
            Self::Man(args) => documents::man(&args),
        }
    }
}
