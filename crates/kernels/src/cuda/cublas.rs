//! Matrix products by cuBLAS.

use std::ffi::c_void;

use candle_core::{CudaDevice, DType, Error, Result, Tensor, bail};
use cudarc::cublas::{result, sys};

use super::{
    error::cuda_error,
    memory::{address, blank},
};

/// Matrix products in one type.
pub struct Gemm {
    device: CudaDevice,
    dtype: DType,
    compute: sys::cublasComputeType_t,
    _workspace: Workspace,
}

/// Working memory of a device's cuBLAS handle: always the same, so that a product does not depend on what ran before it, and
/// a graph that one is captured in needs no memory for it.
struct Workspace {
    device: CudaDevice,
    _memory: Tensor,
}

/// Bytes of working memory that cuBLAS asks for, from compute capability 9.0 on and before it.
const WORKSPACES: [usize; 2] = [32 << 20, 8 << 20];

impl Workspace {
    fn new(device: &CudaDevice) -> Result<Self> {
        let context = device.cuda_stream().context().clone();
        let capability = context.compute_capability().map_err(cuda_error)?;
        let [late, early] = WORKSPACES;
        let len = if capability >= (9, 0) { late } else { early };
        let memory = blank(len, DType::U8, device)?;
        let first = address(&memory, device)? as *mut c_void;
        context.bind_to_thread().map_err(cuda_error)?;
        // SAFETY: so many bytes lie there, aligned as all device memory is, and stay until `drop` has taken them from the
        // handle. They are used in the order of the stream that the handle works on, in which they are freed as well.
        let set = unsafe { sys::cublasSetWorkspace_v2(*device.cublas_handle().handle(), first, len) };
        set.result().map_err(cuda_error)?;
        Ok(Self { device: device.clone(), _memory: memory })
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let stream = self.device.cuda_stream();
        let _ = stream.context().bind_to_thread();
        // SAFETY: the handle and its stream live as long as the device. Being given its stream anew, the handle goes back to
        // memory of its own.
        let _ =
            unsafe { result::set_stream(*self.device.cublas_handle().handle(), stream.cu_stream().cast()) };
    }
}

impl Gemm {
    /// For matrices of `dtype`, f32 or bf16. Sums are f32. Products of f32 are rounded to TF32 only where `tf32` says so.
    ///
    /// # Errors
    /// When there is no memory for cuBLAS to work in.
    pub fn new(device: &CudaDevice, dtype: DType, tf32: bool) -> Result<Self> {
        let compute = match dtype {
            DType::F32 if tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            _ => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        Ok(Self { device: device.clone(), dtype, compute, _workspace: Workspace::new(device)? })
    }

    /// `a` (rows, k) by `b`, which is (k, columns), or (columns, k) where `transposed` says so.
    ///
    /// # Errors
    /// When shapes or types do not agree, or the device fails.
    pub fn run(&self, a: &Tensor, b: &Tensor, transposed: bool) -> Result<Tensor> {
        self.product(a, b, [false, transposed], self.dtype)
    }

    /// `a` by `b` as `dtype`, each of them transposed first where `transposed` says so.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn product(&self, a: &Tensor, b: &Tensor, transposed: [bool; 2], dtype: DType) -> Result<Tensor> {
        let (rows, columns) = (turned(a, transposed[0])?.0, turned(b, transposed[1])?.1);
        let c = blank((rows, columns), dtype, &self.device)?;
        self.product_into(a, b, transposed, &c)?;
        Ok(c)
    }

    /// [`product`](Self::product) into `c`, as the type that it has.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn product_into(&self, a: &Tensor, b: &Tensor, transposed: [bool; 2], c: &Tensor) -> Result<()> {
        let (rows, k) = turned(a, transposed[0])?;
        let (depth, columns) = turned(b, transposed[1])?;
        let fits = c.dims() == [rows, columns] && matches!(c.dtype(), DType::F32 | DType::BF16);
        if !fits || depth != k || a.dtype() != self.dtype || b.dtype() != self.dtype {
            bail!("{:?} times {:?} is not {:?} in {:?}", a.shape(), b.shape(), c.shape(), self.dtype)
        }
        let operation = |turn| match turn {
            true => sys::cublasOperation_t::CUBLAS_OP_T,
            false => sys::cublasOperation_t::CUBLAS_OP_N,
        };
        let size = |n: usize| i32::try_from(n).map_err(Error::wrap);
        let pointer = |tensor: &Tensor| Ok::<_, Error>(address(tensor, &self.device)? as *const c_void);
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
                pointer(c)?.cast_mut(),
                numbers(c.dtype()),
                size(columns)?,
                self.compute,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT_TENSOR_OP,
            )
        };
        done.map_err(cuda_error)
    }
}

/// A matrix's rows and columns, after it was turned where `turn` says so.
fn turned(matrix: &Tensor, turn: bool) -> Result<(usize, usize)> {
    let (rows, columns) = matrix.dims2()?;
    Ok(if turn { (columns, rows) } else { (rows, columns) })
}

fn numbers(dtype: DType) -> sys::cudaDataType_t {
    match dtype {
        DType::BF16 => sys::cudaDataType_t::CUDA_R_16BF,
        _ => sys::cudaDataType_t::CUDA_R_32F,
    }
}
