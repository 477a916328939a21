//! Tensors as plain numbers.

use spadework_model::Prefixed;

use crate::EngineError;

/// The elements of tensor `name`, row-major, its shape checked.
pub(super) fn numbers(
    parameters: &Prefixed<'_>,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>, EngineError> {
    let tensor = parameters.get(name, shape)?.to_dtype(candle_core::DType::F32)?;
    Ok(tensor.flatten_all()?.to_vec1()?)
}
