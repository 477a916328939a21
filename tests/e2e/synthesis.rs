//! A mask in, a picture out.

use serde_json::{Value, json};

use crate::{
    images::{decode, landscape_mask, style_picture, tiny_mask},
    server::{Server, form},
};

#[test]
fn a_mask_becomes_a_picture_with_its_labels_in_place() {
    let server = Server::shared();
    let response = server.form(&landscape_mask(0), &[("seed", "7"), ("model", "landscape")]).send().unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "image/png");
    assert_eq!((header("x-seed"), header("x-model")), ("7".to_owned(), "landscape".to_owned()));
    assert!(header("server-timing").contains("generate;dur="));
    assert!(header("x-batch-size").parse::<u32>().unwrap() >= 1);
    assert!(!header("x-request-id").is_empty());

    let (width, height, pixels) = decode(&response.bytes().unwrap());
    assert_eq!((width, height), (256, 256));
    let mean = |rows: std::ops::Range<usize>, channel: usize| {
        let row = |y: usize| (0..64).map(move |x| (y * 256 + x) * 3 + channel);
        let values: Vec<f64> = rows.flat_map(row).map(|i| f64::from(pixels[i])).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let (sky, grass) = (10..60, 180..240);
    assert!(mean(sky.clone(), 2) > mean(sky, 1), "the sky is bluish");
    assert!(mean(grass.clone(), 1) > mean(grass, 2), "the grass is greenish");
}

#[test]
fn the_same_request_in_every_form_makes_the_same_bytes() {
    let server = Server::shared();
    let mask = landscape_mask(3);
    let seed = [("seed", "11"), ("model", "landscape")];
    let form_fields = server.picture(&mask, &seed);
    let options = server.picture(&mask, &[("options", r#"{"seed": 11, "model": "landscape"}"#)]);
    let body = server.post("/synthesize?seed=11&model=landscape").header("content-type", "image/png");
    let body = body.body(mask.clone()).send().unwrap().bytes().unwrap();
    let digits = base64(&mask);
    let lines: Vec<&str> = digits
        .trim_end_matches('=')
        .as_bytes()
        .chunks(76)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    let json = json!({ "mask": lines.join("\n"), "seed": 11, "model": "landscape" });
    let json = server.post("/synthesize").json(&json).send().unwrap().bytes().unwrap();
    assert!(form_fields == options && form_fields == body && form_fields == json);
    assert!(form_fields != server.picture(&mask, &[("seed", "12"), ("model", "landscape")]));
}

#[test]
fn accept_chooses_the_form_of_the_answer() {
    let server = Server::shared();
    let ask = |accept: &str| {
        let request = server.form(&tiny_mask(0), &[("model", "tiny"), ("seed", "1")]);
        let response = request.header("accept", accept).send().unwrap();
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, response.bytes().unwrap())
    };
    assert!(ask("image/jpeg").1.starts_with(&[0xff, 0xd8]));
    assert_eq!(&ask("image/webp").1[8..12], b"WEBP");
    assert_eq!(ask("text/html, */*;q=0.1").0, "image/png");
    let (kind, answer) = ask("application/json");
    assert_eq!(kind, "application/json");
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["pictures"][0]["seed"], 1);
    assert_eq!(answer["mask"]["format"], "gray_ids");
    let pixels: u64 =
        answer["mask"]["classes"].as_array().unwrap().iter().map(|c| c["pixels"].as_u64().unwrap()).sum();
    assert_eq!(pixels, 32 * 32);
}

#[test]
fn several_pictures_have_the_seeds_that_follow_and_their_latents_make_them_again() {
    let server = Server::shared();
    let request = server.form(&tiny_mask(0), &[("model", "tiny"), ("seed", "41"), ("count", "3")]);
    let answer: Value = request.header("accept", "application/json").send().unwrap().json().unwrap();
    let pictures = answer["pictures"].as_array().unwrap();
    assert_eq!(
        pictures.iter().map(|picture| picture["seed"].as_u64().unwrap()).collect::<Vec<_>>(),
        [41, 42, 43]
    );
    let alone = server.picture(&tiny_mask(0), &[("model", "tiny"), ("seed", "42")]);
    assert_eq!(pictures[1]["data"], base64(&alone));
    let latent = pictures[1]["latent"].to_string();
    let from_latent = server.picture(&tiny_mask(0), &[("model", "tiny"), ("latent", &latent)]);
    assert_eq!(from_latent, alone);
}

#[test]
fn a_style_picture_changes_the_picture_and_its_noise_follows_the_seed() {
    let server = Server::shared();
    let ask = |tint: u8, options: &[(&str, &str)]| {
        let style = reqwest::blocking::multipart::Part::bytes(style_picture(tint));
        let form =
            form(&landscape_mask(0), &[options, &[("model", "landscape")]].concat()).part("style", style);
        let response = server.post("/synthesize").multipart(form).send().unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().unwrap());
        response.bytes().unwrap()
    };
    let mean = ask(0, &[("seed", "1")]);
    assert_eq!(mean, ask(0, &[("seed", "1"), ("style_noise", "0")]));
    assert_ne!(mean, ask(250, &[("seed", "1")]));
    assert_ne!(mean, ask(0, &[("seed", "1"), ("style_noise", "1")]));
    let preset = server
        .picture(&landscape_mask(0), &[("model", "landscape"), ("seed", "1"), ("style_preset", "dusk")]);
    assert_ne!(mean, preset);
}

#[test]
fn a_picture_can_have_the_mask_s_own_size() {
    let server = Server::shared();
    let large = crate::images::png(100, 50, png::ColorType::Grayscale, png::BitDepth::Eight, &[1; 5000]);
    let options = [("model", "tiny"), ("resize", "nearest"), ("output_size", "mask")];
    let (width, height, _) = decode(&server.picture(&large, &options));
    assert_eq!((width, height), (100, 50));
}

/// Base64 as the server writes it.
fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes)
}
