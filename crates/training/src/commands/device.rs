//! `--device` to a device.

use candle_core::Device;

use crate::outcome::Mistake;

/// The device called `name`: `cpu`, `cuda` (the one of `local_rank`) or `cuda:N`.
///
/// # Errors
/// When the name means nothing, or the device cannot be had.
pub(super) fn open(name: &str, local_rank: usize) -> anyhow::Result<Device> {
    let ordinal = match name.split_once(':') {
        None if name == "cpu" => return Ok(Device::Cpu),
        None if name == "cuda" => Some(local_rank),
        Some(("cuda", ordinal)) => ordinal.parse().ok(),
        _ => None,
    };
    let Some(ordinal) = ordinal else {
        return Err(Mistake::error(format!("--device is `{name}`; give cpu, cuda or cuda:N")));
    };
    Device::new_cuda(ordinal).map_err(|error| {
        Mistake::error(format!("the GPU {ordinal} cannot be used: {error}; train with --device cpu"))
    })
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
