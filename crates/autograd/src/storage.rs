//! Tensors as slices and back.

use candle_core::{
    CpuStorage, DType, Layout, Result, Shape, Storage, Tensor, backend::BackendStorage as _, bail,
};

use super::element::Element;

/// What a forward pass' argument consists of.
pub(super) fn dtype(storage: &CpuStorage) -> DType {
    storage.dtype()
}

/// The values behind a forward pass' argument, which its caller made contiguous.
pub(super) fn slice<'a, T: Element>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let values = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("an operation's argument is not contiguous"),
    }
}

/// Hands the tensor's values, row-major, to `read`.
pub(super) fn with_values<T: Element, R>(tensor: &Tensor, read: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => read(slice(storage, layout)?),
        _ => bail!("this operation runs on a CPU only"),
    }
}

/// What a forward pass returns.
pub(super) fn stored<T: Element>(values: Vec<T>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (T::to_cpu_storage_owned(values), shape.into())
}

/// What a backward pass returns.
pub(super) fn tensor<T: Element>(values: Vec<T>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}

/// Calls a function that is generic over the element with the element of a dtype.
macro_rules! by_dtype {
    ($dtype:expr, $element:ident => $call:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $element = f32;
                $call
            }
            candle_core::DType::F64 => {
                type $element = f64;
                $call
            }
            other => candle_core::bail!("this operation computes in f32 or f64, not {other:?}"),
        }
    };
}
pub(super) use by_dtype;
