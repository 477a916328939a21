//! Events.
//!
//! The `unsafe` is sound where callers keep the driver's contract: handles are those given out.

use std::{
    ffi::{c_uint, c_void},
    sync::{Condvar, Mutex, PoisonError},
    time::Instant,
};

use super::*;

/// The moment that a stream comes to.
#[derive(Default)]
pub struct Event {
    state: Mutex<Moment>,
    changed: Condvar,
}

#[derive(Default)]
pub struct Moment {
    pub recorded: u64,
    pub reached: u64,
    pub at: Option<Instant>,
}

impl Event {
    pub fn lock(&self) -> std::sync::MutexGuard<'_, Moment> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait(&self, until: u64) {
        let mut state = self.lock();
        while state.reached < until && stream::lost() == 0 {
            let waited = self.changed.wait_timeout(state, std::time::Duration::from_millis(50));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

pub unsafe fn event_of(handle: *mut c_void) -> Arc<Event> {
    // SAFETY: a handle that `cuEventCreate` gave out.
    unsafe { &*handle.cast::<Arc<Event>>() }.clone()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut *mut c_void, _: c_uint) -> Status {
    check!(ready());
    unsafe { *event = Box::into_raw(Box::new(Arc::new(Event::default()))).cast() };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventDestroy_v2(event: *mut c_void) -> Status {
    drop(unsafe { Box::from_raw(event.cast::<Arc<Event>>()) });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventRecord(event: *mut c_void, stream: *mut c_void) -> Status {
    check!(ready());
    let (event, stream) = (unsafe { event_of(event) }, usable_stream!(stream));
    if stream.capturing(|capture| capture.broken = true).is_some() {
        eprintln!("cuda-on-cpu: cuEventRecord within a capture is not known here");
        return CAPTURE_UNSUPPORTED;
    }
    event.lock().recorded += 1;
    let number = event.lock().recorded;
    give(&stream, "cuEventRecord", move || {
        let mut moment = event.lock();
        moment.reached = number;
        moment.at = Some(Instant::now());
        event.changed.notify_all();
    });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventQuery(event: *mut c_void) -> Status {
    check!(ready());
    check!(outside_capture("cuEventQuery"));
    let event = unsafe { event_of(event) };
    let moment = event.lock();
    if moment.reached < moment.recorded { NOT_READY } else { SUCCESS }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventSynchronize(event: *mut c_void) -> Status {
    check!(ready());
    check!(outside_capture("cuEventSynchronize"));
    let event = unsafe { event_of(event) };
    let until = event.lock().recorded;
    event.wait(until);
    stream::lost()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(ms: *mut f32, start: *mut c_void, end: *mut c_void) -> Status {
    check!(ready());
    let mut times = [None; 2];
    for (time, event) in times.iter_mut().zip([start, end]) {
        let event = unsafe { event_of(event) };
        let moment = event.lock();
        if moment.reached < moment.recorded {
            return NOT_READY;
        }
        *time = moment.at;
    }
    let [Some(start), Some(end)] = times else { return 400 }; // never recorded
    let seconds = end.saturating_duration_since(start).as_secs_f32()
        - start.saturating_duration_since(end).as_secs_f32();
    unsafe { *ms = 1e3 * seconds };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime_v2(ms: *mut f32, start: *mut c_void, end: *mut c_void) -> Status {
    unsafe { cuEventElapsedTime(ms, start, end) }
}
