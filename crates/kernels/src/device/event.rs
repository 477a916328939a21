//! The end of a device's work, as others may wait for it.

use std::time::Duration;

/// Recorded on a device after a batch's last copy. The default is work that has ended already.
#[derive(Clone, Default)]
pub struct Event {
    #[cfg(feature = "cuda")]
    pub(crate) event: Option<std::sync::Arc<cudarc::driver::CudaEvent>>,
}

impl Event {
    /// Whether the device has come here, or has failed.
    pub fn is_complete(&self) -> bool {
        #[cfg(feature = "cuda")]
        if let Some(event) = &self.event {
            return event.try_is_complete().unwrap_or(true);
        }
        true
    }

    /// Waits until the device has come here, on any thread. A device that has failed never comes, and nobody waits either.
    pub fn wait(&self) {
        #[cfg(feature = "cuda")]
        if let Some(event) = &self.event {
            crate::cuda::wait(event);
        }
    }
}

/// Images on their way to host memory.
pub trait Download {
    /// The event after the copy.
    fn event(&self) -> Event;

    /// Waits for the copy: each image's bytes, and how long the device took from the batch's beginning on.
    ///
    /// # Errors
    /// When something went wrong on the device since the batch began.
    fn finish(self: Box<Self>) -> candle_core::Result<(Vec<Vec<u8>>, Duration)>;
}
