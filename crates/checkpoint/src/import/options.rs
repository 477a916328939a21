//! How a checkpoint was trained: `opt.txt`, or the options of a published data set.

use std::{collections::BTreeMap, fs, path::Path};

use spadework_model::{Architecture, Modulation, PublishedOptions, Upsampling};

use super::observed::{FC, HEAD, Observed};
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
pub struct TrainingOptions {
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
pub enum TrainingOptionsError {
    /// A file in which no option of a training run stands.
    #[error(
        "{place} has no line such as `label_nc: 182`{}; give the opt.txt of the training run, or --preset",
        looks_like.map(|what| format!(" (it looks like {what})")).unwrap_or_default()
    )]
    NoOptions {
        /// The file.
        place: String,
        /// What it looks like.
        looks_like: Option<&'static str>,
    },
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

impl TrainingOptions {
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

    /// Reads an `opt.txt`: lines `key: value [default: x]`, in UTF-8 or UTF-16. Keys that do not shape the network are
    /// passed over.
    ///
    /// # Errors
    /// When the file cannot be read, holds none of the options, or a value is not one its key can have.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = fs::read(path).map_err(io_error("read", path))?;
        Ok(Self::parse(&decode_text(&bytes), &path.display().to_string())?)
    }

    fn parse(text: &str, place: &str) -> Result<Self, TrainingOptionsError> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let values: BTreeMap<&str, &str> = lines
            .map(|(key, value)| (key.trim(), value.split("[default:").next().unwrap_or_default().trim()))
            .filter(|(key, _)| KEYS.contains(key))
            .collect();
        let values = Values { values, place };
        if values.values.is_empty() {
            let (place, looks_like) = (place.to_owned(), looks_like(text));
            return Err(TrainingOptionsError::NoOptions { place, looks_like });
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
    pub(super) fn architecture(&self, shapes: &Observed) -> Result<Architecture, CheckpointError> {
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
    fn extra_planes(&self, shapes: &Observed) -> (bool, bool) {
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

    /// What neither these options nor the tensors say and was taken from the published defaults.
    pub(super) fn assumed(&self, shapes: &Observed, architecture: &Architecture) -> Option<String> {
        let flags = (self.contain_dontcare_label, self.no_instance);
        let are_labels_told = match (self.label_nc, flags) {
            (_, (Some(_), Some(_))) => true,
            (Some(label_nc), (None, None)) => shapes.semantic_nc.wrapping_sub(label_nc) != 1,
            (Some(_), _) => true,
            (None, _) => false,
        };
        let is_size_told = self.crop_size.is_some() && self.aspect_ratio.is_some();
        let is_upsampling_told = self.upsampling.is_some() || shapes.most;
        if are_labels_told && is_size_told && is_upsampling_told {
            return None;
        }
        let Architecture { label_nc, mask, .. } = architecture;
        let unknown = if architecture.unknown_label { ", an unknown label" } else { "" };
        let edges = if architecture.instance_edges { "instance edges" } else { "no instance edges" };
        let upsampling = match architecture.upsampling {
            Upsampling::Normal => "normal",
            Upsampling::More => "more",
            Upsampling::Most => "most",
        };
        Some(format!(
            "assumed {label_nc} labels{unknown} and {edges}, masks of {}x{} and `{upsampling}` up-sampling; give \
             --options if that is wrong",
            mask.width, mask.height
        ))
    }

    /// The crop whose latent grid has as many cells as the tensors say.
    fn crop_of_latent(&self, shapes: &Observed, upsampling: Upsampling) -> Option<usize> {
        let (_, cells) = shapes.latent?;
        let aspect = self.aspect_ratio.unwrap_or(1.0);
        let height = |width: usize| (width as f64 / aspect).round_ties_even() as usize;
        let width = (1..=cells).find(|&width| width * height(width) == cells)?;
        Some(width << upsampling.doublings())
    }

    /// Every point on which options and tensors disagree, at once.
    fn compare(&self, shapes: &Observed, architecture: &Architecture) -> Result<(), CheckpointError> {
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

/// The options that shape the network.
const KEYS: [&str; 10] = [
    "label_nc",
    "contain_dontcare_label",
    "no_instance",
    "crop_size",
    "aspect_ratio",
    "num_upsampling_layers",
    "ngf",
    "z_dim",
    "use_vae",
    "norm_G",
];

/// Text in UTF-8, or in the UTF-16 that PowerShell's redirection writes.
fn decode_text(bytes: &[u8]) -> String {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks().0.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        // Without a mark: every other byte of plain text is 0.
        [first, 0, _, 0, ..] if *first != 0 => utf16(bytes, u16::from_le_bytes),
        [0, first, 0, _, ..] if *first != 0 => utf16(bytes, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// What people give in place of `opt.txt`.
fn looks_like(text: &str) -> Option<&'static str> {
    let start = text.trim_start();
    let starts = |with: &str| start.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if starts("{") || starts("[") {
        Some("JSON")
    } else if starts("PK\u{3}\u{4}") || starts("\u{fffd}\u{2}") {
        Some("a PyTorch or pickle file")
    } else if starts("<") {
        Some("a web page")
    } else if start.is_empty() {
        Some("an empty file")
    } else if text.contains('\0') {
        Some("a binary file")
    } else {
        None
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
    ) -> Result<Option<T>, TrainingOptionsError> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| self.refuse(key, value, wanted))
    }

    fn flag(&self, key: &'static str) -> Result<Option<bool>, TrainingOptionsError> {
        match self.values.get(key).copied() {
            None => Ok(None),
            Some("True" | "true" | "1") => Ok(Some(true)),
            Some("False" | "false" | "0") => Ok(Some(false)),
            Some(value) => Err(self.refuse(key, value, "True or False")),
        }
    }

    fn upsampling(&self) -> Result<Option<Upsampling>, TrainingOptionsError> {
        let key = "num_upsampling_layers";
        match self.values.get(key).copied() {
            None => Ok(None),
            Some("normal") => Ok(Some(Upsampling::Normal)),
            Some("more") => Ok(Some(Upsampling::More)),
            Some("most") => Ok(Some(Upsampling::Most)),
            Some(value) => Err(self.refuse(key, value, "normal, more or most")),
        }
    }

    fn refuse(&self, key: &'static str, value: &str, wanted: &'static str) -> TrainingOptionsError {
        TrainingOptionsError::Value { place: self.place.to_owned(), key, value: value.to_owned(), wanted }
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
        let options = TrainingOptions::parse(OPT, "opt.txt").unwrap();
        assert_eq!(options.aspect_ratio, Some(2.0));
        assert_eq!(options.contain_dontcare_label, Some(true));
        assert_eq!(options.label_nc, Some(35));
        assert_eq!(options.upsampling, Some(Upsampling::More));
        assert_eq!((options.ngf, options.no_instance), (None, None));
    }

    #[test]
    fn a_value_that_makes_no_sense_is_named() {
        let error = TrainingOptions::parse("label_nc: many", "opt.txt").unwrap_err();
        assert_eq!(error.to_string(), "opt.txt: `label_nc` is `many`, which is not a whole number");
        assert!(matches!(TrainingOptions::parse("hello", "x"), Err(TrainingOptionsError::NoOptions { .. })));
    }

    fn coco_shapes() -> Observed {
        Observed {
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
        let architecture = TrainingOptions::preset(Preset::Coco).architecture(&coco_shapes()).unwrap();
        assert_eq!(architecture.semantic_nc(), 184);
        assert_eq!((architecture.ngf, architecture.kernel, architecture.z_dim), (64, 3, None));
    }

    #[test]
    fn what_the_options_leave_open_the_tensors_tell() {
        let told = |options: TrainingOptions, shapes: Observed| options.architecture(&shapes).unwrap();
        let labels = |label_nc| TrainingOptions { label_nc: Some(label_nc), ..TrainingOptions::default() };
        for (options, unknown, edges) in [
            (labels(184), false, false),
            (labels(182), true, true),
            (TrainingOptions { contain_dontcare_label: Some(true), ..labels(183) }, true, false),
            (TrainingOptions { no_instance: Some(true), ..labels(183) }, true, false),
            (TrainingOptions { no_instance: Some(false), ..labels(183) }, false, true),
        ] {
            let architecture = told(options.clone(), coco_shapes());
            assert_eq!(
                (architecture.unknown_label, architecture.instance_edges),
                (unknown, edges),
                "{options:?}"
            );
        }
        let latent = Observed { latent: Some((256, 2 * 5)), ..coco_shapes() };
        let architecture = told(TrainingOptions { aspect_ratio: Some(2.0), ..labels(182) }, latent);
        assert_eq!((architecture.mask.width, architecture.mask.height), (160, 80));
    }

    #[test]
    fn every_disagreement_is_reported_at_once() {
        let options =
            TrainingOptions { ngf: Some(32), use_vae: Some(true), ..TrainingOptions::preset(Preset::Ade20k) };
        let error = options.architecture(&coco_shapes()).unwrap_err().to_string();
        for part in ["ngf is 32", "semantic_nc is 151", "use_vae is true"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}
