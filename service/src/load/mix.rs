//! What is sent: masks of each model at its size and at others, with and without its named styles and a style picture.

use axum::body::Bytes;
use serde::Deserialize;
use spadework_imaging::{RgbImage, Size, encode_label_png, encode_png};

use super::Client;
use crate::{outcome::Mistake, synthesis::sample_mask};

/// Between the parts of a form; no PNG holds it, since a NUL follows its length bytes soon enough.
const BOUNDARY: &str = "spadework-bench-7MA4YWxkTrZu0gW";
const FORM: &str = "multipart/form-data; boundary=spadework-bench-7MA4YWxkTrZu0gW";

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its options.
    pub query: String,
    /// The type of its body.
    pub content_type: &'static str,
    /// Its body.
    pub body: Bytes,
}

/// Calls that take turns. The same one never comes with the same seed again.
pub struct Mix {
    templates: Vec<Template>,
    deadline_ms: Option<u128>,
    names: Vec<String>,
}

/// A call without its seed and deadline.
struct Template {
    options: Vec<(&'static str, String)>,
    content_type: &'static str,
    body: Bytes,
}

/// What `GET /models` tells, as far as it matters here.
#[derive(Deserialize)]
struct Models {
    models: Vec<Model>,
}

#[derive(Clone, Deserialize)]
struct Model {
    name: String,
    width: usize,
    height: usize,
    label_count: usize,
    accepts_style: bool,
    styles: Vec<String>,
}

impl Mix {
    /// Calls for the model called `only`, or for each that the server has, `masks` different masks of each.
    ///
    /// # Errors
    /// When the server does not answer or has no such model.
    pub async fn ask(
        client: &Client,
        only: Option<&str>,
        masks: usize,
        deadline: Option<std::time::Duration>,
    ) -> anyhow::Result<Self> {
        let Models { mut models } = client.json("/models").await?;
        models.retain(|model| only.is_none_or(|only| model.name == only));
        if models.is_empty() {
            let wanted = only.unwrap_or("any");
            return Err(Mistake::error(format!("the server has no model `{wanted}`; leave --model out")));
        }
        let mut templates = Vec::with_capacity(masks * models.len());
        for place in 0..masks {
            for model in &models {
                templates.push(model.template(place)?);
            }
        }
        let names = models.into_iter().map(|model| model.name).collect();
        Ok(Self { templates, deadline_ms: deadline.map(|deadline| deadline.as_millis()), names })
    }

    /// The models that are asked.
    pub fn models(&self) -> &[String] {
        &self.names
    }

    /// The `place`-th call.
    pub fn call(&self, place: usize) -> Call {
        let Template { options, content_type, body } = &self.templates[place % self.templates.len()];
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(options).append_pair("seed", &place.to_string());
        if let Some(deadline) = self.deadline_ms {
            query.append_pair("deadline_ms", &deadline.to_string());
        }
        Call { query: query.finish(), content_type, body: body.clone() }
    }
}

impl Model {
    /// Every fourth mask has another size than the model's, every fifth comes with a style picture, the others go
    /// through the named styles and none.
    fn template(&self, place: usize) -> anyhow::Result<Template> {
        let mut options = vec![("model", self.name.clone())];
        let mut size = Size::new(self.width, self.height);
        if place % 4 == 3 {
            size = Size::new(self.width * 3 / 2, self.height * 3 / 2);
            options.push(("resize", "nearest".to_owned()));
        }
        let mask = encode_label_png(&sample_mask(size, self.label_count, place as u64)?)?;
        if self.accepts_style && place % 5 == 4 {
            let style = encode_png(&gradient(place as u8)?)?;
            let body = form(&[("mask", &mask), ("style", &style)]).into();
            return Ok(Template { options, content_type: FORM, body });
        }
        if let Some(style) = self.styles.get(place % (self.styles.len() + 1)) {
            options.push(("style_preset", style.clone()));
        }
        Ok(Template { options, content_type: "image/png", body: mask.into() })
    }
}

/// A small picture to take a style from.
fn gradient(tint: u8) -> anyhow::Result<RgbImage> {
    let pixel = |i: usize| [(i % 64 * 4) as u8, (i / 64 * 4) as u8, tint.wrapping_mul(37)];
    Ok(RgbImage::new(64, 64, (0..64 * 64).flat_map(pixel).collect())?)
}

/// A multipart body of PNG files.
fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file) in files {
        let head = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{name}.png\"\r\n\
             content-type: image/png\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix() -> Mix {
        let model = Model {
            name: "a b".to_owned(),
            width: 32,
            height: 32,
            label_count: 3,
            accepts_style: true,
            styles: vec!["golden hour".to_owned()],
        };
        let templates = (0..20).map(|place| model.template(place).unwrap()).collect();
        Mix { templates, deadline_ms: Some(2000), names: vec![model.name] }
    }

    #[test]
    fn sizes_styles_and_seeds_vary() {
        let mix = mix();
        let calls: Vec<Call> = (0..20).map(|place| mix.call(place)).collect();
        let with = |text: &str| calls.iter().filter(|call| call.query.contains(text)).count();
        assert_eq!((with("model=a+b"), with("deadline_ms=2000")), (20, 20));
        assert_eq!(with("resize=nearest"), 5);
        assert_eq!(calls.iter().filter(|call| call.content_type == FORM).count(), 4);
        assert_eq!(with("style_preset=golden+hour"), 8);
        assert_ne!(mix.call(3).query, mix.call(23).query, "the seed is another");
        assert_eq!(mix.call(3).body, mix.call(23).body);
    }

    #[test]
    fn a_form_ends_as_it_should() {
        let text = String::from_utf8(form(&[("mask", b"x")])).unwrap();
        assert!(
            text.starts_with(&format!("--{BOUNDARY}\r\n")) && text.ends_with(&format!("--{BOUNDARY}--\r\n"))
        );
        assert!(FORM.ends_with(BOUNDARY));
    }
}
