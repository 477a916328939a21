//! `spadework-train verify`: one step beside a reference that somebody else computed.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use candle_core::Device;
use clap::Args;

use crate::{
    compute::{self, DeviceArgs, Precision},
    distributed::RankPlacement,
    networks::Vgg19,
    outcome::Mistake,
    reference::{Deviation, ReferenceStep},
};

/// Runs one training step and compares every loss, gradient and buffer with a reference.
#[derive(Debug, Args)]
pub struct Verify {
    /// Folder with `options.json` (the published code's options) and `step.safetensors` (the step's tensors).
    #[arg(long, value_name = "DIR", env = "SPADEWORK_TRAIN_REFERENCE")]
    reference: PathBuf,
    /// Weights of VGG19 as torchvision stores them, converted to safetensors; for a reference with a perceptual loss.
    #[arg(long, value_name = "FILE", env = "SPADEWORK_TRAIN_VGG")]
    vgg: Option<PathBuf>,
    /// Print the worst this many comparisons only.
    #[arg(long, value_name = "COUNT", env = "SPADEWORK_TRAIN_WORST")]
    worst: Option<usize>,
    #[command(flatten)]
    device: DeviceArgs,
}

impl Verify {
    /// Compares and prints, worst first.
    ///
    /// # Errors
    /// When a bound is exceeded, or the reference cannot be read.
    pub fn run(self) -> Result<()> {
        // The bounds are f32's.
        let precision = match self.device.precision {
            Precision::Auto => Precision::F32,
            chosen => chosen,
        };
        let backend = compute::open(self.device.device, precision, &RankPlacement::alone(), |_| None)?;
        let vgg = self.vgg.as_ref().map(|path| {
            let tensors = candle_core::safetensors::load(path, &Device::Cpu)
                .map_err(|error| Mistake::error(format!("read {}: {error}", path.display())))?;
            Vgg19::new(&tensors.into_iter().collect::<BTreeMap<_, _>>(), &backend).context("VGG19")
        });
        let deviations = ReferenceStep::read(&self.reference)?.compare(vgg.transpose()?, &backend)?;
        for deviation in deviations.iter().take(self.worst.unwrap_or(usize::MAX)) {
            println!("{}", line(deviation));
        }
        let failed = deviations.iter().filter(|deviation| !deviation.passes()).count();
        if failed > 0 {
            bail!("{failed} of {} comparisons exceed their bounds", deviations.len())
        }
        println!("{} comparisons, all within their bounds", deviations.len());
        Ok(())
    }
}

fn line(deviation: &Deviation) -> String {
    let Deviation { kind, name, error, vanishing } = deviation;
    let verdict = if deviation.passes() { "ok" } else { "TOO FAR" };
    let note = if *vanishing { "  (vanishes; relative to the gradients beside it)" } else { "" };
    format!("{verdict:<8} {:<9} {error:9.2e} of {:.0e}  {name}{note}", kind.name(), kind.bound())
}
