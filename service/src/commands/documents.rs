//! What packages carry besides the binary, made of the command line itself: completions and manual pages.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// For which shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Where to.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder to write to; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Prints the script.
pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Args::command(), "spadework", &mut script);
    crate::output::write(format_args!("{}", String::from_utf8_lossy(&script)));
    Ok(())
}

/// Writes `spadework.1`, `spadework-serve.1` and so on.
pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let write = || {
        std::fs::create_dir_all(&args.out)?;
        clap_mangen::generate_to(crate::Args::command().disable_help_subcommand(true), &args.out)
    };
    write().with_context(|| format!("write manual pages to {}", args.out.display()))
}
