//! A thread that waits for a device, so that the device's own can wait for jobs meanwhile.
//!
//! Nothing has to be asked again and again: a device that has failed ends the waiting as well.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, Scope};

use crate::shared::Shared;
use crate::worker::{EndSignal, Worker};

/// Tells a device's thread when its batches have ended.
pub(crate) struct Watcher<'scope, 'env, W: Worker> {
    scope: &'scope Scope<'scope, 'env>,
    shared: &'scope Shared<W>,
    device: usize,
    /// To the thread, which the first batch starts: where nothing is ever watched there is none.
    batches: Option<Sender<(u64, EndSignal)>>,
}

impl<'scope, 'env, W: Worker> Watcher<'scope, 'env, W> {
    pub(crate) fn new(scope: &'scope Scope<'scope, 'env>, shared: &'scope Shared<W>, device: usize) -> Self {
        Self { scope, shared, device, batches: None }
    }

    /// Waits for a batch, which is [`Shared::ended`] then. False when nobody can, for want of a thread.
    pub(crate) fn watch(&mut self, batch: u64, ended: EndSignal) -> bool {
        if self.batches.is_none() {
            self.batches = self.start().ok();
        }
        self.batches.as_ref().is_some_and(|batches| batches.send((batch, ended)).is_ok())
    }

    fn start(&self) -> io::Result<Sender<(u64, EndSignal)>> {
        let (shared, device) = (self.shared, self.device);
        let (sender, batches) = channel::<(u64, EndSignal)>();
        let thread = Builder::new().name(format!("end {}", shared.name(device)));
        thread.spawn_scoped(self.scope, move || {
            for (batch, ended) in batches {
                // What made it panic, whoever asks for the outputs finds out.
                let _ = catch_unwind(AssertUnwindSafe(ended));
                shared.ended(device, batch);
            }
        })?;
        Ok(sender)
    }
}
