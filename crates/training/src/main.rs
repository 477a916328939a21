//! `spadework-train`: trains SPADE generators, measures them, and makes model directories of them.

use std::process::ExitCode;

use clap::Parser;
use spadework_kernels::prepare_for_training;
use spadework_training::{commands::Command, outcome};

/// Trains SPADE generators from label maps and photographs.
#[derive(Debug, Parser)]
#[command(name = "spadework-train", version, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    prepare_for_training();
    outcome::exit_code(Args::parse().command.run())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Args::command().debug_assert();
    }
}
