//! The command line.

mod render_dataset;

use clap::Subcommand;
pub use render_dataset::RenderDataset;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Renders procedural landscapes with exact label maps.
    RenderDataset(RenderDataset),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// With a sentence that says what to change, or what failed.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::RenderDataset(command) => command.run(),
        }
    }
}
