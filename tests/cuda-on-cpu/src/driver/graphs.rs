//! Captures and what they make.
//!
//! The `unsafe` is sound where callers keep the driver's contract: handles are those given out.

use std::{
    ffi::{c_int, c_uint, c_ulonglong, c_void},
    ptr,
    sync::Arc,
};

use super::*;
use crate::graph::Graph;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamBeginCapture_v2(stream: *mut c_void, _: c_uint) -> Status {
    check!(ready());
    match unsafe { stream_of(stream) }.begin_capture() {
        true => SUCCESS,
        false => INVALID_VALUE,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(stream: *mut c_void, status: *mut c_int) -> Status {
    check!(ready());
    let broken = unsafe { stream_of(stream) }.capturing(|capture| capture.broken);
    unsafe { *status = broken.map_or(0, |broken| 1 + c_int::from(broken)) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamEndCapture(stream: *mut c_void, graph: *mut *mut c_void) -> Status {
    check!(ready());
    let Some(capture) = unsafe { stream_of(stream) }.end_capture() else { return INVALID_VALUE };
    unsafe { *graph = ptr::null_mut() };
    if capture.broken {
        return CAPTURE_INVALIDATED;
    }
    unsafe { *graph = Box::into_raw(Box::new(Arc::new(Graph::new(capture)))).cast() };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiateWithFlags(
    executable: *mut *mut c_void,
    graph: *mut c_void,
    _: c_ulonglong,
) -> Status {
    check!(ready());
    let graph = unsafe { &*graph.cast::<Arc<Graph>>() };
    unsafe { *executable = Box::into_raw(Box::new(graph.clone())).cast() };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphUpload(executable: *mut c_void, _: *mut c_void) -> Status {
    check!(ready());
    let graph = unsafe { &*executable.cast::<Arc<Graph>>() };
    if graph.take_memory() { SUCCESS } else { OUT_OF_MEMORY }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGraphMemTrim(_: c_int) -> Status {
    ready() // a graph's memory goes with it
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphLaunch(executable: *mut c_void, stream: *mut c_void) -> Status {
    check!(ready());
    let stream = usable_stream!(stream);
    let graph = unsafe { &*executable.cast::<Arc<Graph>>() }.clone();
    if graph.leaks() {
        eprintln!("cuda-on-cpu: a graph that leaves memory allocated is launched");
        return INVALID_VALUE;
    }
    if !graph.take_memory() {
        return OUT_OF_MEMORY;
    }
    give(&stream, "cuGraphLaunch", move || graph.works().iter().for_each(|work| work()));
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphExecDestroy(executable: *mut c_void) -> Status {
    drop(unsafe { Box::from_raw(executable.cast::<Arc<Graph>>()) });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphDestroy(graph: *mut c_void) -> Status {
    drop(unsafe { Box::from_raw(graph.cast::<Arc<Graph>>()) });
    SUCCESS
}
