//! What is wrong is refused with its status and a sentence that says what to change.

use png::{BitDepth, ColorType};
use reqwest::blocking::{RequestBuilder, Response, multipart::Part};
use serde_json::{Value, json};

use crate::{
    images::{landscape_ids, landscape_mask, png, style_picture, tiny_mask},
    server::{Server, form},
};

/// The status, and the detail of the problem.
fn refused(request: RequestBuilder) -> (u16, String) {
    let response = request.send().unwrap();
    let (status, problem) = problem(response);
    (status, problem["detail"].as_str().unwrap().to_owned())
}

fn problem(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: Value = response.json().unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"], id);
    assert!(problem["type"].as_str().unwrap().starts_with("urn:spadework:problem:"));
    assert!(!problem["title"].as_str().unwrap().is_empty());
    (status, problem)
}

#[test]
fn files_that_are_no_masks_are_refused() {
    let server = Server::shared();
    let good = landscape_mask(0);
    let mut huge = good.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]); // 30,000 x 30,000 in the header
    let crc = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    let mut strange = landscape_ids(0);
    strange[..256].fill(77);
    strange[256..300].fill(99);
    let strange = png(256, 256, ColorType::Grayscale, BitDepth::Eight, &strange);
    for (mask, status, part) in [
        (&b""[..], 400, "is empty"),
        (b"hello, this is text", 400, "not an image: it begins with the text `hello"),
        (&good[..good.len() / 2], 400, "ends before the image does"),
        (&huge, 413, "30000x30000"),
        (&strange, 422, "77 (256 pixels), 99 (44 pixels)"),
        (&png(64, 32, ColorType::Grayscale, BitDepth::Eight, &[0; 2048]), 422, "resize=nearest"),
        (&[0xff, 0xd8, 0xff, 0xe0], 415, "JPEG"),
    ] {
        let (given, said) = refused(server.form(mask, &[("model", "landscape")]));
        assert_eq!(given, status, "{said}");
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

/// As PNG has it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn masks_of_sixteen_bits_and_with_alpha_are_fine() {
    let server = Server::shared();
    let ids = landscape_ids(0);
    let plain = server.picture(&landscape_mask(0), &[("seed", "1"), ("model", "landscape")]);
    let wide: Vec<u8> = ids.iter().flat_map(|id| [0, *id]).collect();
    let rgba: Vec<u8> = ids.iter().flat_map(|id| [*id, *id, *id, 255]).collect();
    let wide = png(256, 256, ColorType::Grayscale, BitDepth::Sixteen, &wide);
    let rgba = png(256, 256, ColorType::Rgba, BitDepth::Eight, &rgba);
    for mask in [wide, rgba] {
        assert!(server.picture(&mask, &[("seed", "1"), ("model", "landscape")]) == plain);
    }
}

#[test]
fn options_that_cannot_be_used_are_named() {
    let server = Server::shared();
    for (options, status, part) in [
        (&[("sede", "1")][..], 422, "unknown option `sede`"),
        (&[("seed", "-1")], 422, "option `seed`"),
        (&[("count", "0")], 422, "from 1 to 8"),
        (&[("count", "9")], 422, "from 1 to 8"),
        (&[("latent", "[1, 2, 3]")], 422, "`latent` has 3 numbers and model `tiny` takes 4"),
        (&[("latent", "[1, 2, 3, 1e39]")], 422, "`latent`"),
        (&[("style_preset", "baroque")], 422, "has no style `baroque`"),
        (&[("style_noise", "2")], 422, "`style_noise`"),
        (&[("deadline_ms", "0")], 422, "`deadline_ms` is 0"),
        (&[("seed", "1"), ("seed", "2")], 422, "given twice"),
        (&[("options", "{")], 400, "no JSON object"),
        (&[("options", r#"{"seed": 1, "seed": 2}"#)], 422, "given twice"),
        (&[("latent", "[1e400]")], 422, "must be an array of numbers"),
        (&[("mask", "again")], 400, "sent twice"),
    ] {
        let options = [options, &[("model", "tiny")]].concat();
        let (given, said) = refused(server.form(&tiny_mask(0), &options));
        assert_eq!(given, status, "{said}");
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    let (status, said) = refused(server.form(&tiny_mask(0), &[("model", "venus")]));
    assert_eq!(status, 404);
    assert!(
        said.contains(
            "there is no model `venus`; there are `ade20k`, `cityscapes`, `coco`, `landscape`, `tiny`"
        ),
        "{said}"
    );
}

#[test]
fn requests_of_the_wrong_form_are_refused() {
    let server = Server::shared();
    let post = || server.post("/synthesize");
    let typed = |kind: &'static str| post().header("content-type", kind);
    for (request, status, part) in [
        (post(), 400, "the body is empty"),
        (typed("text/plain").body("hi"), 415, "`text/plain`"),
        (typed("application/json").body("{"), 400, "no JSON object"),
        (typed("application/json").body("{}"), 400, "there is no mask"),
        (post().json(&json!({ "mask": "%%%" })), 400, "`mask` is no file in base64"),
        (typed("application/json").body(r#"{"mask": "", "mask": ""}"#), 400, "sent twice"),
        (typed("application/json").body(r#"{"seed": 1, "seed": 2}"#), 422, "given twice"),
        (typed("image/png").header("content-encoding", "gzip").body("x"), 415, "Content-Encoding: gzip"),
        (typed("multipart/form-data").body("x"), 400, "boundary"),
        (typed("image/png").body(""), 400, "is empty"),
        (server.form(&tiny_mask(0), &[]).header("accept", "text/html"), 406, "image/png"),
        (server.form(&tiny_mask(0), &[("model", "tiny"), ("count", "2")]), 406, "application/json"),
        (server.client.get(format!("{}/synthesize", server.url)), 405, "Allow"),
        (server.client.get(format!("{}/no/such/path", server.url)), 404, "/docs"),
        (typed("image/png").body(vec![0; 26 << 20]), 413, "smaller"),
    ] {
        let (given, said) = refused(request);
        assert_eq!(given, status, "{said}");
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn what_was_sent_is_not_quoted_at_length() {
    let long = "x".repeat(100_000);
    let (status, said) = refused(Server::shared().form(&tiny_mask(0), &[("model", &long)]));
    assert_eq!(status, 404);
    assert!(said.len() < 1100, "{} bytes", said.len());
}

#[test]
fn a_picture_that_its_format_cannot_hold_is_refused_before_it_is_made() {
    let wide = png(20_000, 1, ColorType::Grayscale, BitDepth::Eight, &[0; 20_000]);
    let options = [("model", "tiny"), ("resize", "nearest"), ("output_size", "mask")];
    let (status, said) = refused(Server::shared().form(&wide, &options).header("accept", "image/webp"));
    assert_eq!(status, 422);
    assert!(
        said.contains("WebP holds at most 16384 pixels a side") && said.contains("ask for PNG"),
        "{said}"
    );
}

#[test]
fn a_style_that_cannot_be_used_is_refused() {
    let server = Server::shared();
    let style = |bytes: Vec<u8>, options: &[(&str, &str)]| {
        let form = form(&tiny_mask(0), &[options, &[("model", "tiny")]].concat());
        server.post("/synthesize").multipart(form.part("style", Part::bytes(bytes)))
    };
    let (status, said) = refused(style(b"GIF89a..".to_vec(), &[]));
    assert_eq!(status, 415, "{said}");
    let (status, said) = refused(style(style_picture(0), &[("latent", "[0, 0, 0, 0]")]));
    assert_eq!(status, 422);
    assert!(said.contains("exclude one another"), "{said}");
}

#[test]
fn a_style_for_a_model_without_an_encoder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("plain").display().to_string();
    let (weights, options) =
        (crate::server::checkpoint("hook_zip.pth"), crate::server::checkpoint("opt.txt"));
    crate::server::done(&["import", "--weights", &weights, "--options", &options, "--out", &out]);
    let server = Server::start(&["--models", &out]);
    let form = form(&tiny_mask(0), &[]).part("style", Part::bytes(style_picture(0)));
    let (status, said) = refused(server.post("/synthesize").multipart(form));
    assert_eq!(status, 422);
    assert!(said.contains("model `plain` has no style encoder"), "{said}");
}
