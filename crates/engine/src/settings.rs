//! Where and how exactly an engine computes.

use std::fmt;

use spadework_kernels::cpu::InstructionSet;

/// The processor that runs the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// All engine threads of this process.
    Cpu,
    /// One CUDA device by its ordinal.
    Cuda(usize),
}

impl Device {
    /// The first CUDA device where this build and machine have one, else the processor.
    pub fn best() -> Self {
        let cuda = crate::devices().is_ok_and(|devices| !devices.is_empty());
        if cuda { Self::Cuda(0) } else { Self::Cpu }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// Precision of matrix products, in PyTorch's terms for float32 matmul precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32.
    Highest,
    /// f32-grade: three products of bf16 halves, Winograd's F(4×4, 3×3) in f32, or TF32 on a GPU.
    High,
    /// bf16 products, f32 sums.
    Medium,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Highest => "highest",
            Self::High => "high",
            Self::Medium => "medium",
        })
    }
}

/// How an engine is built.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Where it runs.
    pub device: Device,
    /// The precision asked for; none is the fastest that is not worse than bf16 on this device.
    pub precision: Option<Precision>,
    /// Threads on a CPU; 0 is one for each core.
    pub threads: usize,
    /// The most that the kernels on a CPU may use; none is all that the processor has.
    pub instruction_set: Option<InstructionSet>,
    /// Bytes of modulation tables and images that are kept for masks that come again.
    pub cache_bytes: usize,
    /// Whether batches of a size that has run before are given to a CUDA device as graphs.
    pub cuda_graphs: bool,
}

/// Room for the tables of one or two masks of a published network.
pub const DEFAULT_CACHE_BYTES: usize = 128 << 20;

impl Default for Settings {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            precision: Some(Precision::Highest),
            threads: 0,
            instruction_set: None,
            cache_bytes: DEFAULT_CACHE_BYTES,
            cuda_graphs: false,
        }
    }
}
