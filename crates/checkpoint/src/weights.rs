//! safetensors, one tensor at a time: a file of weights is never in memory twice.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    str::FromStr,
};

use candle_core::{DType, Device, Tensor};
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use sha2::{Digest, Sha256};
use spadework_model::Tensors;

use crate::CheckpointError;

/// The longest header that is read; the format's own bound is 100 MB. A generator's has 30 kB.
const LONGEST_HEADER: u64 = 16 << 20;

/// Number format of weights on disk, by its name in lower case. Running statistics are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightType {
    /// 32-bit.
    #[default]
    F32,
    /// 16-bit, IEEE.
    F16,
    /// 16-bit, bfloat.
    Bf16,
}

impl FromStr for WeightType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            _ => Err("weights are f32, f16 or bf16".to_owned()),
        }
    }
}

impl WeightType {
    fn of(self, tensor: &str) -> DType {
        match self {
            Self::F16 if !is_statistic(tensor) => DType::F16,
            Self::Bf16 if !is_statistic(tensor) => DType::BF16,
            _ => DType::F32,
        }
    }
}

fn is_statistic(tensor: &str) -> bool {
    tensor.ends_with("running_mean") || tensor.ends_with("running_var")
}

/// A reader that keeps the digest of all that passes.
pub(crate) struct Hashed<'a, R> {
    pub(crate) reader: R,
    pub(crate) digest: &'a mut Sha256,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.digest.update(&buffer[..count]);
        Ok(count)
    }
}

/// Reads the header of a safetensors file of `length` bytes: its tensors in the order of their bytes.
pub(crate) fn read_header(
    reader: &mut impl Read,
    length: u64,
    place: &str,
) -> Result<Vec<(String, TensorInfo)>, CheckpointError> {
    let broken = |reason: String| CheckpointError::Safetensors { place: place.to_owned(), reason };
    let mut prefix = [0; 8];
    reader.read_exact(&mut prefix).map_err(|error| broken(error.to_string()))?;
    let header_length = u64::from_le_bytes(prefix);
    if header_length > LONGEST_HEADER || header_length + 8 > length {
        return Err(broken(format!("its header claims {header_length} bytes of {length}")));
    }
    let mut header = vec![0; header_length as usize];
    reader.read_exact(&mut header).map_err(|error| broken(error.to_string()))?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| broken(error.to_string()))?;
    let promised = 8 + header_length + metadata.data_len() as u64;
    if promised != length {
        return Err(broken(format!("its header promises {promised} bytes and it has {length}")));
    }
    // Offsets have been checked to follow each other without a gap.
    let names = metadata.offset_keys();
    let info = |name: String| metadata.info(&name).cloned().map(|info| (name, info));
    Ok(names.into_iter().filter_map(info).collect())
}

/// What to do with tensors of whole numbers, which no network computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WholeNumbers {
    /// The file is not a model's.
    Refuse,
    /// A state dict has counters, such as `num_batches_tracked`.
    PassOver,
}

/// Reads the floating-point tensors, as f32 on the CPU.
pub(crate) fn read(
    mut reader: impl Read,
    length: u64,
    place: &str,
    whole_numbers: WholeNumbers,
) -> Result<Tensors, CheckpointError> {
    let mut tensors = Tensors::new();
    let mut bytes = Vec::new();
    for (name, info) in read_header(&mut reader, length, place)? {
        bytes.resize(info.data_offsets.1 - info.data_offsets.0, 0);
        reader.read_exact(&mut bytes).map_err(|error| CheckpointError::Safetensors {
            place: place.to_owned(),
            reason: error.to_string(),
        })?;
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F64 => DType::F64,
            Dtype::I64 | Dtype::I32 if whole_numbers == WholeNumbers::PassOver => continue,
            other => {
                let (place, dtype) = (place.to_owned(), format!("{other:?}"));
                return Err(CheckpointError::WrongType { place, tensor: name, dtype });
            }
        };
        let tensor =
            Tensor::from_raw_buffer(&bytes, dtype, &info.shape, &Device::Cpu)?.to_dtype(DType::F32)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// Writes all tensors by name, one after the other.
pub(crate) fn write(mut writer: impl Write, tensors: &Tensors, dtype: WeightType) -> Result<(), WriteError> {
    let sorted: BTreeMap<&String, &Tensor> = tensors.iter().collect();
    let mut end = 0;
    let mut infos = Vec::with_capacity(sorted.len());
    for (name, tensor) in &sorted {
        let stored = dtype.of(name);
        let start = end;
        end += tensor.elem_count() * stored.size_in_bytes();
        let dtype = match stored {
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            _ => Dtype::F32,
        };
        infos.push((
            (*name).clone(),
            TensorInfo { dtype, shape: tensor.dims().to_vec(), data_offsets: (start, end) },
        ));
    }
    let format = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    let metadata = Metadata::new(Some(format), infos).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata).map_err(io::Error::other)?;
    // Data starts at a multiple of eight bytes, as the format asks.
    header.resize(header.len().next_multiple_of(8), b' ');
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(&header)?;
    for (name, tensor) in sorted {
        writer.write_all(&little_endian(&tensor.to_dtype(dtype.of(name))?.flatten_all()?)?)?;
    }
    writer.flush()?;
    Ok(())
}

/// Why weights were not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

fn little_endian(flat: &Tensor) -> candle_core::Result<Vec<u8>> {
    Ok(match flat.dtype() {
        DType::F16 => flat.to_vec1::<half::f16>()?.into_iter().flat_map(half::f16::to_le_bytes).collect(),
        DType::BF16 => flat.to_vec1::<half::bf16>()?.into_iter().flat_map(half::bf16::to_le_bytes).collect(),
        _ => flat.to_vec1::<f32>()?.into_iter().flat_map(f32::to_le_bytes).collect(),
    })
}
