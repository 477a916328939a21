//! The options of a synthesis: their names, defaults and bounds. An unknown one is an error that names it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spadework_imaging as imaging;
use utoipa::ToSchema;

use super::OptionValue;
use crate::text::shortened;

/// How to make pictures from a mask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct SynthesisOptions {
    /// The model's name; the server's default model without one.
    #[schema(nullable = false, example = "landscape")]
    pub model: Option<String>,
    /// Seed of the latent and the noise; a fresh one without it. Picture `i` of several uses `seed + i`.
    #[schema(nullable = false, example = 7)]
    pub seed: Option<u64>,
    /// The latent itself, `z_dim` numbers, in place of one drawn from the seed.
    #[schema(nullable = false, example = json!([]))]
    pub latent: Option<Vec<f32>>,
    /// One of the model's named styles, in place of a style picture.
    #[schema(nullable = false, example = "day")]
    pub style_preset: Option<String>,
    /// 0 takes the encoder's mean for a style picture, 1 a sample of its posterior; anything between scales it.
    #[schema(nullable = false, minimum = 0, maximum = 1, default = 0, example = 0)]
    pub style_noise: Option<f32>,
    /// How many pictures to make from the mask.
    #[schema(value_type = u8, minimum = 1, maximum = 8, default = 1, example = 1)]
    pub count: Count,
    /// What the mask's pixels mean.
    pub mask_format: MaskFormat,
    /// What to do with a mask of another size than the model's.
    pub resize: Resize,
    /// The size of the picture.
    pub output_size: OutputSize,
    /// How long the answer may take, in milliseconds; the server's own limit without it.
    #[schema(nullable = false, minimum = 1, example = 60_000)]
    pub deadline_ms: Option<u64>,
}

/// A number of pictures, 1 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Count(u8);

impl Count {
    /// The number.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for Count {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<i64> for Count {
    type Error = String;

    fn try_from(count: i64) -> Result<Self, String> {
        match u8::try_from(count) {
            Ok(count @ 1..=8) => Ok(Self(count)),
            _ => Err(format!("{count} pictures cannot be made from one mask; ask for 1 to 8")),
        }
    }
}

/// What a mask's pixels mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaskFormat {
    /// Decided by evidence; refused where two readings are possible and differ.
    #[default]
    Auto,
    /// Class ids.
    Ids,
    /// The labels' colours.
    Colors,
    /// Class ids, as the numbers stand in the file: palette indices, samples of any width.
    Raw,
    /// Class ids, as the grey values from 0 to 255 that a viewer shows.
    Shown,
}

impl From<MaskFormat> for imaging::MaskFormat {
    fn from(format: MaskFormat) -> Self {
        match format {
            MaskFormat::Auto => Self::Auto,
            MaskFormat::Ids => Self::Ids,
            MaskFormat::Colors => Self::Colors,
            MaskFormat::Raw => Self::Raw,
            MaskFormat::Shown => Self::Shown,
        }
    }
}

/// What to do with a mask of another size than the model's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Sample the nearest pixels if its aspect ratio is the model's within 2%; else refuse it.
    #[default]
    Auto,
    /// Refuse it.
    Reject,
    /// Sample the nearest pixels, whatever its aspect ratio.
    Nearest,
}

impl From<Resize> for imaging::Resize {
    fn from(resize: Resize) -> Self {
        match resize {
            Resize::Auto => Self::Auto,
            Resize::Reject => Self::Reject,
            Resize::Nearest => Self::Nearest,
        }
    }
}

/// The size of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputSize {
    /// As the model makes it.
    #[default]
    Model,
    /// Resized, bicubic, to the mask's size as it was sent.
    Mask,
}

/// Options that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// One has a value it cannot have.
    #[error("option `{name}` is `{value}`; it must be {wanted}")]
    Value {
        /// The option.
        name: String,
        /// Its value, or the beginning of it.
        value: String,
        /// What it can be.
        wanted: &'static str,
    },
    /// One is not known.
    #[error("unknown option `{}`; the options are {}", shortened(.0, 40), option_names())]
    Unknown(String),
    /// One is given twice.
    #[error("option `{0}` is given twice; give it once")]
    Twice(String),
}

/// The options, and what each must be.
const OPTIONS: [(&str, &str); 10] = [
    ("model", "the name of a model"),
    ("seed", "a whole number from 0 to 18446744073709551615"),
    ("latent", "an array of numbers"),
    ("style_preset", "the name of a style"),
    ("style_noise", "a number from 0 to 1"),
    ("count", "a whole number from 1 to 8"),
    ("mask_format", "`auto`, `ids`, `colors`, `raw` or `shown`"),
    ("resize", "`auto`, `reject` or `nearest`"),
    ("output_size", "`model` or `mask`"),
    ("deadline_ms", "a whole number of milliseconds, at least 1"),
];

/// The options whose value is a word; the others are JSON in text too.
const WORDS: [&str; 5] = ["model", "style_preset", "mask_format", "resize", "output_size"];

fn option_names() -> String {
    OPTIONS.map(|(name, _)| format!("`{name}`")).join(", ")
}

impl SynthesisOptions {
    /// Reads options from a JSON object.
    ///
    /// # Errors
    /// When one is unknown or has a value that it cannot have.
    pub fn from_object(object: Map<String, Value>) -> Result<Self, OptionsError> {
        let object = Value::Object(object);
        serde_path_to_error::deserialize(&object).map_err(|error| {
            // Inside an array the path goes on: `latent[3]`.
            let path = error.path().to_string();
            let name = path.split('[').next().unwrap_or_default();
            let value = match &object[name] {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            let wanted = OPTIONS.iter().find(|(known, _)| *known == name);
            wanted.map_or_else(
                || OptionsError::Unknown(name.to_owned()),
                |&(_, wanted)| OptionsError::Value {
                    name: name.to_owned(),
                    value: shortened(&value, 40).into_owned(),
                    wanted,
                },
            )
        })
    }

    /// Whether there is an option of this name.
    pub fn is_known(name: &str) -> bool {
        OPTIONS.iter().any(|(known, _)| *known == name)
    }

    /// Adds an option that came as JSON. A number may be text, as a form's is.
    ///
    /// # Errors
    /// When there is no such option, or it is there already.
    pub fn add(
        object: &mut Map<String, Value>,
        name: &str,
        value: Value,
        most: usize,
    ) -> Result<(), OptionsError> {
        match value {
            Value::String(text) if !WORDS.contains(&name) => Self::add_text(object, name, &text, most),
            value => Self::insert(object, name, value),
        }
    }

    fn insert(object: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), OptionsError> {
        if !Self::is_known(name) {
            return Err(OptionsError::Unknown(name.to_owned()));
        }
        match object.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(OptionsError::Twice(name.to_owned())),
        }
    }

    /// Adds an option that came as text, from a form or a query. A list has at most `most` numbers. A field that was left
    /// empty is no option.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_text(
        object: &mut Map<String, Value>,
        name: &str,
        text: &str,
        most: usize,
    ) -> Result<(), OptionsError> {
        let word = || Value::String(OptionValue::word(text));
        let value = if WORDS.contains(&name) {
            word()
        } else {
            OptionValue { most }.read(text.trim()).unwrap_or_else(|_| word())
        };
        match text.trim().is_empty() && Self::is_known(name) {
            true => Ok(()),
            false => Self::insert(object, name, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(pairs: &[(&str, &str)]) -> Result<SynthesisOptions, OptionsError> {
        let mut object = Map::new();
        for (name, text) in pairs {
            SynthesisOptions::add_text(&mut object, name, text, 512)?;
        }
        SynthesisOptions::from_object(object)
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        of_text(pairs).unwrap_err().to_string()
    }

    #[test]
    fn text_and_json_say_the_same() {
        let options =
            of_text(&[("seed", "18446744073709551615"), ("latent", "[0.5, -1]"), ("model", "7")]).unwrap();
        assert_eq!(options.seed, Some(u64::MAX));
        assert_eq!(options.latent, Some(vec![0.5, -1.0]));
        assert_eq!(options.model.as_deref(), Some("7"));
        assert_eq!(options.count.get(), 1);
    }

    #[test]
    fn numbers_in_json_may_be_text_and_empty_fields_are_not_sent() {
        let mut object = Map::new();
        for (name, value) in [
            ("seed", Value::from("18446744073709551615")),
            ("latent", Value::from("[0.5, -1]")),
            ("count", Value::from(" 2 ")),
            ("model", Value::from("7")),
            ("deadline_ms", Value::from("")),
        ] {
            SynthesisOptions::add(&mut object, name, value, 8).unwrap();
        }
        let options = SynthesisOptions::from_object(object).unwrap();
        assert_eq!(options.seed, Some(u64::MAX));
        assert_eq!(options.latent, Some(vec![0.5, -1.0]));
        assert_eq!((options.count.get(), options.model.as_deref()), (2, Some("7")));
        assert_eq!(options.deadline_ms, None);
        assert_eq!(of_text(&[("seed", ""), ("style_preset", " ")]).unwrap(), SynthesisOptions::default());
        assert!(refusal(&[("sede", "")]).contains("unknown option"));
    }

    #[test]
    fn every_option_is_told_what_it_must_be() {
        let fields = serde_json::to_value(SynthesisOptions::default()).unwrap();
        let fields: Vec<&String> = fields.as_object().unwrap().keys().collect();
        let mut names = OPTIONS.map(|(name, _)| name);
        names.sort_unstable();
        assert_eq!(fields, names);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pair, part) in [
            (
                ("seed", "-1"),
                "option `seed` is `-1`; it must be a whole number from 0 to 18446744073709551615",
            ),
            (("seed", "1.5"), "option `seed` is `1.5`"),
            (("count", "0"), "option `count` is `0`; it must be a whole number from 1 to 8"),
            (("count", "9"), "from 1 to 8"),
            (("latent", "[0, \"x\"]"), "option `latent` is `[0,\"x\"]`; it must be an array of numbers"),
            (("sede", "1"), "unknown option `sede`; the options are `model`, `seed`"),
            (
                ("resize", "bilinear"),
                "option `resize` is `bilinear`; it must be `auto`, `reject` or `nearest`",
            ),
        ] {
            let said = refusal(&[pair]);
            assert!(said.contains(part), "{said}");
        }
        assert!(refusal(&[("seed", "1"), ("seed", "2")]).contains("given twice"));
    }
}
