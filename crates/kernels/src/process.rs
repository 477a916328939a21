//! What makes a process faster that computes a training step again and again.

/// Has the C library keep freed memory for the next step, instead of giving it back to a system that hands it out again page
/// by page, each cleared; and candle's threads sleep between two operations, instead of waiting for a millisecond at full speed
/// where others could compute. Does nothing where the system is not Linux with glibc, or other threads have started.
pub fn prepare_for_training() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::prepare();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    /// How often one of candle's threads looks for work before it sleeps.
    const SPIN_LIMIT: &str = "CANDLE_BARRIER_POOL_SPIN_LIMIT";

    pub(super) fn prepare() {
        let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
        if threads != 1 {
            return;
        }
        if std::env::var_os(SPIN_LIMIT).is_none() {
            // SAFETY: this is the only thread, so none reads the environment meanwhile.
            unsafe { std::env::set_var(SPIN_LIMIT, "1") };
        }
        // SAFETY: these change how memory is obtained from now on, and nothing that was.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        }
    }
}
