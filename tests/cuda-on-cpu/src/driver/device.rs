//! Devices, their contexts, and what errors are called.
//!
//! The `unsafe` is sound where callers keep the driver's contract: places to write to are the caller's own.

use std::{
    ffi::{c_char, c_int, c_uint, c_void},
    ptr,
    sync::Once,
};

use super::*;
use crate::memory;

const RELEASE: c_int = 13000;
const CAPABILITY: [c_int; 2] = [9, 0];

/// Devices that there are, `CUDA_ON_CPU_DEVICES` or one.
fn devices() -> c_int {
    std::env::var("CUDA_ON_CPU_DEVICES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

extern "C" fn on_violation(_: c_int) {
    let name = WORKING_ON.get().unwrap_or("the host's own code");
    eprintln!("cuda-on-cpu: memory that is not there was touched by {name}");
    std::process::abort();
}

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(_: c_uint) -> Status {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // SAFETY: the handler only prints and ends the process.
        unsafe { libc::signal(libc::SIGSEGV, on_violation as extern "C" fn(c_int) as libc::sighandler_t) };
    });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> Status {
    unsafe { *version = RELEASE };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Status {
    unsafe { *count = devices() };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> Status {
    if ordinal >= devices() {
        return INVALID_DEVICE;
    }
    unsafe { *device = ordinal };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, len: c_int, _: c_int) -> Status {
    let text = c"CUDA on a processor";
    let bytes = text.to_bytes_with_nul();
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), name, bytes.len().min(len as usize)) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, _: c_int) -> Status {
    let [major, minor] = CAPABILITY;
    let known = match attribute {
        1 => 1024, // threads of a block
        10 => 32,  // threads of a warp
        16 => 1,   // multiprocessors
        75 => major,
        76 => minor,
        115 => 1, // memory pools
        _ => 0,
    };
    unsafe { *value = known };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, _: c_int) -> Status {
    unsafe { *bytes = memory::total() };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut usize, device: c_int) -> Status {
    unsafe { *context = device as usize + 1 };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(_: c_int) -> Status {
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: usize) -> Status {
    CONTEXT.set(context);
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut usize) -> Status {
    unsafe { *context = CONTEXT.get() };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> Status {
    check!(ready());
    check!(outside_capture("cuCtxSynchronize"));
    stream::wait_for_all();
    stream::lost()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetDefaultMemPool(pool: *mut usize, device: c_int) -> Status {
    unsafe { *pool = device as usize + 1 };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemPoolSetAttribute(_: usize, _: c_int, _: *mut c_void) -> Status {
    ready()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Status {
    check!(ready());
    unsafe { (*free, *total) = (memory::free_bytes(), memory::total()) };
    SUCCESS
}

/// Every error by its number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(error: Status, text: *mut *const c_char) -> Status {
    let name = match error {
        SUCCESS => c"CUDA_SUCCESS",
        INVALID_VALUE => c"CUDA_ERROR_INVALID_VALUE",
        OUT_OF_MEMORY => c"CUDA_ERROR_OUT_OF_MEMORY",
        LAUNCH_FAILED => c"CUDA_ERROR_LAUNCH_FAILED",
        _ => c"CUDA_ERROR",
    };
    unsafe { *text = name.as_ptr() };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(error: Status, text: *mut *const c_char) -> Status {
    unsafe { cuGetErrorName(error, text) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemPoolTrimTo(_: usize, _: usize) -> Status {
    ready() // nothing is kept
}
