//! The published code's options, as far as they say what a step computes.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use spadework_model::{Architecture, EncoderArchitecture, PublishedOptions, Upsampling};

use crate::{
    networks::{ConvNorm, Discriminator, Networks, Normalisation},
    objective::{GanMode, KlReduction, Objective},
    outcome::Mistake,
};

/// Options under their published names, with their published defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are the published code's")]
#[expect(clippy::struct_excessive_bools, reason = "the names are the published code's")]
pub struct Options {
    pub label_nc: usize,
    pub contain_dontcare_label: bool,
    pub no_instance: bool,
    pub output_nc: usize,
    pub crop_size: usize,
    pub aspect_ratio: f64,
    pub num_upsampling_layers: Upsampling,
    pub ngf: usize,
    pub ndf: usize,
    pub z_dim: usize,
    pub use_vae: bool,
    #[serde(rename = "norm_G")]
    pub norm_g: String,
    #[serde(rename = "norm_D")]
    pub norm_d: String,
    #[serde(rename = "norm_E")]
    pub norm_e: String,
    #[serde(rename = "netG")]
    pub net_g: String,
    #[serde(rename = "netD")]
    pub net_d: String,
    #[serde(rename = "netD_subarch")]
    pub net_d_subarch: String,
    #[serde(rename = "netE")]
    pub net_e: String,
    #[serde(rename = "num_D")]
    pub num_d: usize,
    #[serde(rename = "n_layers_D")]
    pub n_layers_d: usize,
    pub gan_mode: String,
    #[serde(rename = "no_ganFeat_loss")]
    pub no_gan_feat_loss: bool,
    pub no_vgg_loss: bool,
    pub lambda_feat: f64,
    pub lambda_vgg: f64,
    pub lambda_kld: f64,
}

impl Default for Options {
    fn default() -> Self {
        let text = |text: &str| text.to_owned();
        Self {
            label_nc: 182,
            contain_dontcare_label: false,
            no_instance: false,
            output_nc: 3,
            crop_size: 512,
            aspect_ratio: 1.0,
            num_upsampling_layers: Upsampling::Normal,
            ngf: 64,
            ndf: 64,
            z_dim: 256,
            use_vae: false,
            norm_g: text("spectralinstance"),
            norm_d: text("spectralinstance"),
            norm_e: text("spectralinstance"),
            net_g: text("spade"),
            net_d: text("multiscale"),
            net_d_subarch: text("n_layer"),
            net_e: text("conv"),
            num_d: 2,
            n_layers_d: 4,
            gan_mode: text("hinge"),
            no_gan_feat_loss: false,
            no_vgg_loss: false,
            lambda_feat: 10.0,
            lambda_vgg: 10.0,
            lambda_kld: 0.05,
        }
    }
}

impl Options {
    /// Reads `options.json`.
    ///
    /// # Errors
    /// When it is not JSON, or an option has another type than it is published with.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| Mistake::error(format!("options.json: {error}")))
    }

    /// The networks that the options describe.
    ///
    /// # Errors
    /// When they describe networks other than SPADE's.
    pub fn networks(&self) -> Result<Networks> {
        let expected = [
            ("netG", &self.net_g, "spade"),
            ("netD", &self.net_d, "multiscale"),
            ("netD_subarch", &self.net_d_subarch, "n_layer"),
            ("netE", &self.net_e, "conv"),
        ];
        for (option, value, only) in expected {
            if value != only {
                return Err(Mistake::error(format!("`{option}` is `{value}`; only `{only}` is known here")));
            }
        }
        if self.output_nc != 3 {
            return Err(Mistake::error(format!("`output_nc` is {}; images have 3", self.output_nc)));
        }
        let mut architecture = Architecture::published(&PublishedOptions {
            label_nc: self.label_nc,
            contain_dontcare_label: self.contain_dontcare_label,
            no_instance: self.no_instance,
            crop_size: self.crop_size,
            aspect_ratio: self.aspect_ratio,
            upsampling: self.num_upsampling_layers,
            ngf: self.ngf,
            z_dim: self.z_dim,
            use_vae: self.use_vae,
            norm_g: self.norm_g.clone(),
        })
        .map_err(|error| Mistake::error(format!("options.json: {error}")))?;
        architecture.encoder = self.use_vae.then_some(EncoderArchitecture::Published { width: self.ngf });
        Ok(Networks {
            architecture,
            generator_spectral: self.norm_g.starts_with("spectral"),
            encoder_norm: conv_norm(&self.norm_e).context("norm_E")?,
            discriminator: Discriminator {
                scales: self.num_d,
                layers: self.n_layers_d,
                width: self.ndf,
                norm: conv_norm(&self.norm_d).context("norm_D")?,
            },
        })
    }

    /// The losses that the options ask for.
    ///
    /// # Errors
    /// When `gan_mode` is not one of the published ones.
    pub fn objective(&self) -> Result<Objective> {
        let gan = match self.gan_mode.as_str() {
            "hinge" => GanMode::Hinge,
            "ls" => GanMode::LeastSquares,
            "original" => GanMode::Original,
            "w" => GanMode::Wasserstein,
            other => {
                return Err(Mistake::error(format!(
                    "`gan_mode` is `{other}`; it is hinge, ls, original or w"
                )));
            }
        };
        Ok(Objective {
            gan,
            feature_matching: if self.no_gan_feat_loss { 0.0 } else { self.lambda_feat },
            perceptual: if self.no_vgg_loss { 0.0 } else { self.lambda_vgg },
            kl: if self.use_vae { self.lambda_kld } else { 0.0 },
            kl_reduction: KlReduction::Sum,
            low_resolution: 0.0,
            low_resolution_end: None,
        })
    }
}

/// Reads `spectralinstance` and its like.
fn conv_norm(text: &str) -> Result<ConvNorm> {
    let (spectral, rest) = match text.strip_prefix("spectral") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let norm = match rest {
        "" | "none" => Normalisation::None,
        "instance" => Normalisation::Instance,
        "batch" => Normalisation::Batch,
        "sync_batch" | "syncbatch" => Normalisation::SyncBatch,
        _ => {
            let known = "[spectral](instance|batch|sync_batch|none)";
            return Err(Mistake::error(format!("`{text}` is not a norm; expected {known}")));
        }
    };
    Ok(ConvNorm { spectral, norm })
}
