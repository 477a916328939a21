//! Memory on the device and page-locked on the host, and copies between them.
//!
//! The `unsafe` is sound where callers keep the driver's contract: addresses are of memory that is there.

use std::{
    ffi::{c_uint, c_void},
    ptr,
};

use super::{streams::cuStreamSynchronize, *};
use crate::memory;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(address: *mut usize, bytes: usize, stream: *mut c_void) -> Status {
    check!(ready());
    let stream = usable_stream!(stream);
    if bytes == 0 {
        eprintln!("cuda-on-cpu: an allocation of no bytes");
        return INVALID_VALUE;
    }
    if stream.capturing(|_| ()).is_some() {
        let reserved = memory::reserve(bytes);
        stream.capturing(|capture| capture.allocated.push(reserved));
        give(&stream, "an allocation of a graph", move || memory::spoil(reserved));
        unsafe { *address = reserved };
        return SUCCESS;
    }
    let mut allocated = memory::allocate(bytes);
    if allocated.is_none() {
        stream.wait(); // what it frees is there for it
        allocated = memory::allocate(bytes);
    }
    let Some(allocated) = allocated else { return OUT_OF_MEMORY };
    unsafe { *address = allocated };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeAsync(address: usize, stream: *mut c_void) -> Status {
    check!(ready());
    let stream = usable_stream!(stream);
    let of_capture = stream.capturing(|capture| {
        let own = capture.allocated.contains(&address);
        if own {
            capture.freed.push(address);
        } else {
            capture.broken = true;
        }
        own
    });
    match of_capture {
        Some(true) => {
            // Who reads it later in the graph reads what nobody should.
            give(&stream, "a free of a graph", move || memory::spoil(address));
            SUCCESS
        }
        Some(false) => {
            eprintln!("cuda-on-cpu: a capture frees memory that it has not allocated");
            INVALID_VALUE
        }
        None => {
            give(&stream, "cuMemFreeAsync", move || {
                if !memory::free(address) {
                    stream::lose(INVALID_VALUE, "memory is freed that is not allocated");
                }
            });
            SUCCESS
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut usize, bytes: usize) -> Status {
    check!(ready());
    check!(outside_capture("cuMemAlloc"));
    let Some(allocated) = memory::allocate(bytes) else { return OUT_OF_MEMORY };
    unsafe { *address = allocated };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: usize) -> Status {
    check!(ready());
    check!(outside_capture("cuMemFree"));
    if memory::free(address) { SUCCESS } else { INVALID_VALUE }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(address: *mut usize, bytes: usize, _: c_uint) -> Status {
    check!(ready());
    check!(outside_capture("cuMemHostAlloc"));
    unsafe { *address = memory::allocate_pinned(bytes) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(address: usize) -> Status {
    check!(outside_capture("cuMemFreeHost"));
    if memory::free_pinned(address) { SUCCESS } else { INVALID_VALUE }
}

fn device_only(addresses: &[usize]) -> Status {
    let known = addresses.iter().all(|address| memory::is_device(*address));
    if known {
        return SUCCESS;
    }
    eprintln!("cuda-on-cpu: a copy to or from what is no device memory");
    INVALID_VALUE
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: usize,
    from: usize,
    bytes: usize,
    stream: *mut c_void,
) -> Status {
    check!(ready());
    check!(device_only(&[to]));
    let stream = usable_stream!(stream);
    if memory::is_pinned(from) {
        give(&stream, "cuMemcpyHtoDAsync", move || unsafe { copy(to, from, bytes) });
        return SUCCESS;
    }
    if stream.capturing(|capture| capture.broken = true).is_some() {
        eprintln!("cuda-on-cpu: a capture copies from memory that is not page-locked");
        return CAPTURE_UNSUPPORTED;
    }
    // The driver takes pageable memory with it before it returns.
    let taken = unsafe { std::slice::from_raw_parts(from as *const u8, bytes) }.to_vec();
    give(&stream, "cuMemcpyHtoDAsync", move || unsafe { copy(to, taken.as_ptr() as usize, taken.len()) });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: usize,
    from: usize,
    bytes: usize,
    stream: *mut c_void,
) -> Status {
    check!(ready());
    check!(device_only(&[from]));
    let handle = stream;
    let stream = usable_stream!(stream);
    give(&stream, "cuMemcpyDtoHAsync", move || unsafe { copy(to, from, bytes) });
    // To pageable memory the driver waits.
    if memory::is_pinned(to) { SUCCESS } else { unsafe { cuStreamSynchronize(handle) } }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoDAsync_v2(
    to: usize,
    from: usize,
    bytes: usize,
    stream: *mut c_void,
) -> Status {
    check!(ready());
    check!(device_only(&[to, from]));
    let stream = usable_stream!(stream);
    give(&stream, "cuMemcpyDtoDAsync", move || unsafe { copy(to, from, bytes) });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD8Async(to: usize, value: u8, bytes: usize, stream: *mut c_void) -> Status {
    check!(ready());
    check!(device_only(&[to]));
    let stream = usable_stream!(stream);
    give(&stream, "cuMemsetD8Async", move || unsafe { ptr::write_bytes(to as *mut u8, value, bytes) });
    SUCCESS
}

/// The synchronous calls go through the stream that all share, which waits for no other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(to: usize, from: usize, bytes: usize) -> Status {
    check!(outside_capture("cuMemcpyHtoD"));
    check!(unsafe { cuMemcpyHtoDAsync_v2(to, from, bytes, ptr::null_mut()) });
    unsafe { cuStreamSynchronize(ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(to: usize, from: usize, bytes: usize) -> Status {
    check!(outside_capture("cuMemcpyDtoH"));
    check!(unsafe { cuMemcpyDtoHAsync_v2(to, from, bytes, ptr::null_mut()) });
    unsafe { cuStreamSynchronize(ptr::null_mut()) }
}

unsafe fn copy(to: usize, from: usize, bytes: usize) {
    // SAFETY: the caller's; where one of them is not there, the handler of `cuInit` tells.
    unsafe { ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) };
}
