//! Tensors' memory as addresses.

use candle_core::{CudaDevice, CudaStorage, DType, Device, Result, Shape, Storage, Tensor, bail};
use cudarc::driver::DevicePtr;

/// Where a contiguous tensor's first number lies on the device. It is there as long as the tensor is; work that was
/// given to the tensor's stream before the tensor goes still finds it.
pub(super) fn address(tensor: &Tensor) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { bail!("the tensor is not on a CUDA device") };
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

/// A tensor to be written whole before it is read.
pub(super) fn empty(shape: impl Into<Shape>, dtype: DType, device: &CudaDevice) -> Result<Tensor> {
    // SAFETY: the callers are operators of this module, each of which writes every number of its output before anybody reads it;
    // memory for graphs has rows that no batch refers to until it has written them.
    unsafe { Tensor::empty(shape, dtype, &Device::Cuda(device.clone())) }
}

/// Takes a storage's memory out of it and leaves one byte, which nobody reads, in its place.
pub fn take(storage: &mut CudaStorage) -> Result<CudaStorage> {
    let device = storage.device.clone();
    // SAFETY: who takes a tensor's memory lets go of the tensor.
    let nothing = unsafe { device.alloc::<u8>(1)? };
    Ok(std::mem::replace(storage, CudaStorage::wrap_cuda_slice(nothing, device)))
}
