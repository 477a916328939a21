//! Where a run computes and with which products: what is typed, and what it comes to.

use std::{fmt, str::FromStr};

use candle_core::{DType, DeviceLocation};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{
    distributed::{Group, RankPlacement},
    outcome::Mistake,
};
use spadework_autograd::Backend;

/// Where a step is computed.
#[derive(Clone, Copy, Debug, Args)]
pub struct DeviceArgs {
    /// Where to compute: auto, cpu, cuda or cuda:N. With several processes `cuda` is the device that LOCAL_RANK says, and
    /// auto is cuda where there is a device
    #[arg(long, env = "SPADEWORK_TRAIN_DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// What convs and tables multiply: f32, bf16 with sums in f32, or auto, which is bf16 on a CUDA device that has it
    /// and f32 elsewhere. In bf16 what convs give is rounded too; maps between them, weights, statistics, losses and optimiser
    /// are in f32 either way
    #[arg(long, env = "SPADEWORK_TRAIN_PRECISION", value_enum, default_value_t)]
    pub precision: Precision,
}

/// `--device` as it was typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeviceChoice {
    /// A CUDA device where there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by its number, or the one that belongs to this process.
    Cuda(Option<usize>),
}

/// What convs and tables multiply; sums are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// bf16 on a CUDA device that has it, else f32.
    #[default]
    Auto,
    /// f32.
    F32,
    /// bf16.
    Bf16,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` is no device; give auto, cpu, cuda or cuda:0");
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(None)),
            _ => {
                let ordinal = text.strip_prefix("cuda:").and_then(|ordinal| ordinal.parse().ok());
                ordinal.map(|ordinal| Self::Cuda(Some(ordinal))).ok_or_else(wanted)
            }
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(ordinal)) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

/// Opens what was asked for, for the process at `place`; `variable` reads the environment.
///
/// # Errors
/// When it cannot be had; the reason says what would help.
pub fn open(
    device: DeviceChoice,
    precision: Precision,
    place: &RankPlacement,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Backend> {
    let device = match device {
        DeviceChoice::Auto => automatic(),
        chosen => chosen,
    };
    match device {
        DeviceChoice::Cuda(Some(ordinal)) => cuda(ordinal, precision),
        DeviceChoice::Cuda(None) => cuda(local_rank(place, variable)?, precision),
        DeviceChoice::Auto | DeviceChoice::Cpu if precision == Precision::Bf16 => Err(Mistake::error(
            "bf16 needs a CUDA device: on a CPU a step is computed in f32; give --precision f32",
        )),
        DeviceChoice::Auto | DeviceChoice::Cpu => Ok(Backend::Cpu),
    }
}

/// A CUDA device where there is one. A build for CUDA that finds none says why.
fn automatic() -> DeviceChoice {
    match spadework_engine::devices() {
        Ok(devices) if !devices.is_empty() => DeviceChoice::Cuda(None),
        Err(error) if cfg!(feature = "cuda") => {
            eprintln!("on the CPU, since {error}");
            DeviceChoice::Cpu
        }
        _ => DeviceChoice::Cpu,
    }
}

/// The number of this process among those of its machine; where it sees one device alone, that one's.
fn local_rank(place: &RankPlacement, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<usize> {
    match variable("LOCAL_RANK").as_deref().map(str::parse) {
        Some(Ok(rank)) => Ok(rank),
        Some(Err(_)) => Err(Mistake::error("LOCAL_RANK is no number")),
        None if place.world == 1 => Ok(0),
        None if spadework_engine::devices().is_ok_and(|devices| devices.len() == 1) => Ok(0),
        None => Err(Mistake::error(
            "WORLD_SIZE is set and LOCAL_RANK is not, which says whose device is whose; launchers set both, or give \
             each process its own --device cuda:N",
        )),
    }
}

/// Refuses processes that would not compute alike: their sums would differ, or wait for one another in different places.
///
/// # Errors
/// When some compute on a CUDA device and others do not, or some in bf16 and others in f32; or a process has gone.
pub fn agree(group: &Group, backend: &Backend) -> anyhow::Result<()> {
    let own = [!backend.device().is_cpu(), backend.multiplied() == DType::BF16];
    let mut all = own.map(u64::from);
    group.sum(&mut all)?;
    let world = group.world() as u64;
    if all.iter().all(|count| *count == 0 || *count == world) {
        return Ok(());
    }
    Err(Mistake::error(format!(
        "of {world} processes {} compute on a CUDA device and {} in bf16; give all of them the same --device and --precision",
        all[0], all[1]
    )))
}

/// Where a step is computed and in what, for a line of the log.
pub fn described(backend: &Backend) -> String {
    let place = match backend.device().location() {
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        _ => "the CPU".to_owned(),
    };
    format!("computing on {place} in {}", backend.multiplied().as_str())
}

#[cfg(feature = "cuda")]
fn cuda(ordinal: usize, precision: Precision) -> anyhow::Result<Backend> {
    let precision = match precision {
        Precision::Auto => None,
        Precision::F32 => Some(DType::F32),
        Precision::Bf16 => Some(DType::BF16),
    };
    match spadework_kernels::device::training::TrainingOperators::open(ordinal, precision) {
        Ok(operators) => Ok(Backend::Device(std::sync::Arc::new(operators))),
        Err(error) => Err(Mistake::error(error.to_string())),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda(ordinal: usize, _: Precision) -> anyhow::Result<Backend> {
    Err(Mistake::error(format!(
        "this binary was built without CUDA and cannot open cuda:{ordinal}; build it with `cargo build --release -p \
         spadework-training --features cuda`, or give --device cpu"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(device: &str, precision: Precision, world: usize, local: Option<&str>) -> Result<(), String> {
        let place = RankPlacement { world, ..RankPlacement::alone() };
        let variable = |name: &str| local.filter(|_| name == "LOCAL_RANK").map(str::to_owned);
        let opened = open(device.parse().unwrap(), precision, &place, variable);
        opened.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn devices_are_named_as_pytorch_names_them() {
        for name in ["auto", "cpu", "cuda", "cuda:3"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda:0,1", ""] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cpu_computes_in_f32_alone() {
        assert_eq!(opened("cpu", Precision::Auto, 1, None), Ok(()));
        assert!(opened("cpu", Precision::Bf16, 1, None).unwrap_err().contains("needs a CUDA device"));
    }

    #[test]
    fn several_processes_know_their_devices_by_their_local_ranks() {
        let error = opened("cuda", Precision::Auto, 2, None).unwrap_err();
        assert!(error.contains("LOCAL_RANK is not"), "{error}");
        let error = opened("cuda", Precision::Auto, 2, Some("one")).unwrap_err();
        assert!(error.contains("no number"), "{error}");
        // No machine has so many; with or without CUDA the sentence names it.
        let error = opened("cuda", Precision::Auto, 2, Some("99")).unwrap_err();
        assert!(error.contains("cuda:99"), "{error}");
    }
}
