//! The server's life: bind, load, serve, drain.

use std::sync::Arc;

use anyhow::Context as _;
use axum::{Router, http::HeaderValue};
use spadework_metrics::{BuildInfo, LastExit, Metrics};
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout, timeout_at},
};

use super::{
    address::Address,
    config::{Config, StopConfig},
    last_exit::ExitFile,
    signals::{Signal, signals},
    watchdog,
};
use crate::{
    codec::CodecPool,
    fleet::Fleet,
    http::{self, App, Lifecycle, Listening, Parts, Patience, Phase},
    outcome::Mistake,
};

/// How long the last answers may take when the process ends for want of a device.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Serves until stopped.
///
/// # Errors
/// When an address cannot be bound, a model cannot be served at the start, or a device is lost.
pub async fn run(mut config: Config) -> anyhow::Result<()> {
    let (exit_file, last_exit) = ExitFile::begin(config.exit_file.take());
    let ended = run_to_end(config, last_exit).await;
    exit_file.end(match &ended {
        Ok(()) => LastExit::Stopped,
        Err(error) => match error.downcast_ref() {
            Some(DeviceFailure::Lost) => LastExit::DeviceLost,
            Some(DeviceFailure::Stalled(_)) => LastExit::DeviceStalled,
            None => LastExit::Failed,
        },
    });
    ended
}

/// What only another process can mend.
#[derive(Debug, thiserror::Error)]
enum DeviceFailure {
    #[error("a device is lost; the process has to be started again")]
    Lost,
    #[error("device `{0}` does not answer; the process has to be started again")]
    Stalled(String),
}

async fn run_to_end(config: Config, last_exit: LastExit) -> anyhow::Result<()> {
    let mut signals = signals()?;
    let public = bind(&config.listen).await?;
    let admin = match &config.admin_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let stop = config.stop;
    let cors = config.cors.clone();
    let app = assemble(config)?;
    app.metrics.last_exit(last_exit);
    let mut servers = Servers::start(&app, public, admin, &cors);

    let ended = tokio::select! {
        ended = load_and_wait(&app, &mut signals) => ended,
        () = app.fleet.device_lost() => Err(DeviceFailure::Lost.into()),
        device = watchdog::stalled(|| app.fleet.health(), stop.stall_patience) => {
            Err(DeviceFailure::Stalled(device).into())
        }
    };
    if ended.is_ok() {
        tokio::select! {
            () = drain(&app, stop, &mut servers) => {}
            () = another_stop(&mut signals) => tracing::warn!("stopped at once by a second signal"),
        }
    }
    app.fleet.stop();
    if ended.is_err() {
        // Whoever waits has been answered just now.
        let _ = timeout(LAST_ANSWERS, servers.finish()).await;
    }
    let traces = app.traces.clone();
    tokio::task::spawn_blocking(move || traces.stop()).await?;
    ended
}

/// The listeners, and the switch that stops them.
struct Servers {
    shut: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Servers {
    fn start(app: &App, public: Listening, admin: Option<Listening>, cors: &[HeaderValue]) -> Self {
        let mut servers = Self { shut: watch::Sender::new(false), tasks: JoinSet::new() };
        match admin {
            None => servers.add(public, http::whole(app, cors)),
            Some(admin) => {
                servers.add(public, http::public(app, cors));
                servers.add(admin, http::operator_alone(app));
            }
        }
        servers
    }

    fn add(&mut self, listener: Listening, router: Router) {
        self.tasks.spawn(http::serve(listener, router, Patience::default(), self.shut.subscribe()));
    }

    /// Takes no new connection and waits until every request is answered.
    async fn finish(&mut self) {
        self.shut.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn bind(address: &Address) -> anyhow::Result<Listening> {
    let listener = address.bind().await.map_err(|error| {
        Mistake::error(format!("{address} cannot be listened on: {error}; choose another address or port"))
    })?;
    // Scripts wait for this line: with port 0 it is the only place that tells the port.
    tracing::info!("listening on {}", listener.url().context("read the address")?);
    Ok(listener)
}

fn assemble(config: Config) -> anyhow::Result<App> {
    let revision = option_env!("SPADEWORK_REVISION").unwrap_or("unknown");
    let metrics = Arc::new(Metrics::new(BuildInfo { version: env!("CARGO_PKG_VERSION"), revision })?);
    let fleet = Fleet::start(config.fleet, config.library, metrics.clone(), &config.traces)?;
    Ok(App::new(Parts {
        fleet: Arc::new(fleet),
        codec: CodecPool::new(config.codec_threads, config.codec_bytes)?,
        metrics,
        lifecycle: Arc::new(Lifecycle::default()),
        keys: Arc::new(config.keys),
        rate: config.rate,
        traces: config.traces,
        settings: config.http,
    }))
}

/// Loads the models, then serves until a signal asks to stop; meanwhile reloads on SIGHUP.
async fn load_and_wait(app: &App, signals: &mut UnboundedReceiver<Signal>) -> anyhow::Result<()> {
    let fleet = app.fleet.clone();
    let mut loading = tokio::task::spawn_blocking(move || fleet.load_all());
    tokio::select! {
        loaded = &mut loading => loaded??,
        () = another_stop(signals) => return Ok(()),
    }
    app.lifecycle.advance(Phase::Serving);
    tracing::info!(models = app.fleet.names().join(","), "ready");
    let fleet = app.fleet.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = fleet.refresh_unread_stores() {
            tracing::error!(
                error = format!("{error:#}"),
                "not all models are up to date; what is there is served"
            );
        }
    });
    if app.keys.asks() {
        tokio::spawn(follow_keys(app.clone()));
    }
    while signals.recv().await == Some(Signal::Reload) {
        let app = app.clone();
        tokio::task::spawn_blocking(move || reload(&app));
    }
    Ok(())
}

/// Between two looks at the file of keys: secrets that are mounted change without a signal.
const KEYS_EVERY: Duration = Duration::from_secs(5);

async fn follow_keys(app: App) {
    loop {
        sleep(KEYS_EVERY).await;
        let keys = app.keys.clone();
        match tokio::task::spawn_blocking(move || keys.follow()).await {
            Ok(Ok(true)) => tracing::info!("the file of keys has changed and is read again"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the keys stay as they were");
            }
            Err(_) => return,
        }
    }
}

fn reload(app: &App) {
    match app.keys.reload() {
        Ok(()) => tracing::info!("keys are read again"),
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the keys stay as they were"),
    }
    match app.fleet.reload_all() {
        Ok(()) => tracing::info!(models = app.fleet.names().join(","), "models are read again"),
        Err(error) => tracing::error!(error = format!("{error:#}"), "not all models could be read again"),
    }
}

/// Unready first, then refusing, then done; all within the grace period.
async fn drain(app: &App, stop: StopConfig, servers: &mut Servers) {
    let end = Instant::now() + stop.grace;
    app.lifecycle.advance(Phase::LameDuck);
    tracing::info!(lame_duck = ?stop.lame_duck, "stopping: unready, still serving");
    sleep(stop.lame_duck).await;
    app.lifecycle.advance(Phase::Draining);
    let all = async {
        app.lifecycle.all_answered().await;
        app.fleet.drain().await;
        servers.finish().await;
    };
    match timeout_at(end, all).await {
        Ok(()) => tracing::info!("stopped: every request is answered"),
        Err(_) => tracing::warn!(grace = ?stop.grace, "stopped: the grace period is over"),
    }
}

async fn another_stop(signals: &mut UnboundedReceiver<Signal>) {
    while signals.recv().await.is_some_and(|signal| signal != Signal::Stop) {}
}
