//! Sums over the devices of several processes, by NCCL. Its library is loaded when it is asked for: a process that is
//! alone needs none, and one that is not learns with a sentence that there is none.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{CudaDevice, DType, Device, Result, Tensor, bail};
use libloading::Library;

use super::{
    error::cuda_error,
    memory::{address, blank},
};
use crate::device::{DeviceError, DeviceFault, FaultKind};

/// The library's names.
const NAMES: [&str; 2] = ["libnccl.so.2", "libnccl.so"];

/// NCCL's numbers for types and for a sum.
const FLOAT32: c_int = 7;
const FLOAT64: c_int = 8;
const SUM: c_int = 0;

/// What a group of processes is told by.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct NcclId(pub [u8; 128]);

/// A communicator as the library knows it.
type Handle = *mut c_void;

/// A communicator of ours.
#[derive(Debug)]
struct Owned(Handle);

// SAFETY: NCCL lets a communicator be used from any thread, one at a time, which its owner's mutex sees to.
unsafe impl Send for Owned {}

/// The functions that are used, and the library that they live in.
#[derive(Debug)]
pub struct Nccl {
    unique_id: unsafe extern "C" fn(*mut NcclId) -> c_int,
    init: unsafe extern "C" fn(*mut Handle, c_int, NcclId, c_int) -> c_int,
    all_reduce:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Handle, *mut c_void) -> c_int,
    abort: unsafe extern "C" fn(Handle) -> c_int,
    error: unsafe extern "C" fn(c_int) -> *const c_char,
    _library: Library,
}

/// A process among those of a group, each with its device.
#[derive(Debug)]
pub struct Communicator {
    nccl: Arc<Nccl>,
    owned: Mutex<Owned>,
    device: CudaDevice,
}

impl Nccl {
    /// Loads the library.
    ///
    /// # Errors
    /// When it is not there, or is none.
    pub fn load() -> std::result::Result<Self, DeviceError> {
        // SAFETY: the library's initialisers are NVIDIA's, and the functions have the signatures of nccl.h, which NCCL
        // keeps within its version 2.
        unsafe {
            let library = NAMES.iter().find_map(|name| Library::new(*name).ok());
            let Some(library) = library else { return Err(refuse(&format!("there is no {}", NAMES[0]))) };
            let missing = |error: libloading::Error| refuse(&error.to_string());
            Ok(Self {
                unique_id: *library.get(b"ncclGetUniqueId\0").map_err(missing)?,
                init: *library.get(b"ncclCommInitRank\0").map_err(missing)?,
                all_reduce: *library.get(b"ncclAllReduce\0").map_err(missing)?,
                abort: *library.get(b"ncclCommAbort\0").map_err(missing)?,
                error: *library.get(b"ncclGetErrorString\0").map_err(missing)?,
                _library: library,
            })
        }
    }

    /// A new group's id, which one process makes and the others are told.
    ///
    /// # Errors
    /// NCCL's.
    pub fn new_id(&self) -> std::result::Result<NcclId, DeviceError> {
        let mut id = NcclId([0; 128]);
        // SAFETY: NCCL writes the 128 bytes.
        self.check(unsafe { (self.unique_id)(&raw mut id) }).map_err(|reason| unconnected(&reason))?;
        Ok(id)
    }

    fn check(&self, code: c_int) -> std::result::Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: NCCL gives a text of its own for every code.
        let text = unsafe { CStr::from_ptr((self.error)(code)) };
        Err(text.to_string_lossy().into_owned())
    }
}

/// NCCL is there and does not connect.
fn unconnected(reason: &str) -> DeviceError {
    DeviceError::new(
        "NCCL",
        format!(
            "{reason}; every process needs a CUDA device of its own, and a network on which all reach one another: \
             NCCL_DEBUG=INFO tells more"
        ),
    )
}

/// There is no NCCL.
fn refuse(reason: &str) -> DeviceError {
    DeviceError::new(
        "NCCL",
        format!(
            "{reason}; several processes on CUDA devices need NCCL 2: install it (with PyTorch's wheels it is in \
             nvidia/nccl/lib) and name its folder in LD_LIBRARY_PATH, or train with one process"
        ),
    )
}

impl Communicator {
    /// Joins the group of `id` as one of `world` processes. Waits for all of them.
    ///
    /// # Errors
    /// When `device` is no CUDA device, or NCCL's.
    pub fn join(
        nccl: Nccl,
        device: &Device,
        id: NcclId,
        rank: usize,
        world: usize,
    ) -> std::result::Result<Self, DeviceError> {
        let Device::Cuda(device) = device else { return Err(unconnected("this is no CUDA device")) };
        let context = device.cuda_stream().context().clone();
        context.bind_to_thread().map_err(|error| unconnected(&error.to_string()))?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the context of the device is this thread's, and `handle` is written before it is read.
        let code = unsafe { (nccl.init)(&raw mut handle, world as c_int, id, rank as c_int) };
        nccl.check(code).map_err(|reason| unconnected(&reason))?;
        Ok(Self { nccl: Arc::new(nccl), owned: Mutex::new(Owned(handle)), device: device.clone() })
    }

    /// The sum of the processes' tensors, f32 or f64. All of them call it, in the same order.
    ///
    /// # Errors
    /// NCCL's.
    pub fn sum(&self, tensor: &Tensor) -> Result<Tensor> {
        let tensor = tensor.contiguous()?;
        let kind = match tensor.dtype() {
            DType::F32 => FLOAT32,
            DType::F64 => FLOAT64,
            other => bail!("processes add up f32 or f64, not {other:?}"),
        };
        let out = blank(tensor.shape(), tensor.dtype(), &self.device)?;
        let (from, to, stream) =
            (address(&tensor, &self.device)?, address(&out, &self.device)?, self.device.cuda_stream());
        stream.context().bind_to_thread().map_err(cuda_error)?;
        let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: both tensors have as many numbers of this type. The sum is part of their stream, in whose order their
        // memory goes.
        let code = unsafe {
            (self.nccl.all_reduce)(
                from as *const c_void,
                to as *mut c_void,
                tensor.elem_count(),
                kind,
                SUM,
                owned.0,
                stream.cu_stream().cast(),
            )
        };
        self.nccl.check(code).map_err(|reason| -> candle_core::Error {
            DeviceFault::new(FaultKind::Other, format!("NCCL: {reason}")).into()
        })?;
        Ok(out)
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        let owned = self.owned.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: nothing uses the handle any more. Aborting waits for no other process, which may be gone.
        unsafe { (self.nccl.abort)(owned.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_library_a_sentence_says_what_is_missing() {
        // Where it is installed, it loads.
        if let Err(error) = Nccl::load() {
            let text = error.to_string();
            assert!(text.contains("there is no libnccl.so.2") && text.contains("LD_LIBRARY_PATH"), "{text}");
        }
    }

    #[test]
    #[ignore = "needs a CUDA device"]
    fn a_process_alone_is_its_own_sum() {
        let Ok(nccl) = Nccl::load() else { return };
        let device = Device::Cuda(super::super::open(0).unwrap());
        let id = nccl.new_id().unwrap();
        let alone = Communicator::join(nccl, &device, id, 0, 1).unwrap();
        for dtype in [DType::F32, DType::F64] {
            let x = Tensor::arange(0f32, 1000.0, &device).unwrap().to_dtype(dtype).unwrap();
            let difference = (alone.sum(&x).unwrap() - &x).unwrap().abs().unwrap().sum_all().unwrap();
            assert_eq!(difference.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap(), 0.0);
        }
    }
}
