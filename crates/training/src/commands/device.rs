//! `--device` to a device.

use candle_core::Device;

use crate::outcome::Mistake;

/// The device called `name`: `cpu`.
///
/// # Errors
/// When it is another: the operations of a step have no kernels for it.
pub(super) fn open(name: &str) -> anyhow::Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    Err(Mistake::error(format!(
        "--device is `{name}`; the operations of a step have kernels for `cpu` alone"
    )))
}

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
