//! Why files do not make a model.

use std::{fmt, io, path::PathBuf};

use spadework_model::ArchitectureError;

use crate::{CONFIG_VERSION, TrainingOptionsError};

/// How many tensors a refusal names of each sort.
const NAMED: usize = 8;

/// Why files do not make a model.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder cannot be read or written.
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done, such as `read`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no such file or folder.
    #[error("{} does not exist", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// `config.json` is not what it should be.
    #[error("{place} is not a model's configuration: {source}")]
    Config {
        /// Where it is.
        place: String,
        /// What is wrong with it, and where.
        #[source]
        source: serde_json::Error,
    },
    /// `config.json` was written by a later release.
    #[error("{place} has version {version} and this release reads up to {CONFIG_VERSION}; update Spadework")]
    FutureVersion {
        /// Where it is.
        place: String,
        /// Its version.
        version: u64,
    },
    /// The configuration contradicts itself.
    #[error("{place}: {reason}")]
    Contradiction {
        /// Where it is.
        place: String,
        /// What contradicts what.
        reason: String,
    },
    /// The numbers are no network.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// A safetensors file is cut off or corrupt.
    #[error("{place} is not a whole safetensors file: {reason}; copy or download it again")]
    Safetensors {
        /// Where it is.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A number format that weights do not have.
    #[error("{place}: tensor `{tensor}` holds {dtype}; weights are f32, f16 or bf16")]
    WrongType {
        /// Where it is.
        place: String,
        /// The tensor.
        tensor: String,
        /// Its format.
        dtype: String,
    },
    /// A `.pth` file cannot be read.
    #[error("{} is not a readable PyTorch checkpoint", path.display())]
    PyTorch {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        #[source]
        source: Box<pytorch_reader::PytorchError>,
    },
    /// A file that is recognisably something else.
    #[error("{} is {what}; {hint}", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// A file that ends before its tensors do.
    #[error("{} is cut off: it ends before its tensors do; copy or download it again", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// What the reader said, if it came to read.
        #[source]
        source: Option<Box<pytorch_reader::PytorchError>>,
    },
    /// A `.pth` file asks for Python code to be run, or holds objects that are no tensors.
    #[error(
        "{} holds Python objects that are not tensors ({}); nothing of it was run. Save the network's `state_dict()` alone",
        path.display(),
        types.join(", ")
    )]
    PythonObjects {
        /// The file.
        path: PathBuf,
        /// Their types.
        types: Vec<String>,
    },
    /// Tensors are missing, unexpected or misshapen.
    #[error("{place} does not fit the architecture: {mismatch}")]
    Tensors {
        /// Where they are.
        place: String,
        /// Which.
        mismatch: TensorMismatch,
    },
    /// A tensor holds numbers that are not finite.
    #[error("{place}: tensor `{tensor}` holds NaN or infinity; the file is damaged or its training diverged")]
    NotFinite {
        /// Where it is.
        place: String,
        /// The tensor.
        tensor: String,
    },
    /// The training options and the tensors disagree.
    #[error("the options and the weights disagree: {}", .0.join("; "))]
    Disagreement(Vec<String>),
    /// A checkpoint that is no SPADE generator.
    #[error("{place} is not a SPADE generator: there is no tensor `{tensor}`")]
    NotAGenerator {
        /// Where it is.
        place: String,
        /// What every generator has.
        tensor: &'static str,
    },
    /// A checkpoint of several networks.
    #[error(
        "{place} holds {} {network}s, under {}; choose one with `{flag}`, such as `{flag} {}`",
        prefixes.len(),
        prefixes.iter().map(|prefix| name_prefix(prefix)).collect::<Vec<_>>().join(" and "),
        prefixes.first().map_or("", String::as_str)
    )]
    SeveralNetworks {
        /// Where they are.
        place: String,
        /// `generator` or `style encoder`.
        network: &'static str,
        /// What stands before their tensors' names.
        prefixes: Vec<String>,
        /// What chooses.
        flag: &'static str,
    },
    /// Nothing stands under the prefix that was asked for.
    #[error("{place} holds no {network} under `{prefix}`; {}", match &found[..] {
        [] => format!("there is no {network} in it"),
        found => format!("there is one under {}", found.iter().map(|prefix| name_prefix(prefix)).collect::<Vec<_>>().join(" and ")),
    })]
    NoSuchPrefix {
        /// Where it was looked for.
        place: String,
        /// `generator` or `style encoder`.
        network: &'static str,
        /// What was asked for.
        prefix: String,
        /// Where there is one.
        found: Vec<String>,
    },
    /// The training options cannot be read.
    #[error(transparent)]
    Options(#[from] TrainingOptionsError),
    /// What is to be written is there already.
    #[error("{} exists; choose another folder or remove it first", .0.display())]
    Exists(PathBuf),
    /// A folder without models.
    #[error("{} holds no model: neither it nor a folder in it has a config.json", .0.display())]
    NoModel(PathBuf),
    /// Two folders of the same name.
    #[error("two models are called `{name}`: {} and {}; rename one of the folders", first.display(), second.display())]
    Twice {
        /// Their name.
        name: String,
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// There is no such model.
    #[error("there is no model `{0}`")]
    Unknown(String),
    /// The files changed while they were read.
    #[error("the files of `{0}` changed while they were read; reload it")]
    Changed(String),
    /// A tensor operation failed.
    #[error("compute the weights")]
    Tensor(#[from] candle_core::Error),
}

impl CheckpointError {
    /// Whether files or options have to be changed; else the fault is ours.
    pub fn is_user_error(&self) -> bool {
        !matches!(self, Self::Tensor(_))
    }
}

/// What does not fit, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorMismatch {
    /// Asked for and not there, with the shape asked for.
    pub missing: Vec<(String, Vec<usize>)>,
    /// There and not asked for, with the shape found.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// Of another shape: the one found, then the one asked for.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl TensorMismatch {
    /// Whether everything fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }
}

impl fmt::Display for TensorMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |(name, shape): &(String, Vec<usize>)| format!("`{name}` {shape:?}");
        let sorts = [
            ("missing", self.missing.iter().map(named).collect::<Vec<_>>()),
            ("unexpected", self.unexpected.iter().map(named).collect()),
            (
                "misshapen",
                self.misshapen
                    .iter()
                    .map(|(name, found, wanted)| format!("`{name}` {found:?} instead of {wanted:?}"))
                    .collect(),
            ),
        ];
        let parts: Vec<String> = sorts
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(sort, names)| {
                let more = names.len().saturating_sub(NAMED);
                let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{} {sort}: {}{rest}", names.len(), names[..names.len() - more].join(", "))
            })
            .collect();
        f.write_str(&parts.join("; "))
    }
}

fn name_prefix(prefix: &str) -> String {
    if prefix.is_empty() { "no prefix".to_owned() } else { format!("`{prefix}`") }
}

/// Names the place of an I/O error; a place to read that is not there is said to be missing.
pub(crate) fn io_error(
    action: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::NotFound if action == "read" => CheckpointError::Missing { path },
        _ => CheckpointError::Io { action, path, source },
    }
}
