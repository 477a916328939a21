//! How many threads compute on a CPU.

/// Sets the number of threads of everything that computes on a CPU; 0 is one for each core. Nothing may have computed yet.
///
/// # Errors
/// When they cannot be started.
pub(super) fn set_threads(threads: usize) -> anyhow::Result<()> {
    if threads > 0 {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    Ok(())
}
