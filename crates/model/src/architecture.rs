//! Every number that defines a network: what `config.json` stores and what all other code derives shapes from.

use serde::{Deserialize, Serialize};

/// The largest value of any number: far above what is ever used, and no product of a few of them overflows.
const LARGEST: usize = 1 << 16;

/// How many times the latent grid is doubled, in the published code's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// Five doublings: 8×8 → 256×256.
    Normal,
    /// Six: one more between the two middle blocks.
    More,
    /// Seven: one more middle doubling and a fifth up-block that halves the width again.
    Most,
}

impl Upsampling {
    /// Number of times height and width double between the latent grid and the picture.
    pub fn doublings(self) -> usize {
        match self {
            Self::Normal => 5,
            Self::More => 6,
            Self::Most => 7,
        }
    }
}

/// The parameter-free normalisation inside a SPADE layer (paper section 3, eq. 1–2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Batch norm; running statistics at inference.
    Batch,
    /// Batch norm whose training statistics span all processes; the same as `batch` at inference.
    SyncBatch,
    /// Instance norm: statistics of each picture and channel, at inference too.
    Instance,
}

/// Where gamma and beta come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modulation {
    /// Each SPADE layer has its own two-conv network (the paper).
    #[default]
    PerLayer,
    /// One two-conv network predicts gamma and beta of every layer at once.
    Shared,
}

/// Height and width in cells or pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// The network that turns a style picture into the posterior of `z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum EncoderArchitecture {
    /// Six stride-2 convs with instance norm on a 256×256 picture (paper appendix A).
    Published {
        /// Channels of the first conv; the published code uses the generator's `ngf`.
        width: usize,
    },
    /// 2×2 average pooling, then five stride-2 convs without normalisation, so that global colour survives.
    Color {
        /// Channels of the first conv.
        width: usize,
    },
}

/// All numbers of a generator and its optional encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Classes of the data set.
    pub label_nc: usize,
    /// Whether id `label_nc` stands for "unknown" and has a plane of its own.
    #[serde(default)]
    pub unknown_label: bool,
    /// Whether the last semantic plane holds instance boundaries.
    #[serde(default)]
    pub instance_edges: bool,
    /// Size of the label map the network takes.
    pub mask: Grid,
    /// Size of the latent grid; the picture is `2^doublings` times as large.
    pub grid: Grid,
    /// Number of doublings, named as the published options name it.
    pub upsampling: Upsampling,
    /// Base width: the generator starts with 16·ngf channels.
    pub ngf: usize,
    /// Width of the hidden layer that predicts gamma and beta.
    pub hidden: usize,
    /// Odd kernel of the SPADE layers' convs.
    pub kernel: usize,
    /// Normalisation inside the SPADE layers.
    pub norm: Norm,
    /// Per-layer or shared prediction of gamma and beta.
    #[serde(default)]
    pub modulation: Modulation,
    /// Length of the latent `z`; absent when the picture starts from the label map itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub z_dim: Option<usize>,
    /// Whether each residual block adds a seeded normal plane, weighted per channel, after `conv_0`.
    #[serde(default)]
    pub noise: bool,
    /// The style encoder, if the model has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderArchitecture>,
}

/// The options that the published code records in `opt.txt`, as far as they shape the network.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedOptions {
    /// `label_nc`
    pub label_nc: usize,
    /// `contain_dontcare_label`
    pub contain_dontcare_label: bool,
    /// `no_instance`
    pub no_instance: bool,
    /// `crop_size`
    pub crop_size: usize,
    /// `aspect_ratio`, width over height
    pub aspect_ratio: f64,
    /// `num_upsampling_layers`
    pub upsampling: Upsampling,
    /// `ngf`
    pub ngf: usize,
    /// `z_dim`
    pub z_dim: usize,
    /// `use_vae`
    pub use_vae: bool,
    /// `norm_G`, such as `spectralspadesyncbatch3x3`
    pub norm_g: String,
}

/// One residual block of the generator, in execution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The block's published name, such as `up_0`.
    pub name: &'static str,
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Whether the input is doubled before the block runs.
    pub doubled: bool,
    /// Resolution the block runs at.
    pub grid: Grid,
}

impl Stage {
    /// Channels between the block's two convs.
    pub fn middle(&self) -> usize {
        self.input.min(self.output)
    }

    /// Whether the shortcut has a conv of its own.
    pub fn learned_shortcut(&self) -> bool {
        self.input != self.output
    }
}

/// Why a set of numbers is not a network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArchitectureError {
    /// A number that must be positive is zero.
    #[error("`{0}` must be at least 1")]
    Zero(&'static str),
    /// A number that no machine has the memory for.
    #[error("`{name}` is {value}; at most {LARGEST} is served")]
    Excessive {
        /// Which.
        name: &'static str,
        /// Its value.
        value: usize,
    },
    /// A kernel that has no centre.
    #[error("the SPADE kernel must be odd, not {0}")]
    EvenKernel(usize),
    /// Labels are stored as 8-bit ids.
    #[error("{0} classes do not fit 8-bit label ids; at most 255 do, the unknown label included")]
    TooManyLabels(usize),
    /// The encoder's latent has nowhere to go.
    #[error("an encoder needs a generator with a latent (`z_dim`)")]
    EncoderWithoutLatent,
    /// `norm_G` is not one this network has.
    #[error("`norm_G` is `{0}`; expected [spectral]spade(syncbatch|batch|instance)KxK with odd K")]
    NormString(String),
    /// The crop is smaller than the smallest latent grid.
    #[error("crop size {crop} with aspect ratio {aspect} leaves no latent grid; use at least {least} pixels")]
    CropTooSmall {
        /// The crop given.
        crop: usize,
        /// The aspect ratio given, as text.
        aspect: String,
        /// The smallest crop.
        least: usize,
    },
}

impl Architecture {
    /// Applies the published size rules: `sw = crop / 2^n` (whole division), `sh = round(sw / aspect)`.
    ///
    /// # Errors
    /// When the options describe no network.
    pub fn published(options: &PublishedOptions) -> Result<Self, ArchitectureError> {
        let (norm, kernel) = parse_norm(&options.norm_g)?;
        let doublings = options.upsampling.doublings();
        let width = options.crop_size >> doublings;
        let height = (width as f64 / options.aspect_ratio).round_ties_even() as usize;
        let mask = Grid {
            height: (options.crop_size as f64 / options.aspect_ratio).round_ties_even() as usize,
            width: options.crop_size,
        };
        if width == 0 || height == 0 {
            return Err(ArchitectureError::CropTooSmall {
                crop: options.crop_size,
                aspect: options.aspect_ratio.to_string(),
                least: (1 << doublings) * options.aspect_ratio.ceil().max(1.0) as usize,
            });
        }
        let architecture = Self {
            label_nc: options.label_nc,
            unknown_label: options.contain_dontcare_label,
            instance_edges: !options.no_instance,
            mask,
            grid: Grid { height, width },
            upsampling: options.upsampling,
            ngf: options.ngf,
            hidden: 128,
            kernel,
            norm,
            modulation: Modulation::PerLayer,
            z_dim: options.use_vae.then_some(options.z_dim),
            noise: false,
            encoder: None,
        };
        architecture.check()?;
        Ok(architecture)
    }

    /// Checks what the types cannot say. Every loader calls this before it looks at a tensor.
    ///
    /// # Errors
    /// With what cannot be.
    pub fn check(&self) -> Result<(), ArchitectureError> {
        let positive = [
            ("label_nc", self.label_nc),
            ("mask.height", self.mask.height),
            ("mask.width", self.mask.width),
            ("grid.height", self.grid.height),
            ("grid.width", self.grid.width),
            ("ngf", self.ngf),
            ("the last width, half of ngf", self.final_width()),
            ("hidden", self.hidden),
            ("kernel", self.kernel),
            ("z_dim", self.z_dim.unwrap_or(1)),
            ("encoder.width", self.encoder_width().unwrap_or(1)),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(ArchitectureError::Zero(name));
        }
        if let Some(&(name, value)) = positive.iter().find(|(_, value)| *value > LARGEST) {
            return Err(ArchitectureError::Excessive { name, value });
        }
        if self.kernel.is_multiple_of(2) {
            return Err(ArchitectureError::EvenKernel(self.kernel));
        }
        if self.label_planes() > 255 {
            return Err(ArchitectureError::TooManyLabels(self.label_planes()));
        }
        if self.encoder.is_some() && self.z_dim.is_none() {
            return Err(ArchitectureError::EncoderWithoutLatent);
        }
        Ok(())
    }

    /// One-hot planes: the classes and the unknown label.
    pub fn label_planes(&self) -> usize {
        self.label_nc + usize::from(self.unknown_label)
    }

    /// Channels of the semantic map: one-hot planes and the edge plane.
    pub fn semantic_nc(&self) -> usize {
        self.label_planes() + usize::from(self.instance_edges)
    }

    /// Size of the picture that comes out.
    pub fn picture(&self) -> Grid {
        let factor = 1 << self.upsampling.doublings();
        Grid { height: self.grid.height * factor, width: self.grid.width * factor }
    }

    /// Channels the generator starts with.
    pub fn start_width(&self) -> usize {
        16 * self.ngf
    }

    /// Channels that reach `conv_img`.
    pub fn final_width(&self) -> usize {
        match self.upsampling {
            Upsampling::Most => self.ngf / 2,
            Upsampling::Normal | Upsampling::More => self.ngf,
        }
    }

    fn encoder_width(&self) -> Option<usize> {
        self.encoder.map(|encoder| match encoder {
            EncoderArchitecture::Published { width } | EncoderArchitecture::Color { width } => width,
        })
    }

    /// The residual blocks in the order they run, with channels and resolution (paper appendix A, figure 11).
    pub fn stages(&self) -> Vec<Stage> {
        let ngf = self.ngf;
        let extra = self.upsampling != Upsampling::Normal;
        let mut plan = vec![
            ("head_0", 16 * ngf, 16 * ngf, false),
            ("G_middle_0", 16 * ngf, 16 * ngf, true),
            ("G_middle_1", 16 * ngf, 16 * ngf, extra),
            ("up_0", 16 * ngf, 8 * ngf, true),
            ("up_1", 8 * ngf, 4 * ngf, true),
            ("up_2", 4 * ngf, 2 * ngf, true),
            ("up_3", 2 * ngf, ngf, true),
        ];
        if self.upsampling == Upsampling::Most {
            plan.push(("up_4", ngf, ngf / 2, true));
        }
        let mut grid = self.grid;
        plan.into_iter()
            .map(|(name, input, output, doubled)| {
                if doubled {
                    grid = Grid { height: grid.height * 2, width: grid.width * 2 };
                }
                Stage { name, input, output, doubled, grid }
            })
            .collect()
    }

    /// Sizes of the noise planes, one for each residual block in order; empty without the extension.
    pub fn noise_planes(&self) -> Vec<Grid> {
        if self.noise { self.stages().iter().map(|stage| stage.grid).collect() } else { Vec::new() }
    }
}

/// Splits `spectralspadesyncbatch3x3` into its norm and kernel.
fn parse_norm(text: &str) -> Result<(Norm, usize), ArchitectureError> {
    let unknown = || ArchitectureError::NormString(text.to_owned());
    let body = text.strip_prefix("spectral").unwrap_or(text).strip_prefix("spade").ok_or_else(unknown)?;
    let (norm, kernel) =
        [("syncbatch", Norm::SyncBatch), ("batch", Norm::Batch), ("instance", Norm::Instance)]
            .into_iter()
            .find_map(|(name, norm)| Some((norm, body.strip_prefix(name)?)))
            .ok_or_else(unknown)?;
    let (rows, columns) = kernel.split_once('x').ok_or_else(unknown)?;
    match (rows.parse::<usize>(), columns.parse::<usize>()) {
        (Ok(rows), Ok(columns)) if rows == columns && rows % 2 == 1 => Ok((norm, rows)),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coco() -> PublishedOptions {
        PublishedOptions {
            label_nc: 182,
            contain_dontcare_label: true,
            no_instance: false,
            crop_size: 256,
            aspect_ratio: 1.0,
            upsampling: Upsampling::Normal,
            ngf: 64,
            z_dim: 256,
            use_vae: false,
            norm_g: "spectralspadesyncbatch3x3".into(),
        }
    }

    #[test]
    fn coco_has_184_semantic_planes_and_a_256_pixel_picture() {
        let architecture = Architecture::published(&coco()).unwrap();
        assert_eq!(architecture.semantic_nc(), 184);
        assert_eq!(architecture.grid, Grid { height: 8, width: 8 });
        assert_eq!(architecture.picture(), Grid { height: 256, width: 256 });
    }

    #[test]
    fn cityscapes_is_twice_as_wide_as_high() {
        let options = PublishedOptions {
            label_nc: 35,
            contain_dontcare_label: false,
            crop_size: 512,
            aspect_ratio: 2.0,
            upsampling: Upsampling::More,
            ..coco()
        };
        let architecture = Architecture::published(&options).unwrap();
        assert_eq!(architecture.semantic_nc(), 36);
        assert_eq!(architecture.grid, Grid { height: 4, width: 8 });
        assert_eq!(architecture.picture(), Grid { height: 256, width: 512 });
    }

    #[test]
    fn the_latent_grid_rounds_halves_to_even_as_python_does() {
        let options = PublishedOptions { crop_size: 160, aspect_ratio: 2.0, ..coco() };
        assert_eq!(Architecture::published(&options).unwrap().grid, Grid { height: 2, width: 5 });
    }

    #[test]
    fn norm_strings_with_and_without_spectral_are_read() {
        assert_eq!(parse_norm("spadeinstance5x5"), Ok((Norm::Instance, 5)));
        assert_eq!(parse_norm("spectralspadebatch1x1"), Ok((Norm::Batch, 1)));
        for wrong in ["spectralinstance", "spadebatch4x4", "spadebatch3x5", "spadebatch", "spadegroup3x3"] {
            assert_eq!(parse_norm(wrong), Err(ArchitectureError::NormString(wrong.into())));
        }
    }

    #[test]
    fn most_adds_a_block_that_halves_the_width() {
        let options =
            PublishedOptions { upsampling: Upsampling::Most, crop_size: 512, no_instance: true, ..coco() };
        let stages = Architecture::published(&options).unwrap().stages();
        let last = stages.last().unwrap();
        assert_eq!((last.name, last.input, last.output), ("up_4", 64, 32));
        assert_eq!(last.grid, Grid { height: 512, width: 512 });
    }

    #[test]
    fn an_impossible_network_is_refused_with_its_reason() {
        let good = Architecture::published(&coco()).unwrap();
        assert_eq!(Architecture { ngf: 0, ..good.clone() }.check(), Err(ArchitectureError::Zero("ngf")));
        let huge = Architecture { hidden: usize::MAX, ..good.clone() };
        assert_eq!(huge.check(), Err(ArchitectureError::Excessive { name: "hidden", value: usize::MAX }));
        assert_eq!(Architecture { kernel: 4, ..good.clone() }.check(), Err(ArchitectureError::EvenKernel(4)));
        let encoder = Some(EncoderArchitecture::Published { width: 64 });
        assert_eq!(Architecture { encoder, ..good }.check(), Err(ArchitectureError::EncoderWithoutLatent));
    }
}
