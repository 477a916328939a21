//! Streams: threads that work off what they were given, in order and on their own.

use std::{
    cell::Cell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicI32, Ordering},
    },
    thread,
};

/// Work of a stream; a graph has it done again and again.
pub type Work = Arc<dyn Fn() + Send + Sync>;

/// What CUDA answers when a kernel has gone wrong.
pub const LAUNCH_FAILED: i32 = 719;

/// An error that a device does not recover from, as CUDA numbers it.
static LOST: AtomicI32 = AtomicI32::new(0);

/// Every stream that was made.
static ALL: Mutex<Vec<Weak<Stream>>> = Mutex::new(Vec::new());

thread_local! {
    /// Captures that this thread has begun and not ended.
    static CAPTURING: Cell<usize> = const { Cell::new(0) };
}

pub fn lose(error: i32, why: &str) {
    eprintln!("cuda-on-cpu: {why}");
    LOST.store(error, Ordering::SeqCst);
}

pub fn lost() -> i32 {
    LOST.load(Ordering::SeqCst)
}

/// Waits for all streams.
pub fn wait_for_all() {
    let all: Vec<_> =
        ALL.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    all.iter().for_each(|stream| stream.wait());
}

pub fn thread_captures() -> bool {
    CAPTURING.get() > 0
}

#[derive(Default)]
pub struct Stream {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    submitted: u64,
    done: u64,
    capture: Option<Capture>,
    ends: bool,
}

/// What a stream is given while it does none of it.
#[derive(Default)]
pub struct Capture {
    pub works: Vec<Work>,
    /// Memory that the graph allocates, and what of it is freed in it.
    pub allocated: Vec<usize>,
    pub freed: Vec<usize>,
    /// Something was asked for that a capture refuses.
    pub broken: bool,
}

impl Stream {
    /// A stream whose thread runs.
    pub fn start() -> Arc<Self> {
        let stream = Arc::new(Self::default());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|stream| stream.strong_count() > 0);
        all.push(Arc::downgrade(&stream));
        let works = stream.clone();
        thread::spawn(move || works.run());
        stream
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.queue.pop_front() {
                drop(state);
                // Who waits for the stream would wait for ever if its thread ended.
                if lost() == 0 && catch_unwind(AssertUnwindSafe(|| work())).is_err() {
                    lose(LAUNCH_FAILED, "work of a stream panicked");
                }
                drop(work); // and the memory of its graph, before anybody is told that it is done
                state = self.lock();
                state.done += 1;
                self.changed.notify_all();
            } else if state.ends {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Gives it work, or a capture on it.
    pub fn give(&self, work: impl Fn() + Send + Sync + 'static) {
        let mut state = self.lock();
        match &mut state.capture {
            Some(capture) => capture.works.push(Arc::new(work)),
            None => {
                state.queue.push_back(Arc::new(work));
                state.submitted += 1;
                self.changed.notify_all();
            }
        }
    }

    /// Waits until all it was given is done.
    pub fn wait(&self) {
        let mut state = self.lock();
        let until = state.submitted;
        while state.done < until {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends its thread once it has done what it was given.
    pub fn end(&self) {
        self.lock().ends = true;
        self.changed.notify_all();
    }

    pub fn begin_capture(&self) -> bool {
        let mut state = self.lock();
        let begins = state.capture.is_none();
        if begins {
            state.capture = Some(Capture::default());
            CAPTURING.set(CAPTURING.get() + 1);
        }
        begins
    }

    pub fn end_capture(&self) -> Option<Capture> {
        let capture = self.lock().capture.take()?;
        CAPTURING.set(CAPTURING.get() - 1);
        Some(capture)
    }

    /// What `change` makes of the capture; none where there is none.
    pub fn capturing<T>(&self, change: impl FnOnce(&mut Capture) -> T) -> Option<T> {
        self.lock().capture.as_mut().map(change)
    }
}
