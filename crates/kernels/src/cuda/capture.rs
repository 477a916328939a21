//! Work that is captured once and given to the device again in one call.
//!
//! Memory that is taken during a capture becomes a part of the graph: it lies at the same addresses in every launch, and
//! graphs of one stream share what is behind them, since no two of them run at once. All that is taken within is given back
//! within; nothing older may be given back there, nor anything allocated that stays.

use std::sync::Arc;

use candle_core::{CudaDevice, Result, Tensor, bail};
use cudarc::driver::{
    CudaGraph, CudaStream, DriverError, result,
    sys::{self, CUgraphInstantiate_flags, CUstreamCaptureMode, CUstreamCaptureStatus},
};

use super::error::cuda_error;

/// Captured work, which can be given to its stream over and over.
pub struct CapturedGraph {
    graph: CudaGraph,
    stream: Arc<CudaStream>,
    /// What it reads and writes stays where it was captured.
    _tensors: Vec<Tensor>,
}

// SAFETY: a graph may be used from any thread as long as two do not use it at once; it is owned here alone and not `Sync`.
unsafe impl Send for CapturedGraph {}

impl CapturedGraph {
    /// Gives the work to its stream. Does not wait for it.
    ///
    /// # Errors
    /// When the device has failed, or has no memory for what the graph allocates.
    pub fn launch(&self) -> Result<()> {
        self.graph.launch().map_err(cuda_error)
    }
}

impl Drop for CapturedGraph {
    fn drop(&mut self) {
        // Its last launch may still run. The driver would wait with the graph for that, but `trim`, which follows, would find
        // its memory in use. An error is the device's; whoever uses it next is told.
        let _ = self.stream.synchronize();
    }
}

/// Captures what `work` gives to the device's stream. The stream goes on behind it as if nothing had been given to it.
///
/// `tensors` are all that the work reads and writes and that is older than it: the graph keeps them.
///
/// # Errors
/// When the work fails, gives the stream nothing or what cannot be captured, or the device has no memory for it.
pub fn capture(
    device: &CudaDevice,
    tensors: Vec<Tensor>,
    work: &mut dyn FnMut() -> Result<()>,
) -> Result<CapturedGraph> {
    let stream = device.cuda_stream();
    // Of this thread alone: others go on allocating and copying on streams of theirs.
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).map_err(cuda_error)?;
    let capturing = Capturing { stream: &stream };
    let done = work();
    let ended = capturing.end();
    done?; // first: it says more
    let Some(graph) = ended? else { bail!("the capture has no work in it") };
    let captured = CapturedGraph { graph, stream, _tensors: tensors };
    // Takes the memory now, where a lack of it can still be answered by running without the graph.
    match captured.graph.upload() {
        Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
            give_back_unused(device)?;
            captured.graph.upload().map_err(cuda_error)?;
        }
        done => done.map_err(cuda_error)?,
    }
    Ok(captured)
}

/// Gives back what was freed outside of graphs and is kept for later allocations, of which graphs can have nothing.
fn give_back_unused(device: &CudaDevice) -> Result<()> {
    let stream = device.cuda_stream();
    stream.synchronize().map_err(cuda_error)?;
    // SAFETY: the device is open; only memory that nothing uses goes.
    unsafe {
        let pool = result::device::get_default_mem_pool(stream.context().cu_device()).map_err(cuda_error)?;
        result::mem_pool::trim_to(pool, 0).map_err(cuda_error)
    }
}

/// A capture that goes on, and ends whatever happens.
struct Capturing<'a> {
    stream: &'a Arc<CudaStream>,
}

impl Capturing<'_> {
    fn end(self) -> Result<Option<CudaGraph>> {
        let ended = self.finish();
        std::mem::forget(self);
        ended
    }

    fn finish(&self) -> Result<Option<CudaGraph>> {
        let context = self.stream.context();
        // What was dropped in a capture that broke could not be freed and left an error, with which the end would fail.
        let dropped = context.check_err();
        let graph = self.stream.end_capture(CUgraphInstantiate_flags(0));
        if graph.is_err() {
            let _ = context.check_err();
        }
        let graph = graph.map_err(cuda_error)?;
        dropped.map_err(cuda_error)?;
        Ok(graph)
    }
}

impl Drop for Capturing<'_> {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// Refuses what must not happen during a capture: work of candle's, which uploads from memory that does not stay, and memory
/// that is kept.
///
/// # Errors
/// During a capture; `what` is in the words.
pub fn forbid_in_capture(device: &CudaDevice, what: &str) -> Result<()> {
    match device.cuda_stream().capture_status().map_err(cuda_error)? {
        CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE => Ok(()),
        _ => bail!("{what} cannot be captured"),
    }
}

/// Whether the device takes and frees memory in the order of a stream, without which nothing is captured.
pub fn can_capture(device: &CudaDevice) -> bool {
    device.cuda_stream().context().has_async_alloc()
}

/// Gives memory of graphs that do not run now back to the device: those that are gone let it go for good, others, of any
/// model, take it again at their next launch.
pub fn trim(device: &CudaDevice) {
    let stream = device.cuda_stream();
    // SAFETY: the device is open; memory of a graph that runs stays.
    let trimmed = unsafe { sys::cuDeviceGraphMemTrim(stream.context().cu_device()) };
    let _ = trimmed.result(); // what stays is no harm
}
