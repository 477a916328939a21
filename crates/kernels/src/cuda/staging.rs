//! Page-locked memory between tensors and the host: copies need no other copy on the way and nobody waits for them.
//!
//! Memory is not touched again before the copy that uses it has ended. Events say when: they are recorded here, since
//! cudarc records its own only where it tracks all memory by events, which [`open`](super::open) has turned off.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use candle_core::{CudaDevice, DType, Result, Tensor};
use cudarc::driver::{CudaEvent, CudaStream, DeviceRepr, PinnedHostSlice, ValidAsZeroBits, result, sys};

use super::{
    error::cuda_error,
    memory::{address, blank},
};
use crate::device::{
    Download, Event,
    pinned::{Choice, choose},
};

/// Who waits for such an event sleeps. It tells its time as well.
const WAITED_FOR: sys::CUevent_flags = sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC;

/// Page-locked memory of one stream.
#[derive(Default)]
pub struct Staging {
    up: Vec<Slot>,
    down: Arc<Spare>,
}

/// Memory that copies to the device read, one after the other.
struct Slot {
    memory: PinnedHostSlice<u32>,
    /// When the last copy has ended.
    copied: CudaEvent,
}

/// Memory that copies to the host have written, and nobody uses now.
type Spare = Mutex<Vec<PinnedHostSlice<u8>>>;

impl Staging {
    /// `len` numbers of 32 bits that `write` writes, as a vector of `dtype` on the device. Does not wait for the copy.
    ///
    /// # Errors
    /// When there is no memory, or the device has failed.
    pub fn upload(
        &mut self,
        device: &CudaDevice,
        dtype: DType,
        len: usize,
        write: &mut dyn FnMut(&mut [u32]),
    ) -> Result<Tensor> {
        let stream = device.cuda_stream();
        let tensor = blank(len, dtype, device)?;
        let to = address(&tensor, device)?;
        let slot = self.slot(&stream, len)?;
        let memory = &mut slot.memory.as_mut_slice().map_err(cuda_error)?[..len];
        write(memory);
        // SAFETY: the tensor has room for as many numbers of four bytes, and `slot` gives the memory to nobody before the
        // event that is recorded after the copy.
        unsafe { result::memcpy_htod_async(to, memory, stream.cu_stream()) }.map_err(cuda_error)?;
        slot.copied.record(&stream).map_err(cuda_error)?;
        Ok(tensor)
    }

    /// The bytes of images (N, ...) to the host. `started` is when the device came to their batch. Does not wait.
    ///
    /// # Errors
    /// When there is no memory, or the device has failed.
    pub fn download(
        &mut self,
        device: &CudaDevice,
        images: &Tensor,
        started: StreamStart,
    ) -> Result<Box<dyn Download>> {
        let (stream, len) = (device.cuda_stream(), images.elem_count());
        let from = address(images, device)?;
        let mut download = Downloading {
            memory: Some(self.spare(&stream, len)?),
            spare: self.down.clone(),
            images: images.dim(0)?,
            len,
            started: started.0,
            ended: Arc::new(stream.context().new_event(Some(WAITED_FOR)).map_err(cuda_error)?),
        };
        if let Some(memory) = &mut download.memory {
            let memory = &mut memory.as_mut_slice().map_err(cuda_error)?[..len];
            // SAFETY: the tensor's bytes are there until the copy has ended, in the stream's order; and `download` lets
            // nobody have the memory before the event that is recorded after it.
            unsafe { result::memcpy_dtoh_async(memory, from, stream.cu_stream()) }.map_err(cuda_error)?;
        }
        download.ended.record(&stream).map_err(cuda_error)?;
        Ok(Box::new(download))
    }

    /// Memory with room for `len` numbers that no copy reads.
    fn slot(&mut self, stream: &CudaStream, len: usize) -> Result<&mut Slot> {
        let mut free = Vec::new();
        for slot in &self.up {
            let copied = slot.copied.try_is_complete().map_err(cuda_error)?;
            free.push(copied.then(|| slot.memory.len()));
        }
        let index = match choose(&free, len) {
            Choice::Use(index) => index,
            choice => {
                let memory =
                    page_locked(stream, len.next_power_of_two(), sys::CU_MEMHOSTALLOC_WRITECOMBINED)?;
                let slot = Slot { memory, copied: event(stream)? };
                match choice {
                    Choice::Replace(index) => {
                        self.up[index] = slot;
                        index
                    }
                    _ => {
                        self.up.push(slot);
                        self.up.len() - 1
                    }
                }
            }
        };
        Ok(&mut self.up[index])
    }

    /// Memory with room for `len` bytes that no copy writes.
    fn spare(&self, stream: &CudaStream, len: usize) -> Result<PinnedHostSlice<u8>> {
        let last = lock(&self.down).pop();
        match last {
            Some(memory) if memory.len() >= len => Ok(memory),
            // What is too small goes. Memory for reading is not write-combined.
            _ => page_locked(stream, len.next_power_of_two(), 0),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // An error is the device's; whoever uses it next is told.
        let _ = self.copied.synchronize();
    }
}

/// Images on their way to the host.
struct Downloading {
    /// None once given back.
    memory: Option<PinnedHostSlice<u8>>,
    spare: Arc<Spare>,
    images: usize,
    len: usize,
    started: CudaEvent,
    ended: Arc<CudaEvent>,
}

impl Download for Downloading {
    fn event(&self) -> Event {
        Event { event: Some(self.ended.clone()) }
    }

    fn finish(self: Box<Self>) -> Result<(Vec<Vec<u8>>, Duration)> {
        self.ended.synchronize().map_err(cuda_error)?;
        let ms = self.started.elapsed_ms(&self.ended).map_err(cuda_error)?;
        let bytes = match &self.memory {
            Some(memory) => &memory.as_slice().map_err(cuda_error)?[..self.len],
            None => &[],
        };
        let images = bytes.chunks_exact(self.len / self.images).map(<[u8]>::to_vec).collect();
        Ok((images, Duration::from_secs_f32(ms.max(0.0) / 1e3)))
    }
}

impl Drop for Downloading {
    fn drop(&mut self) {
        // An error is the device's; whoever uses it next is told.
        let _ = self.ended.synchronize();
        lock(&self.spare).extend(self.memory.take());
    }
}

/// The event on a stream where a batch begins, which tells its time.
pub struct StreamStart(CudaEvent);

impl StreamStart {
    /// Has the device's stream wait for `after`, then records the start.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn record(device: &CudaDevice, after: &Event) -> Result<Self> {
        let stream = device.cuda_stream();
        if let Some(after) = &after.event {
            stream.wait(after).map_err(cuda_error)?;
        }
        let event = event(&stream)?;
        event.record(&stream).map_err(cuda_error)?;
        Ok(Self(event))
    }
}

/// Waits for an event on a thread that is not the device's. What goes wrong is left for that to be told: cudarc's own
/// waiting would take an error away that it keeps for the next call.
pub(crate) fn wait(event: &CudaEvent) {
    // SAFETY: the context is there as long as the event, and the event is borrowed.
    let _ = unsafe {
        result::ctx::set_current(event.context().cu_ctx())
            .and_then(|()| result::event::synchronize(event.cu_event()))
    };
}

fn event(stream: &CudaStream) -> Result<CudaEvent> {
    stream.context().new_event(Some(WAITED_FOR)).map_err(cuda_error)
}

fn lock(spare: &Spare) -> std::sync::MutexGuard<'_, Vec<PinnedHostSlice<u8>>> {
    spare.lock().unwrap_or_else(PoisonError::into_inner)
}

fn page_locked<T: DeviceRepr + ValidAsZeroBits>(
    stream: &CudaStream,
    len: usize,
    flags: u32,
) -> Result<PinnedHostSlice<T>> {
    // SAFETY: all bits make a number, and the memory is cleared before anything reads it.
    let mut memory = unsafe { stream.context().alloc_pinned_with_flags(len, flags) }.map_err(cuda_error)?;
    let first: *mut T = memory.as_mut_ptr().map_err(cuda_error)?;
    // SAFETY: `len` elements lie there, and zero bits are valid in each.
    unsafe { std::ptr::write_bytes(first, 0, len) };
    Ok(memory)
}
