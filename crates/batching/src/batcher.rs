//! The batcher as its owner sees it: start, open queues, watch, drain, stop.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::clock::Clock;
use crate::cost::CostModel;
use crate::device_thread::serve;
use crate::error::StartError;
use crate::observer::Observer;
use crate::queue::Queue;
use crate::scheduler::QueueStatus;
use crate::settings::Settings;
use crate::shared::{Health, Phase, Shared, Status};
use crate::worker::{Device, Worker};

/// One shared set of queues and a thread per device. Dropping it stops it.
pub struct Batcher<W: Worker> {
    shared: Arc<Shared<W>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<W: Worker> Batcher<W> {
    /// Starts a thread per device and waits until each has built its worker.
    ///
    /// # Errors
    /// When there is no device, a thread does not start or a worker cannot be built.
    pub fn start(
        settings: Settings,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer<W::Key>>,
        devices: Vec<Device<W>>,
    ) -> Result<Self, StartError> {
        if devices.is_empty() {
            return Err(StartError::NoDevice);
        }
        let names = devices.iter().map(|device| device.name.clone()).collect();
        let shared = Arc::new(Shared::new(&settings, clock, observer, names));
        let batcher = Self { shared: shared.clone(), threads: Mutex::new(Vec::new()) };
        let mut starting = Vec::new();
        for (index, Device { name, build }) in devices.into_iter().enumerate() {
            let (started, outcome) = sync_channel(1);
            let shared = shared.clone();
            let thread = thread::Builder::new()
                .name(format!("device {name}"))
                .spawn(move || serve(&shared, index, build, &started))
                .map_err(|source| StartError::Thread { device: name.clone(), source })?;
            batcher.threads().push(thread);
            starting.push((name, outcome));
        }
        for (device, outcome) in starting {
            let outcome = outcome.recv().unwrap_or_else(|_| Err("its thread ended".into()));
            outcome.map_err(|source| StartError::Worker { device, source })?;
        }
        Ok(batcher)
    }

    /// Opens a queue for jobs with this key, whose batches cost `cost`. Two queues may be of equal keys; their jobs are not batched together.
    pub fn open(&self, key: W::Key, cost: CostModel) -> Queue<W> {
        let queue = self.shared.open(key, cost);
        Queue::new(self.shared.clone(), queue)
    }

    /// Every open queue as it is now.
    pub fn status(&self) -> Vec<QueueStatus<W::Key>> {
        self.shared.statuses()
    }

    /// Whether jobs would run. Answers at once, whatever runs.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Admits nothing more, finishes what is admitted, and resolves when all of it is answered. Admission ends with
    /// the call, not with the first poll.
    pub fn drain(&self) -> impl Future<Output = ()> + Send + 'static {
        self.shared.drain();
        let mut status = self.shared.status.subscribe();
        async move {
            // An error means that the batcher is gone, and with it all that waited.
            let _ = status.wait_for(|status| status.idle || status.phase == Phase::Stopped).await;
        }
    }

    /// Resolves when a device is lost. The process should then end, non-zero; it is unready from that moment.
    pub fn device_lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut status = self.shared.status.subscribe();
        async move {
            let lost = |status: &Status| status.phase == Phase::Lost;
            if status.wait_for(lost).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Stops at once: everything that is not answered yet is answered [`Failure::Draining`](crate::Failure::Draining),
    /// even if it runs.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Waits until the threads have ended, after [`stop`](Self::stop) or when a device is lost. Blocks: a thread ends
    /// after the batch it runs.
    pub fn join(&self) {
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            // A panic outside a batch has been printed by the panic hook; there is nothing to add.
            let _ = thread.join();
        }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Worker> Drop for Batcher<W> {
    fn drop(&mut self) {
        self.shared.stop();
    }
}
