//! The bodies of `POST /synthesize` as they are documented, and the JSON answer.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use spadework_imaging::MaskReport;
use utoipa::ToSchema;

use super::accept::Answer;
use crate::synthesis::SynthesisOptions;

/// Pictures and how the mask was read.
#[derive(Serialize, ToSchema)]
pub struct SynthesisAnswer {
    /// The model that made them.
    model: String,
    /// The pictures.
    pictures: Vec<PictureAnswer>,
    /// How the mask was read.
    mask: MaskAnswer,
}

/// One picture.
#[derive(Serialize, ToSchema)]
struct PictureAnswer {
    /// Send it to get the same picture again.
    seed: u64,
    /// `image/png`
    media_type: String,
    /// The file in base64.
    data: String,
    /// The latent it was made from, for a model that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    latent: Option<Vec<f32>>,
}

/// How a mask was read.
#[derive(Serialize, ToSchema)]
struct MaskAnswer {
    /// What its pixels turned out to mean, such as `gray_ids` or `rgb_colors`.
    format: String,
    /// Pixels in a row of the file.
    width: usize,
    /// Rows of the file.
    height: usize,
    /// The classes in it, at the model's size.
    classes: Vec<ClassAnswer>,
    /// Share of its pixels whose colour is no label's, 0 to 1.
    unmatched_share: f64,
}

/// A class and how much of the mask it covers.
#[derive(Serialize, ToSchema)]
struct ClassAnswer {
    /// The class id.
    id: u8,
    /// Its name.
    name: String,
    /// Its pixels.
    pixels: u64,
}

/// A request as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for its schema; the parts are read one by one")]
pub struct SynthesisForm {
    /// The label map, PNG: grey ids, indexed, or in the labels' colours.
    #[schema(value_type = String, format = Binary, content_media_type = "image/png")]
    mask: Vec<u8>,
    /// A picture whose style to take: PNG, JPEG or WebP.
    #[schema(value_type = String, format = Binary, nullable = false, required = false)]
    style: Option<Vec<u8>>,
    /// The instance map, PNG, for a model that uses one.
    #[schema(value_type = String, format = Binary, nullable = false, required = false)]
    instances: Option<Vec<u8>>,
    /// All options as one JSON object; each can also be a part of its own.
    #[schema(nullable = false, required = false)]
    options: Option<SynthesisOptions>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: SynthesisOptions,
}

/// A request as JSON: the files in base64 beside the options.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for its schema; the body is read as an object")]
pub struct SynthesisJson {
    /// The label map, PNG, in base64.
    #[schema(value_type = String, content_encoding = "base64")]
    mask: String,
    /// A picture whose style to take, in base64.
    #[schema(nullable = false, required = false)]
    style: Option<String>,
    /// The instance map, PNG, in base64.
    #[schema(nullable = false, required = false)]
    instances: Option<String>,
    #[schema(inline)]
    #[serde(flatten)]
    options: SynthesisOptions,
}

/// The JSON answer: `files` are the encoded pictures, each with its seed and latent.
pub fn json(model: String, files: Vec<(Vec<u8>, u64, Option<Vec<f32>>)>, report: &MaskReport) -> Vec<u8> {
    let picture = |(file, seed, latent): (Vec<u8>, u64, Option<Vec<f32>>)| PictureAnswer {
        seed,
        media_type: Answer::Png.media_type().to_owned(),
        data: BASE64_STANDARD.encode(file),
        latent,
    };
    let class = |class: &spadework_imaging::ClassPixels| ClassAnswer {
        id: class.id,
        name: class.name.clone(),
        pixels: class.pixels,
    };
    let mask = MaskAnswer {
        format: report.encoding.to_string(),
        width: report.original_size.width,
        height: report.original_size.height,
        classes: report.classes.iter().map(class).collect(),
        unmatched_share: report.unmatched_share(),
    };
    let pictures = files.into_iter().map(picture).collect();
    // Strings and finite numbers: there is nothing in it that JSON cannot say.
    serde_json::to_vec(&SynthesisAnswer { model, pictures, mask }).unwrap_or_default()
}
