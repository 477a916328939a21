//! The life of a device's thread: pull a batch, run it, answer it, and contain what goes wrong. Where a device works by
//! itself, the next batch is begun before it has ended the one that runs, as soon as nobody could join it any more; never
//! more than one.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{BatchError, Cause, Failure, FailureReason};
use crate::shared::{Batch, Shared};
use crate::watcher::Watcher;
use crate::worker::{AwaitOutputs, BatchOutputs, Build, EndSignal, Started, Worker};

/// Serves until the batcher stops or a device is lost. Says through `started` whether the worker was built.
pub(crate) fn serve<W: Worker>(
    shared: &Shared<W>,
    device: usize,
    build: Build<W>,
    started: &SyncSender<Result<(), Cause>>,
) {
    thread::scope(|scope| {
        let watcher = Watcher::new(scope, shared, device);
        // The worker's panics are contained below. An observer, or a job that is dropped, may panic too.
        if catch_unwind(AssertUnwindSafe(|| serve_on(shared, device, build, started, watcher))).is_err() {
            shared.abandon(device);
        }
    });
}

fn serve_on<'scope, W: Worker>(
    shared: &'scope Shared<W>,
    device: usize,
    mut build: Build<W>,
    started: &SyncSender<Result<(), Cause>>,
    watcher: Watcher<'scope, '_, W>,
) {
    let built = contain(&mut build);
    let (worker, outcome) = match built {
        Ok(worker) => (Some(worker), Ok(())),
        Err(cause) => (None, Err(cause)),
    };
    if started.send(outcome).is_err() || worker.is_none() {
        return;
    }
    let mut runner = Runner { shared, device, watcher, build, worker };
    let mut underway: Option<Underway<W>> = None;
    loop {
        let next = match &mut underway {
            None => shared.next(device),
            Some(first) => runner.next_prefetch(first),
        };
        underway = match (underway, next) {
            (None, None) => return,
            (None, Some(batch)) => runner.run(batch),
            (Some(first), None) => {
                runner.end(first);
                None
            }
            (Some(first), Some(batch)) => runner.run_prefetched(first, batch),
        };
    }
}

struct Runner<'scope, 'env, W: Worker> {
    shared: &'scope Shared<W>,
    device: usize,
    watcher: Watcher<'scope, 'env, W>,
    build: Build<W>,
    /// None once the device is lost.
    worker: Option<W>,
}

/// A batch that the worker has taken on, and that is not answered yet.
struct Underway<W: Worker> {
    batch: Batch<W>,
    attempt: Attempt<W::Output>,
}

/// Jobs that the worker has been given: some of a batch, or all.
struct Attempt<O> {
    range: Range<usize>,
    began: Instant,
    /// How long the worker took to begin; for one that computes at once, how long they ran.
    took: Duration,
    outcome: Result<Started<O>, Trouble>,
}

enum Trouble {
    Error(BatchError),
    Panic(String),
}

/// Why jobs got no output; shared by all of them.
struct Failed {
    reason: FailureReason,
    cause: Arc<dyn std::error::Error + Send + Sync>,
}

impl<W: Worker> Runner<'_, '_, W> {
    /// What the device can be given before it has ended `first`; none if it ends that before there is such a thing.
    fn next_prefetch(&mut self, first: &mut Underway<W>) -> Option<Batch<W>> {
        if let Some(batch) = self.shared.next_prefetch(self.device) {
            return Some(batch); // and nobody has to watch
        }
        let number = first.batch.number;
        if self.watcher.watch(number, first.attempt.take_ended()?) {
            self.shared.next_before_end(self.device, number)
        } else {
            None
        }
    }

    /// Begins a batch, and answers it unless the device still works on it.
    fn run(&mut self, batch: Batch<W>) -> Option<Underway<W>> {
        let all = 0..batch.jobs.len();
        let attempt = self.begin(&batch, all);
        self.keep(Underway { batch, attempt })
    }

    /// Begins a batch while the device works on `first`, then ends and answers `first`.
    fn run_prefetched(&mut self, first: Underway<W>, batch: Batch<W>) -> Option<Underway<W>> {
        let all = 0..batch.jobs.len();
        let mut attempt = self.begin(&batch, all.clone());
        let ended = self.conclude(&first.batch, first.attempt);
        if matches!(attempt.outcome, Err(Trouble::Error(BatchError::OutOfMemory(_)))) {
            // What did not fit beside another batch may fit alone.
            attempt = self.begin(&batch, all);
        }
        let second = Underway { batch, attempt };
        if ended.as_ref().is_err_and(Failed::is_out_of_memory) {
            // The device is at the second already; then the halves of the first have it for themselves.
            self.end(second);
            self.settle(first.batch, ended);
            return None;
        }
        self.settle(first.batch, ended);
        self.keep(second)
    }

    /// What the device still works on; what it does not, is answered.
    fn keep(&mut self, underway: Underway<W>) -> Option<Underway<W>> {
        if matches!(underway.attempt.outcome, Ok(Started::Running { .. })) {
            return Some(underway);
        }
        self.end(underway);
        None
    }

    /// Waits for a whole batch and answers it.
    fn end(&mut self, Underway { batch, attempt }: Underway<W>) {
        let ended = self.conclude(&batch, attempt);
        self.settle(batch, ended);
    }

    /// Answers what of a batch has not been answered. When memory did not suffice, each half gets one more try.
    fn settle(&mut self, batch: Batch<W>, ended: Result<(), Failed>) {
        let len = batch.jobs.len();
        match ended {
            Ok(()) => {}
            Err(failed) if failed.is_out_of_memory() && len > 1 => {
                let middle = len.div_ceil(2);
                for half in [0..middle, middle..len] {
                    let attempt = self.begin(&batch, half.clone());
                    if let Err(failed) = self.conclude(&batch, attempt) {
                        self.fail(&batch, half, &failed);
                    }
                }
            }
            Err(failed) => self.fail(&batch, 0..len, &failed),
        }
        if self.worker.is_none() {
            self.shared.lose_device();
        }
        self.shared.finished(batch);
    }

    /// Gives the jobs of `range` to the worker.
    fn begin(&mut self, batch: &Batch<W>, range: Range<usize>) -> Attempt<W::Output> {
        let began = self.shared.clock.now();
        let outcome = match &mut self.worker {
            Some(worker) => attempt(|| worker.start(&batch.key, &batch.jobs[range.clone()])),
            None => Err(Trouble::Error(BatchError::DeviceLost("no device".into()))),
        };
        let took = self.shared.clock.now().saturating_duration_since(began);
        Attempt { range, began, took, outcome }
    }

    /// Waits for jobs that have begun, and answers them if all is well.
    fn conclude(&mut self, batch: &Batch<W>, attempt: Attempt<W::Output>) -> Result<(), Failed> {
        let Attempt { range, began, took, outcome } = attempt;
        let (key, size) = (&batch.key, range.len());
        let (outcome, started, ran) = match outcome {
            Ok(Started::Complete(outputs)) => (Ok(outputs), began, took),
            Ok(Started::Running { wait, .. }) => self.wait(wait, began),
            Err(trouble) => (Err(trouble), began, took),
        };
        let (reason, cause) = match outcome {
            Ok(outputs) if outputs.len() == size => {
                self.shared.ran(batch.queue, size, ran);
                self.shared.observer.batch_finished(self.shared.name(self.device), key, size, ran);
                self.shared.answer(batch, range.start, outputs, started, ran);
                return Ok(());
            }
            Ok(outputs) => (
                FailureReason::Failed,
                format!("the worker gave {} outputs for {size} jobs", outputs.len()).into(),
            ),
            Err(Trouble::Error(BatchError::Failed(cause))) => (FailureReason::Failed, cause),
            Err(Trouble::Error(BatchError::OutOfMemory(cause))) => {
                self.shared.out_of_memory(batch.queue, size);
                (FailureReason::OutOfMemory, cause)
            }
            Err(Trouble::Error(BatchError::DeviceLost(cause))) => {
                self.worker = None;
                (FailureReason::DeviceLost, cause)
            }
            Err(Trouble::Panic(message)) => {
                self.rebuild();
                (FailureReason::Panicked, message.into())
            }
        };
        let failed = Failed { reason, cause: Arc::from(cause) };
        let name = self.shared.name(self.device);
        self.shared.observer.batch_failed(name, key, size, ran, reason, &*failed.cause);
        Err(failed)
    }

    /// Waits for the device. Also when it started on the batch, which may have waited for the one before, and how long
    /// it ran.
    fn wait(
        &self,
        wait: AwaitOutputs<W::Output>,
        began: Instant,
    ) -> (Result<Vec<W::Output>, Trouble>, Instant, Duration) {
        let outcome = attempt(wait);
        let now = self.shared.clock.now();
        match outcome {
            Ok(BatchOutputs { outputs, ran }) => {
                (Ok(outputs), now.checked_sub(ran).unwrap_or(began).max(began), ran)
            }
            Err(trouble) => (Err(trouble), began, now.saturating_duration_since(began)),
        }
    }

    fn fail(&self, batch: &Batch<W>, range: Range<usize>, failed: &Failed) {
        let failure = Failure::Batch { reason: failed.reason, cause: failed.cause.clone() };
        self.shared.fail(batch, range, &failure);
    }

    /// A panic may have left the worker in any state. Without a new one the device is lost.
    fn rebuild(&mut self) {
        let Some(old) = self.worker.take() else { return };
        // Dropping what panicked may panic again; nothing is left to be done about that.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
        self.worker = contain(&mut self.build).ok();
    }
}

impl<O> Attempt<O> {
    /// What tells when the device has ended them, to be taken once.
    fn take_ended(&mut self) -> Option<EndSignal> {
        match &mut self.outcome {
            Ok(Started::Running { ended, .. }) => Some(std::mem::replace(ended, Box::new(|| ()))),
            _ => None,
        }
    }
}

impl Failed {
    fn is_out_of_memory(&self) -> bool {
        self.reason == FailureReason::OutOfMemory
    }
}

/// What the worker's own code answers; a panic in it is an answer too.
fn attempt<T>(work: impl FnOnce() -> Result<T, BatchError>) -> Result<T, Trouble> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => outcome.map_err(Trouble::Error),
        Err(panic) => Err(Trouble::Panic(message(&*panic))),
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
