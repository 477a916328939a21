//! The command line.

use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// With a sentence that says what to change, or what failed.
    pub fn run(self) -> anyhow::Result<()> {
        match self {}
    }
}
