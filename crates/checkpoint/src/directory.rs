//! The model directory: reading it verified, writing it whole or not at all.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Cursor, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use spadework_model::Tensors;

use crate::{
    CheckpointError, Embedded, ModelConfig,
    error::io_error,
    expected::{expected_encoder, expected_generator, verify},
    layout::{CONFIG, DIGESTS, ENCODER, GENERATOR},
    partial::Partial,
    weights::{self, Hashed, WeightType, WholeNumbers, WriteError},
};

/// A model in memory: verified, f32, on the CPU.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its configuration.
    pub config: ModelConfig,
    /// The generator's tensors by their published names, spectral norm folded away.
    pub generator: Tensors,
    /// The encoder's, if it has one.
    pub encoder: Option<Tensors>,
    /// SHA-256 of its files in hexadecimal.
    pub digest: String,
}

/// Whether `path` is a folder with a configuration in it.
pub fn is_model_directory(path: &Path) -> bool {
    path.join(CONFIG).is_file()
}

/// Reads and verifies the model in `directory`.
///
/// # Errors
/// When a file is missing, cut off or corrupt, or does not fit the others; the message names what.
pub fn read_model(directory: &Path) -> Result<Model, CheckpointError> {
    Source::Directory(directory.to_owned()).read()
}

/// Writes `model` as the new folder `directory`. It appears whole: until then its files are in a temporary folder
/// beside it. What a killed process left there is removed.
///
/// # Errors
/// When the folder exists, the disk is full, or the model does not fit its configuration. Nothing is left behind.
pub fn write_model(
    directory: &Path,
    config: &ModelConfig,
    generator: &Tensors,
    encoder: Option<&Tensors>,
    dtype: WeightType,
) -> Result<(), CheckpointError> {
    let place = directory.display().to_string();
    config.check(&place)?;
    verify(generator, &expected_generator(&config.architecture)?, GENERATOR)?;
    verify(encoder.unwrap_or(&Tensors::new()), &expected_encoder(&config.architecture)?, ENCODER)?;
    if directory.exists() {
        return Err(CheckpointError::Exists(directory.to_owned()));
    }
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(io_error("create", parent))?;
    let text = config.to_text().map_err(|source| CheckpointError::Config { place, source })?;
    let partial = Partial::begin(parent, &text)?;
    write_weights(&partial.path().join(GENERATOR), generator, dtype)?;
    if let Some(encoder) = encoder {
        write_weights(&partial.path().join(ENCODER), encoder, dtype)?;
    }
    write_digests(partial.path(), encoder.is_some())?;
    make_readable(partial.path())?;
    sync_folder(partial.path())?;
    partial.finish(directory)?;
    sync_folder(parent)
}

/// Makes the names in a folder last through a power cut, where the system can.
fn sync_folder(folder: &Path) -> Result<(), CheckpointError> {
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("write", folder))?;
    Ok(())
}

fn write_weights(path: &Path, tensors: &Tensors, dtype: WeightType) -> Result<(), CheckpointError> {
    let file = File::create(path).map_err(io_error("create", path))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    weights::write(&mut writer, tensors, dtype).map_err(|error| match error {
        WriteError::Io(source) => io_error("write", path)(source),
        WriteError::Tensor(error) => error.into(),
    })?;
    let file = writer.into_inner().map_err(|error| io_error("write", path)(error.into_error()))?;
    file.sync_all().map_err(io_error("write", path))
}

fn write_digests(folder: &Path, encoder: bool) -> Result<(), CheckpointError> {
    let mut lines = String::new();
    for file in [CONFIG, GENERATOR].into_iter().chain(encoder.then_some(ENCODER)) {
        let path = folder.join(file);
        let (reader, mut digest) = (File::open(&path).map_err(io_error("read", &path))?, Sha256::new());
        std::io::copy(&mut Hashed { reader, digest: &mut digest }, &mut std::io::sink())
            .map_err(io_error("read", &path))?;
        lines += &format!("{}  {file}\n", hex(digest));
    }
    let path = folder.join(DIGESTS);
    fs::write(&path, lines).map_err(io_error("write", &path))
}

/// A temporary folder is its owner's alone; a model directory is as readable as any new folder.
fn make_readable(folder: &Path) -> Result<(), CheckpointError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
            .map_err(io_error("open up", folder))?;
    }
    Ok(())
}

/// Bytes of the longest configuration that is read.
const LONGEST_CONFIG: u64 = 16 << 20;

/// Where a model's files are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Directory(PathBuf),
    Embedded(Embedded),
}

/// A file's bytes and their number.
struct Open {
    reader: Box<dyn Read>,
    length: u64,
}

impl Source {
    /// Whether both are files in one place.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory(one), Self::Directory(other)) => one == other,
            (Self::Embedded(one), Self::Embedded(other)) => one.name == other.name,
            _ => false,
        }
    }

    /// Where, for messages.
    fn place(&self, file: &str) -> String {
        match self {
            Self::Directory(path) => path.join(file).display().to_string(),
            Self::Embedded(embedded) => format!("the embedded {}/{file}", embedded.name),
        }
    }

    fn open(&self, file: &str) -> Result<Option<Open>, CheckpointError> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(file);
                // To open a pipe would wait for whoever writes to it, maybe for ever.
                if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
                    let source = std::io::Error::other("it is no regular file");
                    return Err(io_error("read", &path)(source));
                }
                let opened = match File::open(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound && file == ENCODER => {
                        return Ok(None);
                    }
                    opened => opened.map_err(io_error("read", &path))?,
                };
                let length = opened.metadata().map_err(io_error("read", &path))?.len();
                Ok(Some(Open { reader: Box::new(BufReader::with_capacity(1 << 20, opened)), length }))
            }
            Self::Embedded(embedded) => {
                let bytes = match file {
                    CONFIG => Some(embedded.config),
                    GENERATOR => Some(embedded.generator),
                    _ => embedded.encoder,
                };
                Ok(bytes
                    .map(|bytes| Open { reader: Box::new(Cursor::new(bytes)), length: bytes.len() as u64 }))
            }
        }
    }

    fn missing(&self, file: &str) -> CheckpointError {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        CheckpointError::Io { action: "read", path: self.place(file).into(), source }
    }

    /// Reads and checks the configuration alone.
    pub(crate) fn read_config(&self, digest: &mut Sha256) -> Result<ModelConfig, CheckpointError> {
        let Some(Open { reader, length }) = self.open(CONFIG)? else { return Err(self.missing(CONFIG)) };
        if length > LONGEST_CONFIG {
            let reason = format!("it has {length} bytes, which no configuration has");
            return Err(CheckpointError::Contradiction { place: self.place(CONFIG), reason });
        }
        start_file(digest, CONFIG, length);
        let mut text = Vec::new();
        Hashed { reader, digest }
            .read_to_end(&mut text)
            .map_err(io_error("read", Path::new(&self.place(CONFIG))))?;
        ModelConfig::parse(&text, &self.place(CONFIG))
    }

    /// The configuration and the digest of all files, without keeping the weights.
    pub(crate) fn fingerprint(&self) -> Result<(ModelConfig, String), CheckpointError> {
        let mut digest = Sha256::new();
        let config = self.read_config(&mut digest)?;
        for file in self.weight_files(&config) {
            let Some(Open { reader, length }) = self.open(file)? else { return Err(self.missing(file)) };
            start_file(&mut digest, file, length);
            std::io::copy(&mut Hashed { reader, digest: &mut digest }, &mut std::io::sink())
                .map_err(io_error("read", Path::new(&self.place(file))))?;
        }
        Ok((config, hex(digest)))
    }

    /// Reads and verifies everything.
    pub(crate) fn read(&self) -> Result<Model, CheckpointError> {
        let mut digest = Sha256::new();
        let config = self.read_config(&mut digest)?;
        let mut read = |file: &str| {
            let Some(Open { reader, length }) = self.open(file)? else { return Err(self.missing(file)) };
            start_file(&mut digest, file, length);
            let reader = Hashed { reader, digest: &mut digest };
            weights::read(reader, length, &self.place(file), WholeNumbers::Refuse)
        };
        let generator = read(GENERATOR)?;
        let encoder = match config.architecture.encoder {
            Some(_) => Some(read(ENCODER)?),
            None => None,
        };
        verify(&generator, &expected_generator(&config.architecture)?, &self.place(GENERATOR))?;
        if let Some(encoder) = &encoder {
            verify(encoder, &expected_encoder(&config.architecture)?, &self.place(ENCODER))?;
        }
        Ok(Model { config, generator, encoder, digest: hex(digest) })
    }

    fn weight_files(&self, config: &ModelConfig) -> impl Iterator<Item = &'static str> + use<> {
        [GENERATOR].into_iter().chain(config.architecture.encoder.map(|_| ENCODER))
    }
}

/// Keeps `ab` + `c` apart from `a` + `bc`.
fn start_file(digest: &mut Sha256, name: &str, length: u64) {
    digest.update(name.as_bytes());
    digest.update(length.to_le_bytes());
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
