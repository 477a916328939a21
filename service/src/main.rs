//! Spadework turns semantic masks into photographs: the server, and the commands around it.

#![expect(unreachable_pub, reason = "the modules of a binary are public to one another only")]

mod bounds;
mod codec;
mod commands;
mod compute;
mod embedded;
mod fleet;
mod http;
mod library;
mod load;
mod logging;
mod outcome;
mod output;
mod serve;
mod synthesis;
mod text;
mod traces;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;

/// Turns semantic masks into photographs with the SPADE generator.
#[derive(Debug, Parser)]
#[command(name = "spadework", version, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
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
