//! The reference's numbers, and ours beside them.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use candle_core::{DType, Device, Tensor};
use spadework_imaging::{EdgeMap, InstanceMap};

use super::{
    deviation::{Deviation, DeviationKind, norm},
    options::Options,
};
use crate::{
    networks::{Networks, Perceptual, Vgg19},
    objective::Objective,
    outcome::Mistake,
    state::{TrainingState, Variables},
    step::{Batch, Draws, Gradients, Losses, Trainer},
};
use spadework_autograd::Backend;

/// What share of its network's largest gradient a gradient is measured by where it vanishes.
const NETWORK: f64 = 1e-3;

/// A step as somebody else computed it.
pub struct ReferenceStep {
    networks: Networks,
    objective: Objective,
    tensors: HashMap<String, Tensor>,
}

impl ReferenceStep {
    /// Reads `options.json` and `step.safetensors`.
    ///
    /// # Errors
    /// When a file is missing or says what is not understood.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("options.json");
        let text = fs::read_to_string(&path)
            .map_err(|error| Mistake::error(format!("read {}: {error}", path.display())))?;
        let options = Options::from_json(&text)?;
        let path = folder.join("step.safetensors");
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu)
            .map_err(|error| Mistake::error(format!("read {}: {error}", path.display())))?;
        Self::new(options.networks()?, options.objective()?, tensors)
    }

    /// Takes networks, losses and the named tensors. What a published option cannot say, and the tensors do, is read
    /// from them: the mask's size, the hidden width, the encoder's width.
    ///
    /// # Errors
    /// When a tensor of the batch is missing.
    pub fn new(
        mut networks: Networks,
        objective: Objective,
        tensors: HashMap<String, Tensor>,
    ) -> Result<Self> {
        let mut step = Self { networks: networks.clone(), objective, tensors };
        let (_, height, width) = step.get("label")?.dims3()?;
        networks.architecture.mask = spadework_model::Grid { height, width };
        let hidden = ["head_0.norm_0.mlp_shared.0.weight", "modulation.mlp_shared.0.weight"];
        if let Some(weight) = hidden.iter().find_map(|name| step.tensors.get(&format!("before.G.{name}"))) {
            networks.architecture.hidden = weight.dim(0)?;
        }
        step.networks = networks;
        Ok(step)
    }

    /// Runs both passes of the step where `backend` computes, and compares everything, worst first.
    ///
    /// # Errors
    /// When the reference does not fit its own options, or has what we do not compute.
    pub fn compare(&self, vgg: Option<Vgg19>, backend: &Backend) -> Result<Vec<Deviation>> {
        let device = backend.device();
        let encoder = self.networks.architecture.encoder.is_some();
        let state = TrainingState {
            generator: self.before("G", device)?,
            encoder: if encoder { Some(self.before("E", device)?) } else { None },
            discriminator: self.before("D", device)?,
        };
        let (batch, draws) = (self.batch(device)?, self.draws(device)?);
        let mut trainer = Trainer::new(
            self.networks.clone(),
            self.objective,
            state,
            vgg.map(Perceptual::Vgg),
            None,
            backend.clone(),
        )?;
        let generator = trainer.generator_step(&batch, &draws)?;
        let discriminator = trainer.discriminator_step(&batch, &draws)?;

        let mut deviations = Vec::new();
        self.compare_losses("loss_g.", &generator.losses, &mut deviations)?;
        self.compare_losses("loss_d.", &discriminator.losses, &mut deviations)?;
        self.compare_gradients("grad_g.G.", &generator.generator, &mut deviations)?;
        if let Some(gradients) = &generator.encoder {
            self.compare_gradients("grad_g.E.", gradients, &mut deviations)?;
        }
        self.compare_gradients("grad_d.D.", &discriminator.discriminator, &mut deviations)?;
        self.compare_buffers("after.G.", &trainer.state.generator, &mut deviations)?;
        if let Some(variables) = &trainer.state.encoder {
            self.compare_buffers("after.E.", variables, &mut deviations)?;
        }
        self.compare_buffers("after.D.", &trainer.state.discriminator, &mut deviations)?;
        if let Some(fake) = self.tensors.get("fake") {
            let compared = Deviation::between(DeviationKind::Image, "fake", &generator.images, fake, 0.0)?;
            deviations.push(compared);
        }
        self.check_all_compared(&deviations)?;
        deviations.sort_by(|a, b| b.severity().total_cmp(&a.severity()));
        Ok(deviations)
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| Mistake::error(format!("step.safetensors has no `{name}`")))
    }

    /// The reference's tensors below a prefix, without it.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        self.tensors.iter().filter_map(move |(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)))
    }

    fn before(&self, network: &str, device: &Device) -> Result<Variables> {
        let prefix = format!("before.{network}.");
        let there = |(name, tensor): (&str, &Tensor)| Ok((name.to_owned(), tensor.to_device(device)?));
        let tensors = self.below(&prefix).map(there).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Variables::from_tensors(tensors)?)
    }

    fn batch(&self, device: &Device) -> Result<Batch> {
        let architecture = &self.networks.architecture;
        let labels = self.get("label")?;
        let ids = labels.flatten_all()?.to_dtype(DType::I64)?.to_vec1::<i64>()?;
        let unknown = architecture.unknown_label.then_some(architecture.label_nc as u8);
        let ids = ids.into_iter().map(|id| match (u8::try_from(id), unknown) {
            (Ok(u8::MAX), Some(unknown)) => Ok(unknown),
            (Ok(id), _) => Ok(id),
            (Err(_), _) => Err(Mistake::error(format!("`label` has the id {id}, which is not a byte"))),
        });
        let ids: Vec<u8> = ids.collect::<Result<_>>()?;
        Ok(Batch {
            labels: Tensor::from_vec(ids, labels.shape(), &Device::Cpu)?,
            edges: if architecture.instance_edges { Some(self.edges()?) } else { None },
            images: self.get("image")?.to_dtype(DType::F32)?.to_device(device)?,
        })
    }

    fn edges(&self) -> Result<Tensor> {
        let instances = self.get("instance")?;
        let (_, height, width) = instances.dims3().context("instance maps")?;
        let ids = instances.flatten_all()?.to_dtype(DType::I64)?.to_vec1::<i64>()?;
        let mut edges = Vec::with_capacity(ids.len());
        for image in ids.chunks_exact(height * width) {
            let ids = image.iter().map(|id| *id as u32).collect(); // only equality matters
            edges.extend_from_slice(EdgeMap::of(&InstanceMap::new(width, height, ids)?).edges());
        }
        Ok(Tensor::from_vec(edges, instances.shape(), &Device::Cpu)?)
    }

    fn draws(&self, device: &Device) -> Result<Draws> {
        let eps = match self.networks.architecture.z_dim {
            Some(_) => Some(self.get("noise")?.to_device(device)?),
            None => None,
        };
        let planes = (0..).map_while(|index| self.tensors.get(&format!("plane.{index}")));
        let noise = planes.map(|plane| plane.to_device(device)).collect::<candle_core::Result<_>>()?;
        Ok(Draws { eps, noise })
    }

    fn compare_losses(&self, prefix: &str, ours: &Losses, into: &mut Vec<Deviation>) -> Result<()> {
        for (&name, &value) in &ours.0 {
            let name = format!("{prefix}{name}");
            let ours = Tensor::new(value, &Device::Cpu)?;
            into.push(Deviation::between(DeviationKind::Loss, &name, &ours, self.get(&name)?, 0.0)?);
        }
        Ok(())
    }

    fn compare_gradients(&self, prefix: &str, ours: &Gradients, into: &mut Vec<Deviation>) -> Result<()> {
        let sizes =
            self.below(prefix).map(|(_, theirs)| norm(theirs)).collect::<candle_core::Result<Vec<_>>>()?;
        let network = NETWORK * sizes.into_iter().fold(0.0, f64::max);
        for (name, gradient) in ours {
            let full = format!("{prefix}{name}");
            let theirs = self.get(&full)?;
            // A bias has no gradient where a normalisation behind its layer takes it out again.
            let layer = self.weight_beside(&full).map_or(Ok(0.0), norm)?;
            into.push(Deviation::between(
                DeviationKind::Gradient,
                &full,
                gradient,
                theirs,
                layer.max(network),
            )?);
        }
        Ok(())
    }

    /// The gradient of the weight in the same layer as the bias `name`.
    fn weight_beside(&self, name: &str) -> Option<&Tensor> {
        let layer = name.strip_suffix(".bias")?;
        ["weight_orig", "weight"].iter().find_map(|leaf| self.tensors.get(&format!("{layer}.{leaf}")))
    }

    fn compare_buffers(&self, prefix: &str, ours: &Variables, into: &mut Vec<Deviation>) -> Result<()> {
        for (name, buffer) in &ours.buffers {
            let full = format!("{prefix}{name}");
            let theirs = self.get(&full)?;
            into.push(Deviation::between(DeviationKind::Buffer, &full, buffer.as_tensor(), theirs, 0.0)?);
        }
        Ok(())
    }

    /// Nothing that the reference gives may be left out.
    fn check_all_compared(&self, deviations: &[Deviation]) -> Result<()> {
        let compared: BTreeMap<&str, ()> = deviations.iter().map(|d| (d.name.as_str(), ())).collect();
        let expected = ["loss_g.", "loss_d.", "grad_g.", "grad_d.", "after."];
        let left: Vec<&str> = self
            .tensors
            .keys()
            .map(String::as_str)
            .filter(|name| expected.iter().any(|prefix| name.starts_with(prefix)))
            .filter(|name| !compared.contains_key(name))
            .collect();
        if !left.is_empty() {
            bail!("the reference has what is not computed here: {}", left.join(", "))
        }
        Ok(())
    }
}
