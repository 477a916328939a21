//! What every handler sees.

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::http::{HeaderMap, header};
use spadework_batching::Health;
use spadework_imaging::Limits;
use spadework_metrics::Metrics;

use super::{
    keys::KeyRing,
    lifecycle::{InFlight, Lifecycle, Phase},
    problem::Problem,
    rate::RateLimit,
};
use crate::{codec::CodecPool, fleet::Fleet, synthesis::SynthesisOptions, traces::Traces};

/// The server's state. Clones are the same one.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What the server is made of.
pub struct Parts {
    /// The models and their queues.
    pub fleet: Arc<Fleet>,
    /// Where bytes become pixels.
    pub codec: CodecPool,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Starting, serving or stopping.
    pub lifecycle: Arc<Lifecycle>,
    /// Who may call.
    pub keys: Arc<KeyRing>,
    /// How often each caller may.
    pub rate: Option<RateLimit>,
    /// Where traces go.
    pub traces: Traces,
    /// Bounds.
    pub settings: HttpSettings,
}

/// Bounds of requests.
#[derive(Clone, Copy, Debug)]
pub struct HttpSettings {
    /// Of files, in bytes and pixels; a body may have as many bytes as a file.
    pub limits: Limits,
    /// The deadline of a request that names none, and the longest that one can name.
    pub deadline: Duration,
    /// How long a body may take to arrive.
    pub upload_timeout: Duration,
}

/// A day: what is longer is a mistake.
const LONGEST_DEADLINE_MS: u64 = 86_400_000;

fn closed(phase: Phase) -> Problem {
    match phase {
        Phase::Loading => Problem::not_ready("models are being loaded; come back in a moment"),
        _ => Problem::draining(),
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// The state of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Welcomes a synthesis: from here on it is answered, whatever phase the server comes to.
    ///
    /// # Errors
    /// With the answer that refuses it.
    pub fn enter(&self) -> Result<InFlight, Problem> {
        let entered = self.lifecycle.enter().map_err(closed)?;
        self.works()?;
        Ok(entered)
    }

    /// Whether the server is past its start and before its end.
    ///
    /// # Errors
    /// With the answer that refuses a request in that phase.
    pub fn admits(&self) -> Result<(), Problem> {
        match self.lifecycle.phase() {
            Phase::Serving | Phase::LameDuck => Ok(()),
            phase => Err(closed(phase)),
        }
    }

    /// Whether the devices work.
    fn works(&self) -> Result<(), Problem> {
        match self.fleet.health() {
            Health::Serving | Health::Draining => Ok(()),
            Health::Stalled { device } => {
                Err(Problem::not_ready(format!("device `{device}` has not answered in its time")))
            }
            Health::DeviceLost => Err(Problem::not_ready("a device is lost and the server is about to end")),
        }
    }

    /// Whether new requests should be sent here.
    ///
    /// # Errors
    /// With the reason why not.
    pub fn ready(&self) -> Result<(), Problem> {
        self.admits()?;
        if self.lifecycle.phase() == Phase::LameDuck {
            return Err(Problem::draining());
        }
        if self.fleet.health() == Health::Draining {
            return Err(Problem::draining());
        }
        self.works()?;
        self.fleet.check_models().map_err(Problem::not_ready)
    }

    /// The time a request has.
    ///
    /// # Errors
    /// When it asks for none.
    pub fn deadline(&self, options: &SynthesisOptions) -> Result<Duration, Problem> {
        match options.deadline_ms {
            None => Ok(self.settings.deadline),
            Some(0) => Err(Problem::invalid_options("`deadline_ms` is 0; allow at least 1")),
            Some(ms) if ms > LONGEST_DEADLINE_MS => Err(Problem::invalid_options(format!(
                "`deadline_ms` is {ms}; no answer takes as long, ask for at most {LONGEST_DEADLINE_MS}"
            ))),
            Some(ms) => Ok(Duration::from_millis(ms).min(self.settings.deadline)),
        }
    }

    /// Looks at how long a body says that it is.
    ///
    /// # Errors
    /// When that is too long.
    pub fn check_length(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let limit = self.settings.limits.bytes;
        let length = headers.get(header::CONTENT_LENGTH);
        let length: Option<usize> = length.and_then(|length| length.to_str().ok()?.parse().ok());
        match length.filter(|length| *length > limit) {
            None => Ok(()),
            Some(length) => Err(Problem::too_large(format!(
                "the body has {length} bytes and the limit is {limit}; send smaller files"
            ))),
        }
    }

    /// The refusal of a model that is not there.
    pub fn unknown_model(&self, options: &SynthesisOptions) -> Problem {
        Problem::unknown_model(options.model.as_deref().unwrap_or("(default)"), &self.fleet.names())
    }
}
