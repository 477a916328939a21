//! The bodies of `POST /synthesize` as they are documented, and the JSON answer.

use bytes::Bytes;
use serde::Serialize;
use spadework_imaging::MaskReport;
use utoipa::{IntoParams, ToSchema};

use super::{accept::AnswerFormat, answer_body::Segment};
use crate::synthesis::{MaskFormat, OutputSize, Resize, SynthesisOptions};

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
pub struct MaskAnswer {
    /// What its pixels turned out to mean, such as `gray_ids` or `rgb_colors`.
    format: String,
    /// Pixels in a row of the file.
    width: usize,
    /// Rows of the file.
    height: usize,
    /// The classes in it, at the model's size.
    classes: Vec<ClassAnswer>,
    /// The same in words, on one line.
    description: String,
    /// Pixels of 255 that were read as unknown.
    unknown_255: u64,
    /// Transparent pixels, read as unknown.
    transparent: u64,
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

/// The options of a request in its query.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is there for its description; the pairs are read one by one")]
pub struct SynthesisQuery {
    /// The model's name; the server's default model without one.
    #[param(nullable = false)]
    model: Option<String>,
    /// Seed of the latent and the noise; a fresh one without it.
    #[param(nullable = false)]
    seed: Option<u64>,
    /// One of the model's named styles.
    #[param(nullable = false)]
    style_preset: Option<String>,
    /// 0 takes the encoder's mean for a style picture, 1 a sample of its posterior.
    #[param(nullable = false, minimum = 0, maximum = 1)]
    style_noise: Option<f32>,
    /// How many pictures to make from the mask.
    #[param(nullable = false, minimum = 1, maximum = 8)]
    count: Option<u8>,
    /// What the mask's pixels mean.
    #[param(nullable = false, inline)]
    mask_format: Option<MaskFormat>,
    /// What to do with a mask of another size than the model's.
    #[param(nullable = false, inline)]
    resize: Option<Resize>,
    /// The size of the picture.
    #[param(nullable = false, inline)]
    output_size: Option<OutputSize>,
    /// How long the answer may take, in milliseconds.
    #[param(nullable = false, minimum = 1)]
    deadline_ms: Option<u64>,
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

/// An encoded image of an answer.
pub struct MadeFile {
    /// The file.
    pub file: Bytes,
    /// Its seed.
    pub seed: u64,
    /// The latent it was made from, where the model has one.
    pub latent: Option<Vec<f32>>,
}

/// The JSON answer, [`SynthesisAnswer`], with the files left to be encoded as they are sent.
pub fn json(model: &str, files: Vec<MadeFile>, report: &MaskReport) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut plain = format!("{{\"model\":{},\"pictures\":[", text(&model));
    for (index, MadeFile { file, seed, latent }) in files.into_iter().enumerate() {
        let media_type = AnswerFormat::Png.media_type().to_owned();
        let answer = text(&PictureAnswer { seed, media_type, data: String::new(), latent });
        let (before, after) = answer.split_once("\"data\":\"").unwrap_or((&answer, ""));
        plain.push_str(if index > 0 { "," } else { "" });
        plain.push_str(&format!("{before}\"data\":\""));
        segments.extend([Segment::Plain(plain.into()), Segment::Base64(file)]);
        plain = after.to_owned();
    }
    plain.push_str(&format!("],\"mask\":{}}}", text(&mask_answer(report))));
    segments.push(Segment::Plain(plain.into()));
    segments
}

fn text(value: &impl Serialize) -> String {
    // Strings and finite numbers: there is nothing in it that JSON cannot say.
    serde_json::to_string(value).unwrap_or_default()
}

/// How a mask was read, as it is answered.
pub fn mask_answer(report: &MaskReport) -> MaskAnswer {
    let class = |class: &spadework_imaging::ClassPixels| ClassAnswer {
        id: class.id,
        name: class.name.clone(),
        pixels: class.pixels,
    };
    MaskAnswer {
        format: report.encoding.to_string(),
        width: report.original_size.width,
        height: report.original_size.height,
        classes: report.classes.iter().map(class).collect(),
        description: report.sentence(),
        unknown_255: report.unknown_255,
        transparent: report.transparent,
        unmatched_share: report.unmatched_share(),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use spadework_imaging::{Label, LabelSet, Limits, MaskOptions, decode_mask, encode_label_png};

    use super::*;

    #[test]
    fn what_is_sent_is_the_answer_as_it_is_documented() {
        let labels = spadework_imaging::LabelMap::new(2, 1, vec![0, 1], 2).unwrap();
        let label = |id, name: &str| Label { id, name: name.to_owned(), color: None };
        let set = LabelSet::new(2, false, vec![label(0, "sky"), label(1, "\"sea\"")]).unwrap();
        let png = encode_label_png(&labels).unwrap();
        let mask =
            decode_mask(&png, &set, labels.size(), MaskOptions::default(), &Limits::default()).unwrap();
        let latents = [Some(vec![0.5, -1.0]), None];
        let file = |(seed, latent): (u64, Option<Vec<f32>>)| MadeFile {
            file: Bytes::from(vec![seed as u8; 5]),
            seed,
            latent,
        };
        let files = || (7..).zip(latents.clone()).map(file);
        let sent: Vec<u8> = json("a \"data\":\" b", files().collect(), &mask.report)
            .into_iter()
            .flat_map(|segment| match segment {
                Segment::Plain(bytes) => bytes.to_vec(),
                Segment::Base64(bytes) => BASE64_STANDARD.encode(bytes).into_bytes(),
            })
            .collect();
        let picture = |MadeFile { file, seed, latent }: MadeFile| PictureAnswer {
            seed,
            media_type: "image/png".to_owned(),
            data: BASE64_STANDARD.encode(file),
            latent,
        };
        let documented = SynthesisAnswer {
            model: "a \"data\":\" b".to_owned(),
            pictures: files().map(picture).collect(),
            mask: mask_answer(&mask.report),
        };
        assert_eq!(String::from_utf8(sent).unwrap(), serde_json::to_string(&documented).unwrap());
    }
}
