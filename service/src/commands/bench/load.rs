//! A running server under load.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use humantime::Duration;

use crate::{
    load::{Arrival, Bounds, Client, Mix, Report, Summary, drive},
    outcome::Mistake,
    output::outln,
};

/// Callers of the closed loop that finds the capacity.
const CALLERS: usize = 16;
/// The open loops after it, as shares of what it did.
const SHARES: [f64; 6] = [0.5, 0.8, 0.95, 1.1, 1.5, 2.0];
/// How much longer than a request's deadline its answer is waited for.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// How to load a server.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// A running server, http://HOST:PORT, to put under load in place of the engine: without --rate and --clients at
    /// rates from half to twice its capacity
    #[arg(long, value_name = "URL", conflicts_with_all = ["batch", "mask", "instances", "repeat"])]
    url: Option<String>,
    /// With --url: requests a second, at random moments whatever the answers; several rates one after the other
    #[arg(long, value_name = "N", value_delimiter = ',', requires = "url", conflicts_with = "clients")]
    rate: Vec<f64>,
    /// With --url: callers that each wait for an answer before they send again
    #[arg(long, value_name = "N", requires = "url")]
    clients: Option<usize>,
    /// With --url: how long each load lasts
    #[arg(long, default_value = "10s", requires = "url")]
    duration: Duration,
    /// With --url: requests of each load at most
    #[arg(long, default_value_t = 100_000, value_name = "N", requires = "url")]
    requests: usize,
    /// With --url: what each request allows; a picture that comes later is no useful work
    #[arg(long, requires = "url")]
    deadline: Option<Duration>,
    /// With --url: different masks of each model
    #[arg(long, default_value_t = 40, value_name = "N", requires = "url")]
    masks: usize,
    /// With --url: a file whose first line is an API key, or `name:key`
    #[arg(long, value_name = "FILE", requires = "url")]
    key_file: Option<PathBuf>,
}

impl LoadArgs {
    /// The server, if one is to be put under load.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    fn check(&self) -> anyhow::Result<()> {
        let wrong = [
            (self.clients == Some(0), "--clients must be at least 1"),
            (self.requests == 0, "--requests must be at least 1"),
            (self.masks == 0, "--masks must be at least 1"),
            (self.duration.is_zero(), "--duration must be longer than 0"),
            (!self.rate.iter().all(|rate| *rate > 0.0 && rate.is_finite()), "--rate must be more than 0"),
        ];
        match wrong.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, sentence)) => Err(Mistake::error(sentence)),
            None => Ok(()),
        }
    }

    fn key(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.key_file else { return Ok(None) };
        let text = fs::read_to_string(path)
            .map_err(|error| Mistake::error(format!("--key-file {}: {error}", path.display())))?;
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let line =
            line.ok_or_else(|| Mistake::error(format!("--key-file {} holds no key", path.display())))?;
        Ok(Some(line.split_once(':').map_or(line, |(_, key)| key).trim().to_owned()))
    }
}

/// Loads the server at `url` and prints what became of it.
///
/// # Errors
/// When the settings or the server cannot be used.
pub fn run(url: &str, args: &LoadArgs, model: Option<&str>, json: bool) -> anyhow::Result<()> {
    args.check()?;
    // One thread: beside a server on the same machine the generator should take as little as it can.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start tokio")?;
    let report = runtime.block_on(load(url, args, model))?;
    if json {
        outln!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        outln!("{report}");
    }
    Ok(())
}

async fn load(url: &str, args: &LoadArgs, model: Option<&str>) -> anyhow::Result<Report> {
    let deadline = args.deadline.map(|deadline| *deadline);
    let client = Client::new(url, args.key()?.as_deref(), PATIENCE + deadline.unwrap_or_default())?;
    let mix = Mix::ask(&client, model, args.masks, deadline).await?;
    let bounds = Bounds { duration: *args.duration, requests: args.requests };
    let one = async |pace| {
        let send = |place| {
            let (client, call) = (client.clone(), mix.call(place));
            async move { client.send(&call).await }
        };
        Summary::new(pace, deadline, &drive(pace, bounds, send).await)
    };
    let mut report = Report {
        url: url.to_owned(),
        models: mix.models().to_vec(),
        deadline_ms: deadline.map(|deadline| deadline.as_millis()),
        capacity_per_second: 0.0,
        loads: Vec::new(),
    };
    if args.rate.is_empty() {
        report.add(one(Arrival::Closed { clients: args.clients.unwrap_or(CALLERS) }).await);
    }
    let closed = report.capacity_per_second;
    let swept =
        SHARES.iter().map(|share| share * closed).filter(|rate| args.clients.is_none() && *rate > 0.0);
    for rate in args.rate.iter().copied().chain(swept) {
        report.add(one(Arrival::Open { rate }).await);
    }
    Ok(report)
}
