//! How a checkpoint was trained: `opt.txt`, or the options of a published data set.

use std::{collections::BTreeMap, fs, path::Path};

use spadework_model::{Architecture, Modulation, PublishedOptions, Upsampling};

use super::shapes::{FC, HEAD, Shapes};
use crate::{CheckpointError, error::io_error};

/// A data set with published checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// COCO-Stuff: 182 labels, an unknown one and instance edges; 256×256.
    Coco,
    /// ADE20K: 150 labels and an unknown one; 256×256.
    Ade20k,
    /// Cityscapes: 35 labels and instance edges; 512×256.
    Cityscapes,
    /// CMP Facades: 13 labels; 256×256.
    Facades,
}

/// How a checkpoint was trained, as far as it is known. What is not, the tensors say or the published default does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// The data set, when it is a published one.
    pub preset: Option<Preset>,
    /// `label_nc`
    pub label_nc: Option<usize>,
    /// `contain_dontcare_label`
    pub contain_dontcare_label: Option<bool>,
    /// `no_instance`
    pub no_instance: Option<bool>,
    /// `crop_size`
    pub crop_size: Option<usize>,
    /// `aspect_ratio`, width over height
    pub aspect_ratio: Option<f64>,
    /// `num_upsampling_layers`
    pub upsampling: Option<Upsampling>,
    /// `ngf`
    pub ngf: Option<usize>,
    /// `z_dim`
    pub z_dim: Option<usize>,
    /// `use_vae`
    pub use_vae: Option<bool>,
    /// `norm_G`
    pub norm_g: Option<String>,
}

/// Why options cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A file without any `key: value` line.
    #[error("{0} has no line such as `label_nc: 182`; give the opt.txt of the training run, or --preset")]
    NoOptions(String),
    /// A value that its key cannot have.
    #[error("{place}: `{key}` is `{value}`, which is not {wanted}")]
    Value {
        /// The file.
        place: String,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What it can be.
        wanted: &'static str,
    },
}

impl Options {
    /// The options of a published data set.
    pub fn preset(preset: Preset) -> Self {
        let (label_nc, dontcare, no_instance, crop, aspect, upsampling) = match preset {
            Preset::Coco => (182, true, false, 256, 1.0, Upsampling::Normal),
            Preset::Ade20k => (150, true, true, 256, 1.0, Upsampling::Normal),
            Preset::Cityscapes => (35, false, false, 512, 2.0, Upsampling::More),
            Preset::Facades => (13, false, true, 256, 1.0, Upsampling::Normal),
        };
        Self {
            preset: Some(preset),
            label_nc: Some(label_nc),
            contain_dontcare_label: Some(dontcare),
            no_instance: Some(no_instance),
            crop_size: Some(crop),
            aspect_ratio: Some(aspect),
            upsampling: Some(upsampling),
            ..Self::default()
        }
    }

    /// Reads an `opt.txt`: lines `key: value [default: x]`. Keys that do not shape the network are passed over.
    ///
    /// # Errors
    /// When the file cannot be read, holds no options, or a value is not one its key can have.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = fs::read(path).map_err(io_error("read", path))?;
        Ok(Self::parse(&String::from_utf8_lossy(&bytes), &path.display().to_string())?)
    }

    fn parse(text: &str, place: &str) -> Result<Self, OptionsError> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let values: BTreeMap<&str, &str> = lines
            .map(|(key, value)| (key.trim(), value.split("[default:").next().unwrap_or_default().trim()))
            .collect();
        let values = Values { values, place };
        if values.values.is_empty() {
            return Err(OptionsError::NoOptions(place.to_owned()));
        }
        Ok(Self {
            preset: None,
            label_nc: values.parse("label_nc", "a whole number")?,
            contain_dontcare_label: values.flag("contain_dontcare_label")?,
            no_instance: values.flag("no_instance")?,
            crop_size: values.parse("crop_size", "a whole number")?,
            aspect_ratio: values.parse("aspect_ratio", "a number")?,
            upsampling: values.upsampling()?,
            ngf: values.parse("ngf", "a whole number")?,
            z_dim: values.parse("z_dim", "a whole number")?,
            use_vae: values.flag("use_vae")?,
            norm_g: values.values.get("norm_G").map(|&norm| norm.to_owned()),
        })
    }

    /// The architecture that the options and the tensors agree on.
    pub(super) fn architecture(&self, shapes: &Shapes) -> Result<Architecture, CheckpointError> {
        let (dontcare, no_instance) = self.extra_planes(shapes);
        let extra_planes = usize::from(dontcare) + usize::from(!no_instance);
        let upsampling =
            self.upsampling.unwrap_or(if shapes.most { Upsampling::Most } else { Upsampling::Normal });
        let options = PublishedOptions {
            label_nc: self.label_nc.unwrap_or(shapes.semantic_nc.saturating_sub(extra_planes)),
            contain_dontcare_label: dontcare,
            no_instance,
            crop_size: self.crop_size.or_else(|| self.crop_of_latent(shapes, upsampling)).unwrap_or(256),
            aspect_ratio: self.aspect_ratio.unwrap_or(1.0),
            upsampling,
            ngf: self.ngf.unwrap_or(shapes.ngf),
            z_dim: shapes.latent.map_or(256, |(z_dim, _)| z_dim),
            use_vae: shapes.latent.is_some(),
            norm_g: self.norm_g.clone().unwrap_or_else(|| {
                let norm = if shapes.batch_norm { "syncbatch" } else { "instance" };
                format!("spectralspade{norm}{0}x{0}", shapes.kernel)
            }),
        };
        let mut architecture = Architecture::published(&options)?;
        self.compare(shapes, &architecture)?;
        architecture.hidden = shapes.hidden;
        architecture.noise = shapes.noise;
        if shapes.shared_modulation {
            architecture.modulation = Modulation::Shared;
        }
        architecture.check()?;
        Ok(architecture)
    }

    /// `contain_dontcare_label` and `no_instance`: what the options leave open, the number of planes beside the labels
    /// may tell; else the published defaults hold.
    fn extra_planes(&self, shapes: &Shapes) -> (bool, bool) {
        let extra = self.label_nc.map(|label_nc| shapes.semantic_nc.wrapping_sub(label_nc));
        let told = match (extra, self.contain_dontcare_label, self.no_instance) {
            (Some(0), None, None) => Some((false, true)),
            (Some(2), None, None) => Some((true, false)),
            (Some(extra @ 0..=2), Some(dontcare), None) => Some((dontcare, extra == usize::from(dontcare))),
            (Some(extra @ 0..=2), None, Some(no_instance)) => {
                Some((extra > usize::from(!no_instance), no_instance))
            }
            _ => None,
        };
        told.unwrap_or((self.contain_dontcare_label.unwrap_or(false), self.no_instance.unwrap_or(false)))
    }

    /// The crop whose latent grid has as many cells as the tensors say.
    fn crop_of_latent(&self, shapes: &Shapes, upsampling: Upsampling) -> Option<usize> {
        let (_, cells) = shapes.latent?;
        let aspect = self.aspect_ratio.unwrap_or(1.0);
        let height = |width: usize| (width as f64 / aspect).round_ties_even() as usize;
        let width = (1..=cells).find(|&width| width * height(width) == cells)?;
        Some(width << upsampling.doublings())
    }

    /// Every point on which options and tensors disagree, at once.
    fn compare(&self, shapes: &Shapes, architecture: &Architecture) -> Result<(), CheckpointError> {
        let mut disagreements = Vec::new();
        let mut compare = |what: &str, said: Option<String>, found: String, tensor: &str| {
            if let Some(said) = said.filter(|said| *said != found) {
                let weights = format!("{found} by the weights (`{tensor}`)");
                disagreements.push(format!("{what} is {said} by the options and {weights}"));
            }
        };
        let predictor = shapes.predictor();
        compare("ngf", self.ngf.map(|ngf| ngf.to_string()), shapes.ngf.to_string(), HEAD);
        let semantic_nc = architecture.semantic_nc().to_string();
        compare("semantic_nc", Some(semantic_nc), shapes.semantic_nc.to_string(), predictor);
        compare(
            "the SPADE kernel",
            Some(architecture.kernel.to_string()),
            shapes.kernel.to_string(),
            predictor,
        );
        let batch_norm = architecture.norm != spadework_model::Norm::Instance;
        compare("batch norm", Some(batch_norm.to_string()), shapes.batch_norm.to_string(), "running_mean");
        compare("use_vae", self.use_vae.map(|vae| vae.to_string()), shapes.latent.is_some().to_string(), FC);
        let most = architecture.upsampling == Upsampling::Most;
        compare("a fifth up-block (`most`)", Some(most.to_string()), shapes.most.to_string(), "up_4");
        if let Some((z_dim, cells)) = shapes.latent {
            let z_said = self.z_dim.filter(|_| self.use_vae == Some(true));
            compare("z_dim", z_said.map(|z_dim| z_dim.to_string()), z_dim.to_string(), FC);
            let grid = architecture.grid.height * architecture.grid.width;
            compare("the latent grid's number of cells", Some(grid.to_string()), cells.to_string(), FC);
        }
        if disagreements.is_empty() { Ok(()) } else { Err(CheckpointError::Disagreement(disagreements)) }
    }
}

/// Lines of `opt.txt` by key.
struct Values<'a> {
    values: BTreeMap<&'a str, &'a str>,
    place: &'a str,
}

impl Values<'_> {
    fn parse<T: std::str::FromStr>(
        &self,
        key: &'static str,
        wanted: &'static str,
    ) -> Result<Option<T>, OptionsError> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| self.refuse(key, value, wanted))
    }

    fn flag(&self, key: &'static str) -> Result<Option<bool>, OptionsError> {
        match self.values.get(key).copied() {
            None => Ok(None),
            Some("True" | "true" | "1") => Ok(Some(true)),
            Some("False" | "false" | "0") => Ok(Some(false)),
            Some(value) => Err(self.refuse(key, value, "True or False")),
        }
    }

    fn upsampling(&self) -> Result<Option<Upsampling>, OptionsError> {
        let key = "num_upsampling_layers";
        match self.values.get(key).copied() {
            None => Ok(None),
            Some("normal") => Ok(Some(Upsampling::Normal)),
            Some("more") => Ok(Some(Upsampling::More)),
            Some("most") => Ok(Some(Upsampling::Most)),
            Some(value) => Err(self.refuse(key, value, "normal, more or most")),
        }
    }

    fn refuse(&self, key: &'static str, value: &str, wanted: &'static str) -> OptionsError {
        OptionsError::Value { place: self.place.to_owned(), key, value: value.to_owned(), wanted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPT: &str = "----------------- Options ---------------
             aspect_ratio: 2.0                           \t[default: 1.0]
   contain_dontcare_label: True                          \t[default: False]
                crop_size: 512                           \t[default: 256]
                 dataroot: /data/x: y
                 label_nc: 35
                   norm_G: spectralspadesyncbatch3x3
    num_upsampling_layers: more                          \t[default: normal]
----------------- End -------------------
";

    #[test]
    fn opt_txt_is_read_without_its_defaults_and_paddings() {
        let options = Options::parse(OPT, "opt.txt").unwrap();
        assert_eq!(options.aspect_ratio, Some(2.0));
        assert_eq!(options.contain_dontcare_label, Some(true));
        assert_eq!(options.label_nc, Some(35));
        assert_eq!(options.upsampling, Some(Upsampling::More));
        assert_eq!((options.ngf, options.no_instance), (None, None));
    }

    #[test]
    fn a_value_that_makes_no_sense_is_named() {
        let error = Options::parse("label_nc: many", "opt.txt").unwrap_err();
        assert_eq!(error.to_string(), "opt.txt: `label_nc` is `many`, which is not a whole number");
        assert!(matches!(Options::parse("hello", "x"), Err(OptionsError::NoOptions(_))));
    }

    fn coco_shapes() -> Shapes {
        Shapes {
            ngf: 64,
            semantic_nc: 184,
            hidden: 128,
            kernel: 3,
            batch_norm: true,
            latent: None,
            most: false,
            noise: false,
            shared_modulation: false,
        }
    }

    #[test]
    fn a_preset_and_its_tensors_make_the_published_network() {
        let architecture = Options::preset(Preset::Coco).architecture(&coco_shapes()).unwrap();
        assert_eq!(architecture.semantic_nc(), 184);
        assert_eq!((architecture.ngf, architecture.kernel, architecture.z_dim), (64, 3, None));
    }

    #[test]
    fn what_the_options_leave_open_the_tensors_tell() {
        let told = |options: Options, shapes: Shapes| options.architecture(&shapes).unwrap();
        let labels = |label_nc| Options { label_nc: Some(label_nc), ..Options::default() };
        for (options, unknown, edges) in [
            (labels(184), false, false),
            (labels(182), true, true),
            (Options { contain_dontcare_label: Some(true), ..labels(183) }, true, false),
            (Options { no_instance: Some(true), ..labels(183) }, true, false),
            (Options { no_instance: Some(false), ..labels(183) }, false, true),
        ] {
            let architecture = told(options.clone(), coco_shapes());
            assert_eq!(
                (architecture.unknown_label, architecture.instance_edges),
                (unknown, edges),
                "{options:?}"
            );
        }
        let latent = Shapes { latent: Some((256, 2 * 5)), ..coco_shapes() };
        let architecture = told(Options { aspect_ratio: Some(2.0), ..labels(182) }, latent);
        assert_eq!((architecture.mask.width, architecture.mask.height), (160, 80));
    }

    #[test]
    fn every_disagreement_is_reported_at_once() {
        let options = Options { ngf: Some(32), use_vae: Some(true), ..Options::preset(Preset::Ade20k) };
        let error = options.architecture(&coco_shapes()).unwrap_err().to_string();
        for part in ["ngf is 32", "semantic_nc is 151", "use_vae is true"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}
