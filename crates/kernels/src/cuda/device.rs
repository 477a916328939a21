//! Opening a device, and saying clearly why it cannot be opened.

use candle_core::CudaDevice;
use cudarc::driver::{CudaContext, DriverError, result, sys};

use super::error::cuda_error;
use crate::device::{DeviceError, DeviceInfo};

/// The compute capability that candle's kernels were built for, such as `90`, where the build said.
const BUILT_FOR: Option<&str> = option_env!("CUDA_COMPUTE_CAP");

/// The CUDA release that the libraries are of, as the driver tells its own: 13000 for 13.0.
const RELEASE: i32 = sys::CUDA_VERSION as i32;

/// The compute capability that has bf16 products.
const BF16: (i32, i32) = (8, 0);

/// Opens device `ordinal` with a stream of its own.
///
/// # Errors
/// When it is not there, or this build cannot run on it; the reason says what would help.
pub fn open(ordinal: usize) -> Result<CudaDevice, DeviceError> {
    let refuse = |reason: String| DeviceError::new(format!("cuda:{ordinal}"), reason);
    let count = count().map_err(&refuse)?;
    if ordinal >= count {
        return Err(refuse(format!("there are {count} CUDA devices, numbered from 0")));
    }
    let info = describe(ordinal).map_err(|error| refuse(error.to_string()))?;
    if let Some(reason) = misfit(BUILT_FOR, info.compute_capability) {
        return Err(refuse(reason));
    }
    let device = CudaDevice::new_with_stream(ordinal).map_err(|error| refuse(error.to_string()))?;
    // SAFETY: every tensor of this device lives and dies on its one stream.
    unsafe { device.disable_event_tracking() };
    keep_freed_memory(&device).map_err(|error| refuse(error.to_string()))?;
    Ok(device)
}

/// Every device, as the driver describes it.
///
/// # Errors
/// When there is no driver, or none that fits.
pub fn list() -> Result<Vec<DeviceInfo>, DeviceError> {
    let refuse = |reason: String| DeviceError::new("cuda", reason);
    let count = count().map_err(refuse)?;
    (0..count).map(|ordinal| describe(ordinal).map_err(|error| refuse(error.to_string()))).collect()
}

/// Whether the device multiplies bf16.
///
/// # Errors
/// When the driver does not answer.
pub fn has_bf16(device: &CudaDevice) -> candle_core::Result<bool> {
    let capability = device.cuda_stream().context().compute_capability();
    Ok(capability.map_err(cuda_error)? >= BF16)
}

/// The number of devices, or why there is none.
fn count() -> Result<usize, String> {
    let driver = driver_release().map_err(|error| no_driver(&error))?;
    if driver < RELEASE {
        let (has, needs) = (release(driver), release(RELEASE));
        return Err(format!(
            "the NVIDIA driver supports CUDA {has}, this binary needs {needs}: update the driver"
        ));
    }
    match CudaContext::device_count() {
        Ok(count) => Ok(count as usize),
        Err(error) => Err(no_driver(&error)),
    }
}

fn no_driver(error: &DriverError) -> String {
    format!(
        "no NVIDIA driver with a device answers ({error:?}); in a container, start it with GPU access; or use \
         `--device cpu`"
    )
}

fn driver_release() -> Result<i32, DriverError> {
    let mut release = 0;
    // SAFETY: the driver writes one number, and this call needs no initialisation.
    unsafe { sys::cuDriverGetVersion(&mut release) }.result()?;
    Ok(release)
}

/// `13.0` for 13000.
fn release(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

fn describe(ordinal: usize) -> Result<DeviceInfo, DriverError> {
    let context = CudaContext::new(ordinal)?;
    let (free, total) = context.mem_get_info()?;
    Ok(DeviceInfo {
        name: format!("cuda:{ordinal}"),
        model: context.name()?,
        compute_capability: context.compute_capability()?,
        total_bytes: total,
        free_bytes: free,
        driver: release(driver_release()?),
    })
}

/// Why kernels built for one compute capability do not run on a device of another; none when they do.
fn misfit(built_for: Option<&str>, device: (i32, i32)) -> Option<String> {
    let built: i32 = built_for?.parse().ok()?;
    (10 * device.0 + device.1 < built).then(|| {
        let (major, minor) = device;
        format!(
            "this binary was built for compute capability {}.{} and later, the device has {major}.{minor}: build with \
             CUDA_COMPUTE_CAP={major}{minor}",
            built / 10,
            built % 10
        )
    })
}

/// By default the pool gives freed memory back whenever the device is waited for, only to ask for it again.
fn keep_freed_memory(device: &CudaDevice) -> candle_core::Result<()> {
    let context = device.cuda_stream().context().clone();
    if !context.has_async_alloc() {
        return Ok(());
    }
    let mut threshold = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the device is open, and the attribute is a 64-bit number.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device()).map_err(cuda_error)?;
        result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast()).map_err(cuda_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_run_on_what_they_were_built_for_and_on_later_devices() {
        assert_eq!(misfit(None, (7, 5)), None);
        assert_eq!(misfit(Some("80"), (8, 0)), None);
        assert_eq!(misfit(Some("80"), (9, 0)), None);
        let reason = misfit(Some("90"), (8, 9)).unwrap();
        assert!(reason.contains("9.0") && reason.ends_with("CUDA_COMPUTE_CAP=89"), "{reason}");
    }

    #[test]
    fn releases_read_as_people_write_them() {
        assert_eq!((release(13000).as_str(), release(12080).as_str()), ("13.0", "12.8"));
    }
}
