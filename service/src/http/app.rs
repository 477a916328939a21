//! What every handler sees.

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::http::{HeaderMap, header};
use spadework_batching::Health;
use spadework_imaging::Limits;
use spadework_metrics::Metrics;

use super::{
    keys::KeyRing,
    lifecycle::{Lifecycle, Phase},
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

    /// Whether a synthesis would be taken now.
    ///
    /// # Errors
    /// With the answer that refuses it.
    pub fn admits(&self) -> Result<(), Problem> {
        match self.lifecycle.phase() {
            Phase::Loading => Err(Problem::not_ready("models are being loaded; come back in a moment")),
            Phase::Serving | Phase::LameDuck => Ok(()),
            Phase::Draining => Err(Problem::draining()),
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
        match self.fleet.health() {
            Health::Serving => Ok(()),
            Health::Draining => Err(Problem::draining()),
            Health::Stalled { device } => {
                Err(Problem::not_ready(format!("device `{device}` has not answered in its time")))
            }
            Health::DeviceLost => Err(Problem::not_ready("a device is lost and the server is about to end")),
        }
    }

    /// The time a request has.
    ///
    /// # Errors
    /// When it asks for none.
    pub fn deadline(&self, options: &SynthesisOptions) -> Result<Duration, Problem> {
        match options.deadline_ms {
            None => Ok(self.settings.deadline),
            Some(0) => Err(Problem::invalid_options("`deadline_ms` is 0; allow at least 1")),
            Some(ms) => Ok(Duration::from_millis(ms).min(self.settings.deadline)),
        }
    }

    /// Bytes that a body will hold: its length, if it tells, else as many as it may.
    ///
    /// # Errors
    /// When it tells that it is too large.
    pub fn expected_bytes(&self, headers: &HeaderMap) -> Result<usize, Problem> {
        let limit = self.settings.limits.bytes;
        let length =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        match length {
            None => Ok(limit),
            Some(length) if length > limit => Err(Problem::too_large(format!(
                "the body has {length} bytes and the limit is {limit}; send smaller files"
            ))),
            Some(length) => Ok(length),
        }
    }

    /// The refusal of a model that is not there.
    pub fn unknown_model(&self, options: &SynthesisOptions) -> Problem {
        Problem::unknown_model(options.model.as_deref().unwrap_or("(default)"), &self.fleet.names())
    }
}
