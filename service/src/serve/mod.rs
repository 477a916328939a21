//! `spadework serve`: from settings to a running server, and from a signal to a stop that loses nothing.

mod address;
mod args;
mod config;
mod environment;
mod last_exit;
mod run;
mod signals;
mod watchdog;

pub use args::ServeArgs;

/// Serves until a signal stops it.
///
/// # Errors
/// When the settings or the models cannot be used, an address cannot be bound, or a device is lost.
pub fn serve(args: ServeArgs) -> anyhow::Result<()> {
    crate::logging::start(&args.log)?;
    crate::http::log_panics();
    environment::warn_of_unknown();
    let config = config::Config::resolve(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(run::run(config));
    // A model that is still being fetched or loaded keeps nobody waiting: what has come of it is on disk.
    runtime.shutdown_background();
    ended
}
