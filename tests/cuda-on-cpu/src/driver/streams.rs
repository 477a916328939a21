//! Streams.
//!
//! The `unsafe` is sound where callers keep the driver's contract: handles are those given out.

use std::ffi::{c_uint, c_void};

use super::{events::event_of, *};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut *mut c_void, _: c_uint) -> Status {
    check!(ready());
    unsafe { *stream = Box::into_raw(Box::new(Stream::start())).cast() };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamDestroy_v2(stream: *mut c_void) -> Status {
    // What it was given is done all the same.
    let stream = unsafe { Box::from_raw(stream.cast::<Arc<Stream>>()) };
    stream.end();
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamSynchronize(stream: *mut c_void) -> Status {
    check!(ready());
    let stream = usable_stream!(stream);
    if stream.capturing(|capture| capture.broken = true).is_some() {
        eprintln!("cuda-on-cpu: cuStreamSynchronize of a stream that captures");
        return CAPTURE_UNSUPPORTED;
    }
    stream.wait();
    stream::lost()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamWaitEvent(stream: *mut c_void, event: *mut c_void, _: c_uint) -> Status {
    check!(ready());
    let (stream, event) = (usable_stream!(stream), unsafe { event_of(event) });
    if stream.capturing(|capture| capture.broken = true).is_some() {
        eprintln!("cuda-on-cpu: cuStreamWaitEvent of an event outside the capture");
        return CAPTURE_ISOLATION;
    }
    let until = event.lock().recorded;
    give(&stream, "cuStreamWaitEvent", move || event.wait(until));
    SUCCESS
}
