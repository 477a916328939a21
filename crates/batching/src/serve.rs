//! The life of a device's thread: pull a batch, run it, answer it, and contain what goes wrong.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::error::{BatchError, Cause, Failure, FailureReason};
use crate::shared::{Batch, Shared};
use crate::worker::{Build, Worker};

/// Serves until the batcher stops or a device is lost. Says through `started` whether the worker was built.
pub(crate) fn serve<W: Worker>(
    shared: &Shared<W>,
    device: usize,
    build: Build<W>,
    started: &SyncSender<Result<(), Cause>>,
) {
    // The worker's panics are contained below. An observer, or a job that is dropped, may panic too.
    if catch_unwind(AssertUnwindSafe(|| serve_on(shared, device, build, started))).is_err() {
        shared.abandon(device);
    }
}

fn serve_on<W: Worker>(
    shared: &Shared<W>,
    device: usize,
    mut build: Build<W>,
    started: &SyncSender<Result<(), Cause>>,
) {
    let built = contain(&mut build);
    let (worker, outcome) = match built {
        Ok(worker) => (Some(worker), Ok(())),
        Err(cause) => (None, Err(cause)),
    };
    if started.send(outcome).is_err() || worker.is_none() {
        return;
    }
    let mut runner = Runner { shared, device, build, worker };
    while let Some(batch) = shared.next(device) {
        runner.run(&batch);
        if runner.worker.is_none() {
            shared.lose_device();
        }
        shared.finished(device, batch);
    }
}

struct Runner<'a, W: Worker> {
    shared: &'a Shared<W>,
    device: usize,
    build: Build<W>,
    /// None once the device is lost.
    worker: Option<W>,
}

/// Why jobs got no output; shared by all of them.
struct Failed {
    reason: FailureReason,
    cause: Arc<dyn std::error::Error + Send + Sync>,
}

impl<W: Worker> Runner<'_, W> {
    /// Runs and answers a whole batch. When memory does not suffice, each half gets one more try.
    fn run(&mut self, batch: &Batch<W>) {
        let len = batch.jobs.len();
        match self.attempt(batch, 0..len) {
            Ok(()) => {}
            Err(failed) if failed.reason == FailureReason::OutOfMemory && len > 1 => {
                let middle = len.div_ceil(2);
                for half in [0..middle, middle..len] {
                    if let Err(failed) = self.attempt(batch, half.clone()) {
                        self.fail(batch, half, &failed);
                    }
                }
            }
            Err(failed) => self.fail(batch, 0..len, &failed),
        }
    }

    /// Runs the jobs of `range`, and answers them if all is well.
    fn attempt(&mut self, batch: &Batch<W>, range: Range<usize>) -> Result<(), Failed> {
        let Some(worker) = &mut self.worker else {
            return Err(Failed {
                reason: FailureReason::DeviceLost,
                cause: Arc::from(Cause::from("no device")),
            });
        };
        let (key, size) = (&batch.key, range.len());
        let started = self.shared.clock.now();
        let outcome = catch_unwind(AssertUnwindSafe(|| worker.run(key, &batch.jobs[range.clone()])));
        let ran = self.shared.clock.now().saturating_duration_since(started);

        let (reason, cause) = match outcome {
            Ok(Ok(outputs)) if outputs.len() == size => {
                self.shared.ran(batch.line, size, ran);
                self.shared.observer.batch_finished(self.shared.name(self.device), key, size, ran);
                self.shared.answer(self.device, batch, range.start, outputs, started, ran);
                return Ok(());
            }
            Ok(Ok(outputs)) => (
                FailureReason::Failed,
                format!("the worker gave {} outputs for {size} jobs", outputs.len()).into(),
            ),
            Ok(Err(BatchError::Failed(cause))) => (FailureReason::Failed, cause),
            Ok(Err(BatchError::OutOfMemory(cause))) => {
                self.shared.out_of_memory(batch.line, size);
                (FailureReason::OutOfMemory, cause)
            }
            Ok(Err(BatchError::DeviceLost(cause))) => {
                self.worker = None;
                (FailureReason::DeviceLost, cause)
            }
            Err(panic) => {
                self.rebuild();
                (FailureReason::Panicked, message(&*panic).into())
            }
        };
        let failed = Failed { reason, cause: Arc::from(cause) };
        let name = self.shared.name(self.device);
        self.shared.observer.batch_failed(name, key, size, ran, reason, &*failed.cause);
        Err(failed)
    }

    fn fail(&self, batch: &Batch<W>, range: Range<usize>, failed: &Failed) {
        let failure = Failure::Batch { reason: failed.reason, cause: failed.cause.clone() };
        self.shared.fail(self.device, batch, range, &failure);
    }

    /// A panic may have left the worker in any state. Without a new one the device is lost.
    fn rebuild(&mut self) {
        let old = self.worker.take();
        // Dropping what panicked may panic again; nothing is left to be done about that.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
        self.worker = contain(&mut self.build).ok();
    }
}

/// Builds a worker; a panic in doing so is an error like any other.
fn contain<W>(build: &mut Build<W>) -> Result<W, Cause> {
    catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|panic| Err(message(&*panic).into()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("with a value that is no text"))
}
