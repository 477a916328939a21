//! Tensors' memory as addresses, and page-locked memory between them and the host.

use candle_core::{CudaDevice, CudaStorage, DType, Device, Result, Shape, Storage, Tensor, bail};
use cudarc::driver::{DevicePtr, HostSlice, PinnedHostSlice, result, sys};

use super::cuda_error;

/// Uploads of one batch that may be on their way at once: one for each resolution, and the start.
const SLOTS: usize = 12;

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
    // SAFETY: the callers are operators of this module, each of which writes every number of its output.
    unsafe { Tensor::empty(shape, dtype, &Device::Cuda(device.clone())) }
}

/// Page-locked memory: copies from and to it need no copy on the way, and those to the device do not wait.
#[derive(Default)]
pub(super) struct Staging {
    up: Vec<PinnedHostSlice<u32>>,
    next: usize,
    down: Option<PinnedHostSlice<u8>>,
}

impl Staging {
    /// Numbers as a vector on the device. Waits only if the slot's previous copy has not ended.
    pub(super) fn upload(&mut self, device: &CudaDevice, numbers: &[u32]) -> Result<Tensor> {
        let stream = device.cuda_stream();
        let slot = self.slot(device, numbers.len())?;
        slot.as_mut_slice().map_err(cuda_error)?[..numbers.len()].copy_from_slice(numbers);
        let tensor = empty(numbers.len(), DType::U32, device)?;
        let to = address(&tensor)?;
        // SAFETY: the slot is not written again before the event that is recorded here, when `_copied` goes, has come.
        unsafe {
            let (memory, _copied) = slot.stream_synced_slice(&stream);
            result::memcpy_htod_async(to, &memory[..numbers.len()], stream.cu_stream())
                .map_err(cuda_error)?;
        }
        Ok(tensor)
    }

    /// A vector's bytes. Waits for them.
    pub(super) fn download(&mut self, device: &CudaDevice, bytes: &Tensor) -> Result<Vec<u8>> {
        let (stream, len) = (device.cuda_stream(), bytes.elem_count());
        let from = address(bytes)?;
        if self.down.as_ref().is_none_or(|memory| memory.len() < len) {
            // Memory for reading is not write-combined.
            self.down = Some(page_locked(device, len, 0)?);
        }
        let Some(memory) = &mut self.down else { return Ok(Vec::new()) };
        // SAFETY: `as_slice` below waits for the event that is recorded here, when `_copied` goes.
        unsafe {
            let (memory, _copied) = memory.stream_synced_mut_slice(&stream);
            result::memcpy_dtoh_async(&mut memory[..len], from, stream.cu_stream()).map_err(cuda_error)?;
        }
        Ok(memory.as_slice().map_err(cuda_error)?[..len].to_vec())
    }

    /// The next slot, with room for `len` numbers.
    fn slot(&mut self, device: &CudaDevice, len: usize) -> Result<&mut PinnedHostSlice<u32>> {
        let index = self.next % SLOTS;
        self.next += 1;
        let room = len.next_power_of_two();
        if index == self.up.len() {
            self.up.push(page_locked(device, room, sys::CU_MEMHOSTALLOC_WRITECOMBINED)?);
        } else if self.up[index].len() < len {
            self.up[index] = page_locked(device, room, sys::CU_MEMHOSTALLOC_WRITECOMBINED)?;
        }
        Ok(&mut self.up[index])
    }
}

fn page_locked<T: cudarc::driver::DeviceRepr + cudarc::driver::ValidAsZeroBits>(
    device: &CudaDevice,
    len: usize,
    flags: u32,
) -> Result<PinnedHostSlice<T>> {
    let stream = device.cuda_stream();
    // SAFETY: all bits make a number, and the memory is cleared before anything reads it.
    let mut memory = unsafe { stream.context().alloc_pinned_with_flags(len, flags) }.map_err(cuda_error)?;
    let first: *mut T = memory.as_mut_ptr().map_err(cuda_error)?;
    // SAFETY: `len` elements lie there, and zero bits are valid in each.
    unsafe { std::ptr::write_bytes(first, 0, len) };
    Ok(memory)
}

/// Takes a storage's memory out of it and leaves one byte, which nobody reads, in its place.
pub fn take(storage: &mut CudaStorage) -> Result<CudaStorage> {
    let device = storage.device.clone();
    // SAFETY: who takes a tensor's memory lets go of the tensor.
    let nothing = unsafe { device.alloc::<u8>(1)? };
    Ok(std::mem::replace(storage, CudaStorage::wrap_cuda_slice(nothing, device)))
}
