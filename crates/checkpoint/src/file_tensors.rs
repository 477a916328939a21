//! The tensors of any weight file, by name: safetensors, or a `.pth` in any container PyTorch has written.

use std::{
    collections::BTreeSet,
    error::Error,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use candle_core::{DType, Device, Tensor};
use pytorch_reader::{DType as PthType, PickleValue, PytorchError, PytorchReader};
use spadework_model::Tensors;

use crate::{
    CheckpointError,
    error::io_error,
    file_kind::{check_is_no_folder, check_kind},
    weights::{self, WholeNumbers, read_header},
};

/// A tensor as a file lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTensor {
    /// Its name.
    pub name: String,
    /// Its number format, such as `F32`.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// Lists the tensors of a `.safetensors` or `.pth` file by name, without reading their numbers.
///
/// # Errors
/// When the file is neither, is cut off or corrupt, or is a `.pth` that holds Python objects that are no tensors. Nothing
/// of it is ever run.
pub fn list_tensors(path: &Path) -> Result<Vec<FileTensor>, CheckpointError> {
    let mut tensors: Vec<FileTensor> = match open(path)? {
        WeightFile::Safetensors { mut reader, length } => {
            read_header(&mut reader, length, &path.display().to_string())?
                .into_iter()
                .map(|(name, info)| FileTensor {
                    name,
                    dtype: format!("{:?}", info.dtype),
                    shape: info.shape,
                })
                .collect()
        }
        WeightFile::PyTorch(reader) => {
            let listed = |tensor: &pytorch_reader::Tensor| FileTensor {
                name: tensor.name.clone(),
                dtype: format!("{:?}", tensor.dtype()),
                shape: tensor.shape().to_vec(),
            };
            reader.tensors().values().map(listed).collect()
        }
    };
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// Reads the floating-point tensors of a `.safetensors` or `.pth` file as f32, under the names in the file. Counters
/// and other whole numbers, such as `num_batches_tracked`, are left out.
///
/// # Errors
/// As [`list_tensors`].
pub fn read_tensors(path: &Path) -> Result<Tensors, CheckpointError> {
    read_chosen(path, |_| true)
}

/// Reads those of [`read_tensors`] whose name `is_chosen`.
///
/// # Errors
/// As [`list_tensors`].
pub(crate) fn read_chosen(path: &Path, is_chosen: impl Fn(&str) -> bool) -> Result<Tensors, CheckpointError> {
    match open(path)? {
        WeightFile::Safetensors { reader, length } => {
            let place = path.display().to_string();
            let mut tensors = weights::read(reader, length, &place, WholeNumbers::PassOver)?;
            tensors.retain(|name, _| is_chosen(name));
            Ok(tensors)
        }
        WeightFile::PyTorch(reader) => {
            let mut tensors = Tensors::new();
            for tensor in reader.into_tensors().into_values().filter(|tensor| is_chosen(&tensor.name)) {
                let Some(dtype) = float_type(tensor.dtype()) else { continue };
                let bytes = tensor.read().map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        CheckpointError::CutOff { path: path.to_owned(), source: None }
                    }
                    _ => io_error("read", path)(error),
                })?;
                let values = Tensor::from_raw_buffer(&bytes, dtype, tensor.shape(), &Device::Cpu)?;
                tensors.insert(tensor.name.clone(), values.to_dtype(DType::F32)?);
            }
            Ok(tensors)
        }
    }
}

enum WeightFile {
    Safetensors { reader: BufReader<File>, length: u64 },
    PyTorch(PytorchReader),
}

fn open(path: &Path) -> Result<WeightFile, CheckpointError> {
    check_is_no_folder(path)?;
    let mut file = File::open(path).map_err(io_error("read", path))?;
    check_kind(path, &mut file)?;
    let length = file.metadata().map_err(io_error("read", path))?.len();
    let mut start = Vec::new();
    file.by_ref().take(9).read_to_end(&mut start).map_err(io_error("read", path))?;
    let is_named_safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
    // A header's length in eight bytes, then the JSON itself.
    if is_named_safetensors || (start.get(8) == Some(&b'{') && !start.starts_with(b"PK")) {
        let file = File::open(path).map_err(io_error("read", path))?;
        return Ok(WeightFile::Safetensors { reader: BufReader::with_capacity(1 << 20, file), length });
    }
    refuse_objects(path)?; // first: a file that is one call has no tensors to be read
    PytorchReader::new(path).map(WeightFile::PyTorch).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: PytorchError) -> CheckpointError {
    let (path, source) = (path.to_owned(), Box::new(source));
    // Of what ends a legacy file too early the reader keeps the words alone.
    let ends = ["failed to fill whole buffer", "extends beyond the end of the file"];
    let told =
        matches!(&*source, PytorchError::InvalidFormat(text) if ends.iter().any(|end| text.ends_with(end)));
    match told || is_end_of_file(&*source) {
        true => CheckpointError::CutOff { path, source: Some(source) },
        false => CheckpointError::PyTorch { path, source },
    }
}

/// Whether an error, or one of its causes, is that a file ended too early.
fn is_end_of_file(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn float_type(dtype: PthType) -> Option<DType> {
    match dtype {
        PthType::F64 => Some(DType::F64),
        PthType::F32 => Some(DType::F32),
        PthType::F16 => Some(DType::F16),
        PthType::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// A state dict holds tensors, containers and plain values. Anything else is a call that Python would have made.
fn refuse_objects(path: &Path) -> Result<(), CheckpointError> {
    let root = PytorchReader::read_pickle_data(path, None).map_err(|source| unreadable(path, source))?;
    let mut types = BTreeSet::new();
    collect_objects(&root, &mut types);
    if types.is_empty() {
        return Ok(());
    }
    Err(CheckpointError::PythonObjects { path: path.to_owned(), types: types.into_iter().collect() })
}

fn collect_objects(value: &PickleValue, types: &mut BTreeSet<String>) {
    match value {
        PickleValue::List(values) => values.iter().for_each(|value| collect_objects(value, types)),
        PickleValue::Dict(values) => values.values().for_each(|value| collect_objects(value, types)),
        PickleValue::Unsupported(name) if !is_tensor_like(name) => {
            types.insert(name.clone());
        }
        _ => {}
    }
}

/// What a state dict may hold besides plain values, by its Python type.
fn is_tensor_like(name: &str) -> bool {
    let Some(name) = name.strip_prefix("torch.") else { return name == "int" };
    let number_types = ["float", "bfloat", "int", "uint", "bool", "complex"];
    matches!(name, "Tensor" | "TypedStorage" | "UntypedStorage" | "Size" | "device")
        || number_types.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit()))
}
