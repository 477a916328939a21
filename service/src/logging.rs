//! Log lines: text for people, JSON for machines, always to standard error.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::{EnvFilter, fmt};

use crate::outcome::Mistake;

/// What is logged, and how.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// What to log: a level, or directives such as `info,spadework=debug`; else RUST_LOG says, else it is `info`
    #[arg(long, env = "SPADEWORK_LOG")]
    pub log: Option<String>,
    /// How to log it
    #[arg(long, env = "SPADEWORK_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Tells warnings on standard error, for commands that log nothing else.
pub fn warnings() {
    let filter = rust_log().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("spadework=warn"));
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Another one that logs already tells them.
    let _ = lines.without_time().with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init();
}

/// The variable that programs of this kind read their directives from.
fn rust_log() -> Option<String> {
    std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty())
}

/// Starts logging to standard error.
///
/// # Errors
/// When the directives cannot be read.
pub fn start(args: &LogArgs) -> anyhow::Result<()> {
    let (place, text) = match (&args.log, rust_log()) {
        (Some(text), _) => ("--log", text.clone()),
        (None, Some(text)) => ("RUST_LOG", text),
        (None, None) => ("--log", "info".to_owned()),
    };
    let filter = EnvFilter::try_new(&text)
        .map_err(|error| Mistake::error(format!("{place} `{text}` cannot be read: {error}")))?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).init()
        }
    }
    Ok(())
}
