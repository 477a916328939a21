//! Matrix products by cuBLAS.

use std::ffi::c_void;

use candle_core::{CudaDevice, DType, Error, Result, Tensor, bail};
use cudarc::cublas::{result, sys};

use super::{
    cuda_error,
    memory::{address, empty},
};

/// Products in one type.
pub(super) struct Gemm {
    device: CudaDevice,
    dtype: DType,
    compute: sys::cublasComputeType_t,
}

impl Gemm {
    /// Sums are f32. Products of f32 are rounded to TF32 only where `tf32` says so.
    pub(super) fn new(device: &CudaDevice, dtype: DType, tf32: bool) -> Self {
        let compute = match dtype {
            DType::F32 if tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            _ => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        Self { device: device.clone(), dtype, compute }
    }

    /// `a` (rows, k) by `b`, which is (k, columns), or (columns, k) where `transposed` says so.
    pub(super) fn run(&self, a: &Tensor, b: &Tensor, transposed: bool) -> Result<Tensor> {
        self.product(a, b, [false, transposed], self.dtype)
    }

    /// `a` by `b` as `dtype`, each of them turned first where `transposed` says so.
    pub(super) fn product(
        &self,
        a: &Tensor,
        b: &Tensor,
        transposed: [bool; 2],
        dtype: DType,
    ) -> Result<Tensor> {
        let turned =
            |(rows, columns): (usize, usize), turn| if turn { (columns, rows) } else { (rows, columns) };
        let (rows, k) = turned(a.dims2()?, transposed[0]);
        let (depth, columns) = turned(b.dims2()?, transposed[1]);
        if depth != k || a.dtype() != self.dtype || b.dtype() != self.dtype {
            bail!("{:?} does not multiply {:?} in {:?}", a.shape(), b.shape(), self.dtype)
        }
        let c = empty((rows, columns), dtype, &self.device)?;
        let operation = |turn| match turn {
            true => sys::cublasOperation_t::CUBLAS_OP_T,
            false => sys::cublasOperation_t::CUBLAS_OP_N,
        };
        let size = |n: usize| i32::try_from(n).map_err(Error::wrap);
        let pointer = |tensor: &Tensor| Ok::<_, Error>(address(tensor)? as *const c_void);
        let (one, zero) = (1.0f32, 0.0f32);
        self.device.cuda_stream().context().bind_to_thread().map_err(cuda_error)?;
        // SAFETY: cuBLAS counts columns first, so it is asked for Cᵀ = Bᵀ · Aᵀ. All three are contiguous and of these
        // sizes, and the handle works on the device's stream.
        let done = unsafe {
            result::gemm_ex(
                *self.device.cublas_handle().handle(),
                operation(transposed[1]),
                operation(transposed[0]),
                size(columns)?,
                size(rows)?,
                size(k)?,
                (&raw const one).cast(),
                pointer(b)?,
                numbers(self.dtype),
                size(b.dim(1)?)?,
                pointer(a)?,
                numbers(self.dtype),
                size(a.dim(1)?)?,
                (&raw const zero).cast(),
                pointer(&c)?.cast_mut(),
                numbers(dtype),
                size(columns)?,
                self.compute,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT_TENSOR_OP,
            )
        };
        done.map_err(cuda_error)?;
        Ok(c)
    }
}

fn numbers(dtype: DType) -> sys::cudaDataType_t {
    match dtype {
        DType::BF16 => sys::cudaDataType_t::CUDA_R_16BF,
        _ => sys::cudaDataType_t::CUDA_R_32F,
    }
}
