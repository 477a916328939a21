//! What the settings mean. Resolving them reports every mistake at once.

use std::{path::PathBuf, time::Duration};

use axum::http::HeaderValue;
use spadework_batching::{Limits as QueueLimits, Settings as Batching};
use spadework_engine::Device;
use spadework_imaging::Limits;

use super::{ServeArgs, address::Address};
use crate::{
    bounds::{MOST_BATCH, MOST_JOBS, MOST_MIB, MOST_THREADS},
    compute::cores,
    fleet::FleetConfig,
    http::{HttpSettings, KeyRing, RateLimit},
    library::Library,
    outcome::{Mistake, several, told},
    traces::Traces,
};

/// Bytes in a MiB.
const MIB: usize = 1 << 20;

/// Everything a server is started with.
pub struct Config {
    /// The public address.
    pub listen: Address,
    /// The operator's, if it is another.
    pub admin_listen: Option<Address>,
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
    /// Where it is noted how the process ends.
    pub exit_file: Option<PathBuf>,
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
        let (lame_duck, grace) = (*args.lame_duck, grace(&args));
        let limits = Limits {
            bytes: args.max_mib * MIB,
            pixels: args.max_megapixels * 1_000_000,
            ..Limits::default()
        };
        Ok(Self {
            listen: args.listen.clone(),
            admin_listen: args.admin_listen.clone(),
            codec_threads: codec_threads(&args),
            codec_bytes: args.codec_mib * MIB,
            http: HttpSettings { limits, deadline: *args.deadline, upload_timeout: *args.upload_timeout },
            rate: args.rate_limit.map(RateLimit::new),
            stop: StopConfig { lame_duck, grace, stall_patience: *args.stall_after },
            exit_file: args.exit_file.clone(),
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

/// What is left after the last request that was welcomed in the lame duck has had its time.
const GRACE_TO_SPARE: Duration = Duration::from_secs(10);

fn grace(args: &ServeArgs) -> Duration {
    let usual = args.lame_duck.saturating_add(*args.deadline).saturating_add(GRACE_TO_SPARE);
    args.grace.map_or(usual, |grace| *grace)
}

/// The numbers, the least and the most that each can be.
fn numbers(args: &ServeArgs) -> [(&'static str, u64, u64, u64); 8] {
    const MIB: u64 = MOST_MIB as u64;
    [
        ("--max-batch", args.max_batch as u64, 1, MOST_BATCH as u64),
        ("--codec-threads", args.codec_threads as u64, 0, MOST_THREADS as u64),
        ("--queue-jobs", args.queue_jobs as u64, 1, MOST_JOBS as u64),
        ("--queue-mib", args.queue_mib as u64, 1, MIB),
        ("--codec-mib", args.codec_mib as u64, 1, MIB),
        ("--max-mib", args.max_mib as u64, 1, 1 << 16),
        ("--max-megapixels", args.max_megapixels, 1, 4096),
        ("--rate-limit", args.rate_limit.map_or(1, |rate| rate.get().into()), 1, 1_000_000),
    ]
}

/// The times, and the least that each can be. None is more than a day, which the clock can hold.
fn times(args: &ServeArgs) -> [(&'static str, Duration, Duration); 5] {
    let least = Duration::from_millis(1);
    [
        ("--deadline", *args.deadline, least),
        ("--upload-timeout", *args.upload_timeout, least),
        ("--stall-after", *args.stall_after, least),
        ("--lame-duck", *args.lame_duck, Duration::ZERO),
        ("--grace", grace(args), Duration::ZERO),
    ]
}

fn plain_mistakes(args: &ServeArgs) -> Vec<String> {
    const DAY: Duration = Duration::from_secs(86_400);
    let numbers =
        numbers(args).into_iter().filter(|(_, value, least, most)| !(least..=most).contains(&value));
    let numbers = numbers
        .map(|(flag, value, least, most)| format!("{flag} is {value}; it must be from {least} to {most}"));
    let times = times(args).into_iter().filter(|(_, time, least)| !(*least..=DAY).contains(time));
    let times = times.map(|(flag, time, least)| {
        let time = humantime::format_duration(time);
        format!("{flag} is {time}; it must be from {} to 1day", humantime::format_duration(least))
    });
    let same = args.admin_listen.as_ref().is_some_and(|admin| admin.is_taken_by(&args.listen));
    let others = [
        (
            args.codec_mib < args.max_mib,
            "--codec-mib is smaller than --max-mib: no request of that size would be read",
        ),
        (*args.lame_duck >= grace(args), "--lame-duck must be shorter than --grace, which includes it"),
        (same, "--admin-listen is the same address as --listen; leave it out or choose another port"),
    ];
    let others = others.into_iter().filter(|(wrong, _)| *wrong).map(|(_, sentence)| sentence.to_owned());
    numbers.chain(times).chain(others).collect()
}

fn unknown_default(args: &ServeArgs, library: Option<&Library>) -> Option<String> {
    let name =
        args.default_model.as_deref().filter(|name| library.is_some_and(|library| library.lacks(name)))?;
    let known = library.map(Library::names).unwrap_or_default();
    Some(format!("--default-model: there is no model `{name}`; there are {known}"))
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
    result.map_err(|error| mistakes.push(told(&error))).ok()
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
        let typed = Typed::try_parse_from([&["serve"], typed].concat()).map_err(|error| error.to_string())?;
        Config::resolve(typed.args).map_err(|error| error.to_string())
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let wrong = [
            "--max-batch=0",
            "--grace=30s",
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
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.http.limits, Limits { bytes: 25 << 20, pixels: 64_000_000, ..Limits::default() });
        assert_eq!(config.stop.lame_duck, Duration::from_secs(5));
        assert!(config.stop.grace > config.stop.lame_duck + config.http.deadline);
    }

    #[test]
    fn what_no_machine_has_is_refused_with_a_sentence_each() {
        let said = |typed: String| resolve(&[&typed]).err().unwrap();
        for (flag, least, most) in [
            ("max-batch", 1_u64, 1024_u64),
            ("codec-threads", 0, 1024),
            ("queue-jobs", 1, 1_000_000),
            ("queue-mib", 1, 1 << 20),
            ("codec-mib", 1, 1 << 20),
            ("max-mib", 1, 1 << 16),
            ("max-megapixels", 1, 4096),
            ("rate-limit", 1, 1_000_000),
        ] {
            let beyond = [most + 1, u64::from(u32::MAX)];
            let beyond =
                beyond.into_iter().chain([1 << 44, u64::MAX].into_iter().filter(|_| flag != "rate-limit"));
            for number in beyond.chain(least.checked_sub(1).filter(|_| flag != "rate-limit")) {
                let sentence = format!("--{flag} is {number}; it must be from {least} to {most}");
                let said = said(format!("--{flag}={number}"));
                assert!(said.lines().any(|line| line == sentence), "{sentence}\n{said}");
            }
        }
        assert!(said("--table-cache-mib=17592186044416".to_owned()).contains("from 0 to 1048576"));
        assert!(said("--threads=1025".to_owned()).contains("from 0 to 1024"));
    }

    #[test]
    fn times_that_no_clock_holds_and_times_of_nothing_are_refused_with_a_sentence_each() {
        for (flag, least) in [
            ("deadline", "1ms"),
            ("upload-timeout", "1ms"),
            ("stall-after", "1ms"),
            ("lame-duck", "0s"),
            ("grace", "0s"),
        ] {
            for (typed, time) in
                [("25h", "1day 1h"), ("400days", "1year 1month 4days 7h 26m 24s"), ("0s", "0s")]
            {
                let said = resolve(&[&format!("--{flag}={typed}")]);
                let sentence = format!("--{flag} is {time}; it must be from {least} to 1day");
                let is_said = said.err().is_some_and(|said| said.lines().any(|line| line == sentence));
                assert_eq!(is_said, typed != "0s" || least != "0s", "{sentence}");
            }
        }
        assert!(resolve(&["--deadline=soon"]).err().unwrap().contains("--deadline"));
    }
}
