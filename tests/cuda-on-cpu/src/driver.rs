//! CUDA's driver API, as much of it as is called: <https://docs.nvidia.com/cuda/cuda-driver-api/>.
//!
//! Handles are pointers to what this crate keeps; device addresses are host addresses. The `unsafe` here and in the modules
//! below is sound where callers keep the driver's contract: addresses are of memory that is there, handles are those given
//! out.

#![allow(non_snake_case, reason = "names are the driver's")]
#![allow(clippy::missing_safety_doc, reason = "callers keep the driver's contract")]

mod device;
mod events;
mod graphs;
mod kernels;
mod memory;
mod streams;
#[cfg(test)]
mod tests;

use std::{
    cell::Cell,
    ffi::{c_int, c_void},
    sync::{Arc, OnceLock},
};

use crate::stream::{self, LAUNCH_FAILED, Stream};

type Status = c_int;
const SUCCESS: Status = 0;
const INVALID_VALUE: Status = 1;
const OUT_OF_MEMORY: Status = 2;
const INVALID_DEVICE: Status = 101;
const INVALID_CONTEXT: Status = 201;
const NOT_FOUND: Status = 500;
const NOT_READY: Status = 600;
const CAPTURE_UNSUPPORTED: Status = 900;
const CAPTURE_INVALIDATED: Status = 901;
const CAPTURE_ISOLATION: Status = 905;

thread_local! {
    static CONTEXT: Cell<usize> = const { Cell::new(0) };
    static WORKING_ON: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The stream of a handle; 0 is one that all share.
///
/// # Safety
/// The handle is one of a stream that is not destroyed.
pub unsafe fn stream_of(handle: *mut c_void) -> Arc<Stream> {
    static DEFAULT: OnceLock<Arc<Stream>> = OnceLock::new();
    if (handle as usize) <= 2 {
        return DEFAULT.get_or_init(Stream::start).clone();
    }
    // SAFETY: a handle that `cuStreamCreate` gave out.
    let stream = unsafe { &*handle.cast::<Arc<Stream>>() };
    stream.clone()
}

/// The stream of a handle, for a call that uses it: none while a capture that was broken has not ended.
///
/// # Safety
/// As of [`stream_of`].
pub unsafe fn usable(handle: *mut c_void) -> Option<Arc<Stream>> {
    // SAFETY: the caller's.
    let stream = unsafe { stream_of(handle) };
    (stream.capturing(|capture| capture.broken) != Some(true)).then_some(stream)
}

/// Gives a stream work of this name; a violation of memory is reported with it.
pub fn give(stream: &Stream, name: &'static str, work: impl Fn() + Send + Sync + 'static) {
    stream.give(move || {
        WORKING_ON.set(Some(name));
        work();
    });
}

/// What stands before every call that needs a context: whether there is one, and whether the device still works.
fn ready() -> Status {
    match stream::lost() {
        0 if CONTEXT.get() == 0 => INVALID_CONTEXT,
        lost => lost,
    }
}

/// Returns a status that is an error.
macro_rules! check {
    ($status:expr) => {
        match $status {
            SUCCESS => {}
            status => return status,
        }
    };
}

use check;

/// The stream of a handle; returns an error where it cannot be used.
macro_rules! usable_stream {
    ($handle:expr) => {{
        // SAFETY: the caller's, as of all handles.
        let Some(stream) = (unsafe { usable($handle) }) else { return CAPTURE_INVALIDATED };
        stream
    }};
}

use usable_stream;

/// A call that a capture of this thread does not allow.
fn outside_capture(name: &str) -> Status {
    if stream::thread_captures() {
        eprintln!("cuda-on-cpu: {name} within a capture");
        return CAPTURE_UNSUPPORTED;
    }
    SUCCESS
}
