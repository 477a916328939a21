//! What the batcher tells, as metrics and log lines.

use std::{error::Error, sync::Arc, time::Duration};

use spadework_batching::{FailureReason, Observer, Stage};
use spadework_metrics::{BatchFailure, CancelStage, Metrics};

use crate::synthesis::ServedModel;

/// Passes the batcher's events on.
pub struct FleetObserver {
    metrics: Arc<Metrics>,
}

impl FleetObserver {
    /// To `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl Observer<Arc<ServedModel>> for FleetObserver {
    fn batch_finished(&self, device: &str, model: &Arc<ServedModel>, size: usize, ran: Duration) {
        self.metrics.batch_finished(model.name(), device, size, ran);
    }

    fn batch_failed(
        &self,
        device: &str,
        model: &Arc<ServedModel>,
        size: usize,
        ran: Duration,
        reason: FailureReason,
        cause: &(dyn Error + 'static),
    ) {
        self.metrics.batch_failed(match reason {
            FailureReason::OutOfMemory => BatchFailure::OutOfMemory,
            FailureReason::Failed => BatchFailure::Error,
            FailureReason::Panicked => BatchFailure::Panic,
            FailureReason::DeviceLost => BatchFailure::DeviceLost,
        });
        let (model, ran_ms) = (model.name(), ran.as_millis());
        tracing::error!(device, model, size, ran_ms, ?reason, cause, "a batch failed");
    }

    fn cancelled(&self, model: &Arc<ServedModel>, stage: Stage) {
        let stage = match stage {
            Stage::Queued => CancelStage::Queue,
            Stage::Running => CancelStage::Generate,
        };
        self.metrics.cancelled(model.name(), stage);
    }
}
