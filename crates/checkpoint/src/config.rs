//! `config.json`: everything that is needed to run a model, so that no option has to be retyped.

use serde::{Deserialize, Serialize};
use spadework_model::Architecture;

use crate::{CheckpointError, memory};

/// The version that is written, and the latest that is read.
pub const CONFIG_VERSION: u64 = 1;

/// A model's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// [`CONFIG_VERSION`] of the release that wrote it.
    pub version: u64,
    /// What the model makes, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Licence of the weights: an SPDX identifier or a sentence.
    #[serde(default)]
    pub licence: String,
    /// Where the weights come from.
    #[serde(default)]
    pub provenance: String,
    /// The network.
    pub architecture: Architecture,
    /// The labels, by id; an id without one is still a class.
    #[serde(default)]
    pub labels: Vec<LabelConfig>,
    /// Styles that the model brings along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub styles: Vec<StylePreset>,
}

/// One label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelConfig {
    /// The value of its pixels.
    pub id: u8,
    /// Its name.
    pub name: String,
    /// Its colour in colour masks, red, green, blue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<[u8; 3]>,
}

/// A style with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StylePreset {
    /// Its name.
    pub name: String,
    /// Its latent, `z_dim` numbers.
    pub latent: Vec<f32>,
}

impl ModelConfig {
    /// Reads and checks a configuration; `place` is for messages.
    ///
    /// # Errors
    /// When it is no JSON of this form, of a later version, or contradicts itself.
    pub fn parse(text: &[u8], place: &str) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let broken = |source| CheckpointError::Config { place: place.to_owned(), source };
        // The version comes first: a later one may well have fields that this release does not know.
        let Version { version } = serde_json::from_slice(text).map_err(broken)?;
        if version > CONFIG_VERSION {
            return Err(CheckpointError::FutureVersion { place: place.to_owned(), version });
        }
        let config: Self = serde_json::from_slice(text).map_err(broken)?;
        config.check(place)?;
        Ok(config)
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// When the architecture is no network, or labels or styles do not fit it.
    pub fn check(&self, place: &str) -> Result<(), CheckpointError> {
        self.architecture.check()?;
        let planes = self.architecture.label_planes();
        let contradiction =
            |reason: String| Err(CheckpointError::Contradiction { place: place.to_owned(), reason });
        if let Some(reason) = memory::excess(&self.architecture) {
            return contradiction(reason);
        }
        for (index, label) in self.labels.iter().enumerate() {
            if usize::from(label.id) >= planes {
                return contradiction(format!(
                    "label `{}` has id {}, the model has {planes}",
                    label.name, label.id
                ));
            }
            if self.labels[..index].iter().any(|other| other.id == label.id) {
                return contradiction(format!("two labels have the id {}", label.id));
            }
        }
        for (index, style) in self.styles.iter().enumerate() {
            let z_dim = self.architecture.z_dim.unwrap_or(0);
            if style.latent.len() != z_dim {
                let length = style.latent.len();
                return contradiction(format!(
                    "style `{}` has {length} numbers, z_dim is {z_dim}",
                    style.name
                ));
            }
            if self.styles[..index].iter().any(|other| other.name == style.name) {
                return contradiction(format!("two styles are called `{}`", style.name));
            }
        }
        Ok(())
    }

    /// The text that is written: readable, ending with a line feed.
    pub(crate) fn to_text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
