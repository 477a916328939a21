//! `spadework inspect`: what a model directory or a weight file holds, and which devices there are.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use spadework_checkpoint::{Model, ModelConfig, is_model_directory, list_tensors, read_model};
use spadework_engine::{DeviceInfo, devices};
use spadework_model::Tensors;

use crate::compute::cores;
use crate::output::outln;

/// What to look at.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A model directory, or a .pth or .safetensors file
    #[arg(required_unless_present = "devices", conflicts_with = "devices")]
    path: Option<PathBuf>,
    /// Say instead which devices there are, with the memory, compute capability and driver of a GPU
    #[arg(long)]
    devices: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a model directory holds.
#[derive(Serialize)]
struct ModelReport {
    digest: String,
    generator_parameters: usize,
    encoder_parameters: usize,
    config: ModelConfig,
}

/// What a weight file holds.
#[derive(Serialize)]
struct TensorReport {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

/// Looks.
///
/// # Errors
/// When it is neither, or cannot be used.
pub fn run(args: &InspectArgs) -> anyhow::Result<()> {
    let Some(path) = &args.path else { return run_devices(args.json) };
    if is_model_directory(path) {
        let report = ModelReport::new(read_model(path)?);
        if args.json {
            return print_json(&report);
        }
        report.print(path);
        return Ok(());
    }
    let tensors: Vec<TensorReport> = list_tensors(path)?
        .into_iter()
        .map(|tensor| TensorReport { name: tensor.name, dtype: tensor.dtype, shape: tensor.shape })
        .collect();
    if args.json {
        return print_json(&tensors);
    }
    let width = tensors.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0);
    let elements: usize = tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    for TensorReport { name, dtype, shape } in &tensors {
        outln!("{name:width$}  {dtype:5} {shape:?}");
    }
    outln!("{} tensors, {:.2} million numbers", tensors.len(), elements as f64 / 1e6);
    Ok(())
}

/// The processors that a network can run on.
#[derive(Serialize)]
struct DevicesReport {
    cpu_threads: usize,
    cuda: Vec<DeviceReport>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    cuda_unavailable: Option<String>,
}

/// A CUDA device.
#[derive(Serialize)]
struct DeviceReport {
    device: String,
    model: String,
    compute_capability: String,
    total_bytes: usize,
    free_bytes: usize,
    driver_supports_cuda: String,
}

impl From<DeviceInfo> for DeviceReport {
    fn from(info: DeviceInfo) -> Self {
        let (major, minor) = info.compute_capability;
        Self {
            device: info.name,
            model: info.model,
            compute_capability: format!("{major}.{minor}"),
            total_bytes: info.total_bytes,
            free_bytes: info.free_bytes,
            driver_supports_cuda: info.driver,
        }
    }
}

fn run_devices(json: bool) -> anyhow::Result<()> {
    let (cuda, cuda_unavailable) = match devices() {
        Ok(devices) => (devices.into_iter().map(DeviceReport::from).collect(), None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let report = DevicesReport { cpu_threads: cores(), cuda, cuda_unavailable };
    if json {
        return print_json(&report);
    }
    outln!("cpu: {} threads", report.cpu_threads);
    for device in &report.cuda {
        outln!("{device}");
    }
    if let Some(reason) = &report.cuda_unavailable {
        outln!("no CUDA device: {reason}");
    }
    Ok(())
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
        write!(
            f,
            "{}: {}, compute capability {}, {:.1} of {:.1} GiB free, driver for CUDA {}",
            self.device,
            self.model,
            self.compute_capability,
            gib(self.free_bytes),
            gib(self.total_bytes),
            self.driver_supports_cuda
        )
    }
}

fn print_json(report: &impl Serialize) -> anyhow::Result<()> {
    outln!("{}", serde_json::to_string_pretty(report)?);
    Ok(())
}

impl ModelReport {
    fn new(model: Model) -> Self {
        let count = |tensors: &Tensors| tensors.values().map(|tensor| tensor.elem_count()).sum();
        Self {
            generator_parameters: count(&model.generator),
            encoder_parameters: model.encoder.as_ref().map_or(0, count),
            digest: model.digest,
            config: model.config,
        }
    }

    fn print(&self, path: &Path) {
        let architecture = &self.config.architecture;
        let (mask, picture) = (architecture.mask, architecture.picture());
        let unknown =
            if self.config.description.is_empty() { "(no description)" } else { &self.config.description };
        outln!("{}: {unknown}", path.display());
        outln!("  digest      {}", self.digest);
        outln!("  licence     {}", or_dash(&self.config.licence));
        outln!("  provenance  {}", or_dash(&self.config.provenance));
        outln!(
            "  mask        {}x{}, {} labels, {} semantic channels",
            mask.width,
            mask.height,
            architecture.label_nc,
            architecture.semantic_nc()
        );
        outln!("  picture     {}x{}", picture.width, picture.height);
        outln!(
            "  generator   {:.2} million parameters: ngf {}, {:?} up-sampling, {:?} norm, {kernel}x{kernel} SPADE kernels of width {}",
            self.generator_parameters as f64 / 1e6,
            architecture.ngf,
            architecture.upsampling,
            architecture.norm,
            architecture.hidden,
            kernel = architecture.kernel,
        );
        match architecture.z_dim {
            Some(z_dim) => outln!(
                "  latent      {z_dim} numbers{}",
                if architecture.noise { ", with noise" } else { "" }
            ),
            None => outln!("  latent      none: the picture is a function of the mask"),
        }
        if self.encoder_parameters > 0 {
            outln!("  encoder     {:.2} million parameters", self.encoder_parameters as f64 / 1e6);
        }
        let styles: Vec<&str> = self.config.styles.iter().map(|style| style.name.as_str()).collect();
        if !styles.is_empty() {
            outln!("  styles      {}", styles.join(", "));
        }
        for label in &self.config.labels {
            let color = label.color.map(|[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}")).unwrap_or_default();
            outln!("  label {:5} {color:8} {}", label.id, label.name);
        }
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
