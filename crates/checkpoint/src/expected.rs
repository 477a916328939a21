//! Which tensors an architecture asks for, found by asking it.

use std::{cell::RefCell, collections::BTreeMap};

use candle_core::{DType, Device, Tensor};
use spadework_model::{Architecture, Encoder, Generator, Parameters, Tensors};

use crate::{CheckpointError, TensorMismatch};

/// Shapes by name.
pub(crate) type ExpectedShapes = BTreeMap<String, Vec<usize>>;

/// Writes down what is asked for, and answers zeros that take no memory.
#[derive(Default)]
struct Recorder(RefCell<ExpectedShapes>);

impl Parameters for Recorder {
    fn get(&self, name: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.0.borrow_mut().insert(name.to_owned(), shape.to_vec());
        Tensor::zeros(1, DType::F32, &Device::Cpu)?.broadcast_as(shape)
    }
}

/// The generator's tensors, each with its shape.
///
/// # Errors
/// When the architecture is no network.
pub fn expected_generator(architecture: &Architecture) -> Result<ExpectedShapes, CheckpointError> {
    let recorder = Recorder::default();
    Generator::new(&recorder, architecture)?;
    Ok(recorder.0.into_inner())
}

/// The encoder's tensors, each with its shape; none without an encoder.
///
/// # Errors
/// When the architecture is no network.
pub fn expected_encoder(architecture: &Architecture) -> Result<ExpectedShapes, CheckpointError> {
    let recorder = Recorder::default();
    if architecture.encoder.is_some() {
        Encoder::new(&recorder, architecture)?;
    }
    Ok(recorder.0.into_inner())
}

/// Checks that `tensors` are exactly the expected ones, and finite.
pub(crate) fn verify(
    tensors: &Tensors,
    expected: &ExpectedShapes,
    place: &str,
) -> Result<(), CheckpointError> {
    let mismatch = compare(tensors, expected);
    if !mismatch.is_empty() {
        return Err(CheckpointError::Tensors { place: place.to_owned(), mismatch });
    }
    for (name, tensor) in tensors {
        // A sum is finite unless a term is not, or the terms are absurd.
        if !tensor.abs()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Err(CheckpointError::NotFinite { place: place.to_owned(), tensor: name.clone() });
        }
    }
    Ok(())
}

/// What is missing from `tensors`, too much in them or of another shape, each sorted by name.
pub(crate) fn compare(tensors: &Tensors, expected: &ExpectedShapes) -> TensorMismatch {
    let mut mismatch = TensorMismatch::default();
    for (name, shape) in expected {
        match tensors.get(name) {
            None => mismatch.missing.push((name.clone(), shape.clone())),
            Some(tensor) if tensor.dims() != shape => {
                mismatch.misshapen.push((name.clone(), tensor.dims().to_vec(), shape.clone()));
            }
            Some(_) => {}
        }
    }
    let unexpected = tensors.iter().filter(|(name, _)| !expected.contains_key(*name));
    mismatch.unexpected = unexpected.map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect();
    mismatch.unexpected.sort();
    mismatch
}
