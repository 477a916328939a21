//! What the settings mean. Resolving them reports every mistake at once.

use std::{net::SocketAddr, time::Duration};

use axum::http::HeaderValue;
use spadework_batching::{Limits as QueueLimits, Settings as Batching};
use spadework_engine::Device;
use spadework_imaging::Limits;

use super::ServeArgs;
use crate::{
    compute::cores,
    fleet::FleetConfig,
    http::{HttpSettings, KeyRing, RateLimit},
    library::Library,
    outcome::{Mistake, several},
    traces::Traces,
};

/// Bytes in a MiB.
const MIB: usize = 1 << 20;

/// Everything a server is started with.
pub struct Config {
    /// The public address.
    pub listen: SocketAddr,
    /// The operator's, if it is another.
    pub admin_listen: Option<SocketAddr>,
    /// The models' files.
    pub library: Library,
    /// How they are run.
    pub fleet: FleetConfig,
    /// Threads that decode and encode.
    pub codec_threads: usize,
    /// Bytes they may hold.
    pub codec_bytes: usize,
    /// Bounds of requests.
    pub http: HttpSettings,
    /// Who may call.
    pub keys: KeyRing,
    /// How often.
    pub rate: Option<RateLimit>,
    /// From which pages.
    pub cors: Vec<HeaderValue>,
    /// Where traces go.
    pub traces: Traces,
    /// How to stop.
    pub stop: StopConfig,
}

/// How a server stops.
#[derive(Clone, Copy, Debug)]
pub struct StopConfig {
    /// Unready, but serving.
    pub lame_duck: Duration,
    /// From the signal to the end.
    pub grace: Duration,
    /// How long a stalled device is waited for.
    pub stall_patience: Duration,
}

impl Config {
    /// Checks the settings and reads what they point to, but no weights.
    ///
    /// # Errors
    /// With every mistake, one a line.
    pub fn resolve(args: ServeArgs) -> anyhow::Result<Self> {
        let mut mistakes = plain_mistakes(&args);
        let library = keep(&mut mistakes, Library::open(&args.library).map_err(several));
        mistakes.extend(unknown_default(&args, library.as_ref()));
        let keys = keep(&mut mistakes, KeyRing::open(args.keys_file.clone()).map_err(anyhow::Error::from));
        let cors = keep(&mut mistakes, origins(&args.cors_origin));
        let traces = keep(&mut mistakes, Traces::start(&args.traces));
        let (Some(library), Some(keys), Some(cors), Some(traces), true) =
            (library, keys, cors, traces, mistakes.is_empty())
        else {
            return Err(Mistake::error(mistakes.join("\n")));
        };
        let limits = Limits {
            bytes: args.max_mib * MIB,
            pixels: args.max_megapixels * 1_000_000,
            ..Limits::default()
        };
        Ok(Self {
            listen: args.listen,
            admin_listen: args.admin_listen,
            codec_threads: codec_threads(&args),
            codec_bytes: args.codec_mib * MIB,
            http: HttpSettings { limits, deadline: *args.deadline, upload_timeout: *args.upload_timeout },
            rate: args.rate_limit.map(RateLimit::new),
            stop: StopConfig {
                lame_duck: *args.lame_duck,
                grace: *args.grace,
                stall_patience: *args.stall_after,
            },
            fleet: fleet_config(&args),
            library,
            keys,
            cors,
            traces,
        })
    }
}

fn fleet_config(args: &ServeArgs) -> FleetConfig {
    let limits = QueueLimits { jobs: args.queue_jobs, bytes: args.queue_mib * MIB };
    FleetConfig {
        devices: args.compute.settings(),
        default_model: args.default_model.clone(),
        max_batch: args.max_batch,
        batching: Batching { limits, stall_after: *args.stall_after, ..Batching::default() },
    }
}

/// Beside a CPU engine most cores are the engine's; beside a GPU half of them have little else to do.
fn codec_threads(args: &ServeArgs) -> usize {
    let cpu = args.compute.settings().iter().any(|settings| settings.device == Device::Cpu);
    match args.codec_threads {
        0 => cores().div_ceil(if cpu { 4 } else { 2 }),
        threads => threads,
    }
}

fn plain_mistakes(args: &ServeArgs) -> Vec<String> {
    let checks = [
        (args.max_batch == 0, "--max-batch is 0; it must be at least 1"),
        (args.queue_jobs == 0, "--queue-jobs is 0; it must be at least 1"),
        (args.queue_mib == 0, "--queue-mib is 0; it must be at least 1"),
        (args.max_mib == 0, "--max-mib is 0; it must be at least 1"),
        (args.max_megapixels == 0, "--max-megapixels is 0; it must be at least 1"),
        (
            args.codec_mib < args.max_mib,
            "--codec-mib is smaller than --max-mib: no request of that size would be read",
        ),
        (args.deadline.is_zero(), "--deadline is 0; no request could be answered"),
        (*args.lame_duck >= *args.grace, "--lame-duck must be shorter than --grace, which includes it"),
        (
            args.admin_listen == Some(args.listen) && args.listen.port() != 0,
            "--admin-listen is the same address as --listen; leave it out or choose another port",
        ),
    ];
    checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, sentence)| sentence.to_owned()).collect()
}

fn unknown_default(args: &ServeArgs, library: Option<&Library>) -> Option<String> {
    let name =
        args.default_model.as_deref().filter(|name| library.is_some_and(|library| library.lacks(name)))?;
    Some(format!("--default-model: there is no model `{name}`"))
}

fn origins(origins: &[String]) -> anyhow::Result<Vec<HeaderValue>> {
    let origin = |origin: &String| {
        let shape = origin.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'));
        HeaderValue::from_str(origin).ok().filter(|_| shape).ok_or_else(|| {
            Mistake::error(format!("--cors-origin `{origin}` is no origin; write it as https://example.com"))
        })
    };
    origins.iter().map(origin).collect()
}

/// The value, or one more mistake.
fn keep<T>(mistakes: &mut Vec<String>, result: anyhow::Result<T>) -> Option<T> {
    result.map_err(|error| mistakes.push(format!("{error:#}"))).ok()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn resolve(typed: &[&str]) -> Result<Config, String> {
        let typed = Typed::parse_from([&["serve"], typed].concat());
        Config::resolve(typed.args).map_err(|error| error.to_string())
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let wrong = [
            "--max-batch=0",
            "--lame-duck=1m",
            "--models=/nowhere:/neither",
            "--models=ftp://host/models",
            "--cors-origin=example.com",
        ];
        assert!(resolve(&["--default-model=venus"]).err().unwrap().contains("`venus`"));
        let said = resolve(&wrong).err().unwrap();
        for part in ["--max-batch", "--lame-duck", "/nowhere", "/neither", "ftp://", "--cors-origin"] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    }

    #[test]
    fn the_defaults_are_a_server() {
        let config = resolve(&[]).unwrap();
        assert_eq!(config.listen.port(), 8080);
        assert_eq!(config.http.limits, Limits { bytes: 25 << 20, pixels: 64_000_000, ..Limits::default() });
        assert_eq!(config.stop.lame_duck, Duration::from_secs(5));
    }
}
