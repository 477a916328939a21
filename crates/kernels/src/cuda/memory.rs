//! Tensors' memory as addresses.

use candle_core::{
    CudaDevice, DType, Device, Result, Shape, Storage, Tensor, backend::BackendDevice as _, bail,
};
use cudarc::driver::DevicePtr;

/// Where a contiguous tensor of `device` has its first number. It is there as long as the tensor is; work that was given to
/// the device's stream before the tensor goes still finds it.
pub(super) fn address(tensor: &Tensor, device: &CudaDevice) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { bail!("the tensor is not on a CUDA device") };
    if !storage.device.same_device(device) {
        bail!("the tensor is another device's, or another stream's")
    }
    if !layout.is_contiguous() {
        bail!("the tensor is not contiguous")
    }
    let stream = storage.device.cuda_stream();
    let first = match tensor.dtype() {
        DType::F32 => storage.as_cuda_slice::<f32>()?.device_ptr(&stream).0,
        DType::F64 => storage.as_cuda_slice::<f64>()?.device_ptr(&stream).0,
        DType::BF16 => storage.as_cuda_slice::<half::bf16>()?.device_ptr(&stream).0,
        DType::U32 => storage.as_cuda_slice::<u32>()?.device_ptr(&stream).0,
        DType::U8 => storage.as_cuda_slice::<u8>()?.device_ptr(&stream).0,
        other => bail!("no kernel takes {other:?}"),
    };
    Ok(first + (layout.start_offset() * tensor.dtype().size_in_bytes()) as u64)
}

/// A tensor of any numbers, to be written before it is read.
///
/// # Errors
/// When there is no memory for it.
pub fn blank(shape: impl Into<Shape>, dtype: DType, device: &CudaDevice) -> Result<Tensor> {
    // SAFETY: it is the device's memory, which the host sees only through copies, and all bits make a number of each type here.
    unsafe { Tensor::empty(shape, dtype, &Device::Cuda(device.clone())) }
}
