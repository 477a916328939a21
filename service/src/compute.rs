//! Which devices run the network, how exactly, and with how many threads.

use std::{fmt, num::NonZeroUsize, str::FromStr, thread};

use clap::{Args, builder::BoolishValueParser};
use spadework_engine::{DEFAULT_CACHE_BYTES, Device, InstructionSet, Precision, Settings};

use crate::{
    bounds::{MOST_MIB, MOST_THREADS, at_most},
    outcome::Mistake,
};

/// Where and how exactly to compute.
#[derive(Clone, Debug, Args)]
pub struct ComputeArgs {
    /// Where to run the network: auto, cpu, cuda, cuda:N or cuda:N,M
    #[arg(long, env = "SPADEWORK_DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Precision of matrix products: highest (f32), high (f32-grade), medium (bf16), or auto, which is medium where the
    /// processor's instructions for bf16 are faster than f32 and high elsewhere
    #[arg(long, env = "SPADEWORK_PRECISION", default_value = "auto")]
    pub precision: PrecisionChoice,
    /// Threads of the network on a CPU; 0 is one for each core
    #[arg(long, env = "SPADEWORK_THREADS", default_value_t = 0, value_parser = at_most::<MOST_THREADS>)]
    pub threads: usize,
    /// The most that the kernels on a CPU may use: portable, neon, avx2, avx512, avx512-bf16 or amx; the fastest there is
    /// without it
    #[arg(long, env = "SPADEWORK_INSTRUCTION_SET", value_name = "NAME")]
    pub instruction_set: Option<InstructionSet>,
    /// Memory for modulation tables and pictures of masks that come again, in MiB, of each model on a CPU
    #[arg(long, env = "SPADEWORK_TABLE_CACHE_MIB", default_value_t = DEFAULT_CACHE_BYTES >> 20, value_parser = at_most::<MOST_MIB>)]
    pub table_cache_mib: usize,
    /// Give batches of a size that has run before to a CUDA device as CUDA graphs, each of them in one call; takes memory
    #[arg(long, env = "SPADEWORK_CUDA_GRAPHS", value_parser = BoolishValueParser::new())]
    pub cuda_graphs: bool,
}

impl ComputeArgs {
    /// The engines' settings, one for each device.
    pub fn settings(&self) -> Vec<Settings> {
        let devices = match &self.device {
            DeviceChoice::Auto => vec![Device::best()],
            DeviceChoice::These(devices) => devices.clone(),
        };
        let setting = |device| Settings {
            device,
            precision: self.precision.0,
            threads: self.threads,
            instruction_set: self.instruction_set,
            cache_bytes: self.table_cache_mib << 20,
            cuda_graphs: self.cuda_graphs,
        };
        devices.into_iter().map(setting).collect()
    }

    /// The settings of the one device that a command without a queue runs on.
    ///
    /// # Errors
    /// When several devices were asked for.
    pub fn single(&self) -> anyhow::Result<Settings> {
        match self.settings()[..] {
            [settings] => Ok(settings),
            _ => Err(Mistake::error("this command runs on one device; give --device one of them")),
        }
    }
}

/// `--device` as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device where there is one, else the CPU.
    Auto,
    /// Exactly these.
    These(Vec<Device>),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` is no device; give auto, cpu, cuda, cuda:0 or cuda:0,1");
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::These(vec![Device::Cpu])),
            "cuda" => return Ok(Self::These(vec![Device::Cuda(0)])),
            _ => {}
        }
        let ordinals = text.strip_prefix("cuda:").ok_or_else(wanted)?;
        let ordinals = ordinals.split(',').map(|ordinal| ordinal.parse().map_err(|_| wanted()));
        let mut ordinals = ordinals.collect::<Result<Vec<usize>, _>>()?;
        let given = ordinals.len();
        ordinals.sort_unstable();
        ordinals.dedup();
        if ordinals.len() < given {
            return Err(format!("`{text}` names a device twice"));
        }
        Ok(Self::These(ordinals.into_iter().map(Device::Cuda).collect()))
    }
}

/// `--precision` as it was typed; none is `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrecisionChoice(pub Option<Precision>);

impl FromStr for PrecisionChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "auto" => None,
            "highest" => Some(Precision::Highest),
            "high" => Some(Precision::High),
            "medium" => Some(Precision::Medium),
            _ => return Err(format!("`{text}` is no precision; give auto, highest, high or medium")),
        }))
    }
}

impl fmt::Display for PrecisionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(precision) => precision.fmt(f),
            None => f.write_str("auto"),
        }
    }
}

/// Cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        compute: ComputeArgs,
    }

    #[test]
    fn cuda_graphs_are_for_all_devices_where_they_are_asked_for() {
        let asked = |args: &[&str]| -> Vec<bool> {
            let command = Command::parse_from([&["", "--device=cuda:0,1"], args].concat());
            command.compute.settings().iter().map(|settings| settings.cuda_graphs).collect()
        };
        assert_eq!(asked(&[]), [false, false]);
        assert_eq!(asked(&["--cuda-graphs"]), [true, true]);
    }

    #[test]
    fn devices_are_named_as_pytorch_names_them() {
        let these = |devices: &[Device]| Ok(DeviceChoice::These(devices.to_vec()));
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cpu".parse(), these(&[Device::Cpu]));
        assert_eq!("cuda".parse(), these(&[Device::Cuda(0)]));
        assert_eq!("cuda:1,0".parse(), these(&[Device::Cuda(0), Device::Cuda(1)]));
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda:0,0", ""] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }
}
