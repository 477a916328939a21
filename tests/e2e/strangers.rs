//! What strangers send: masks of every origin, forms as browsers and clients write them, and first commands. Each is read
//! right or refused with what to change, over HTTP and on the command line.

use std::{fs, io::Read as _, path::Path, process::Stdio};

use png::{BitDepth, ColorType};
use reqwest::blocking::{Response, multipart::Part};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    images::{indexed_png, landscape_mask, png, style_picture, tiny_mask},
    server::{Server, checkpoint, done, form, mistake, models, run, spadework},
};

/// Stripes of `values`, `width` pixels each row.
fn stripes<T: Copy>(values: &[T], width: usize, height: usize) -> Vec<T> {
    (0..width * height).map(|pixel| values[pixel % width * values.len() / width]).collect()
}

fn gray(width: usize, height: usize, ids: &[u8]) -> Vec<u8> {
    let samples = stripes(ids, width, height);
    png(width as u32, height as u32, ColorType::Grayscale, BitDepth::Eight, &samples)
}

fn rgb(width: usize, height: usize, colors: &[[u8; 3]]) -> Vec<u8> {
    let samples = stripes(colors, width, height).concat();
    png(width as u32, height as u32, ColorType::Rgb, BitDepth::Eight, &samples)
}

/// Ids and names of the classes that a mask was read as.
fn classes(mask: &[u8], model: &str, format: &str) -> Vec<u64> {
    let server = Server::shared();
    let request = server.form(mask, &[("model", model), ("seed", "1")]).header("accept", "application/json");
    let answer = request.send().unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().unwrap());
    assert_eq!(answer.headers()["x-mask-format"].to_str().unwrap().split(';').next(), Some(format));
    let answer: Value = answer.json().unwrap();
    assert_eq!(answer["mask"]["format"], format);
    answer["mask"]["classes"].as_array().unwrap().iter().map(|class| class["id"].as_u64().unwrap()).collect()
}

fn detail(response: Response, status: u16) -> String {
    let given = response.status();
    let problem: Value = response.json().unwrap();
    assert_eq!(given, status, "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

/// What the server refuses a mask with.
fn refusal(mask: &[u8], model: &str) -> String {
    detail(Server::shared().form(mask, &[("model", model)]).send().unwrap(), 422)
}

/// A folder with files in it, and their paths.
struct Files(TempDir);

impl Files {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.path().join(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn model(name: &str) -> String {
    models().join(name).display().to_string()
}

/// What the command line says of how it read a mask; it must make a picture.
fn said_of(mask: &[u8], model_name: &str) -> String {
    let files = Files::of(&[("mask.png", mask)]);
    let (mask, out) = (files.path("mask.png"), files.path("out.png"));
    let output =
        run(&["synthesize", "--model", &model(model_name), "--mask", &mask, "--seed", "1", "--out", &out]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(Path::new(&out).is_file());
    said
}

/// What the command line refuses a mask with.
fn refused_mask(mask: &[u8], model_name: &str) -> String {
    let files = Files::of(&[("mask.png", mask)]);
    let said = mistake(&[
        "synthesize",
        "--model",
        &model(model_name),
        "--mask",
        &files.path("mask.png"),
        "--out",
        &files.path("out.png"),
    ]);
    assert!(said.contains("mask.png"), "{said}");
    said
}

#[test]
fn a_grey_mask_that_an_optimiser_made_indexed_keeps_its_ids() {
    let ids = [7u8, 8, 11, 21, 23, 26];
    let palette = ids.map(|id| [id; 3]);
    let mask = indexed_png(512, 256, &palette, &stripes(&[0, 1, 2, 3, 4, 5], 512, 256));
    assert_eq!(classes(&mask, "cityscapes", "indexed_grays"), ids.map(u64::from));
    assert!(said_of(&mask, "cityscapes").contains("read as ids, the palette's grey values"));
    let ramp = [0u8, 50, 100].map(|gray| [gray; 3]);
    let ramp = indexed_png(256, 256, &ramp, &stripes(&[0, 1, 2], 256, 256));
    let said = refusal(&ramp, "coco");
    assert!(said.contains("palette indices 0, 1, 2") && said.contains("grey values 0, 50, 100"), "{said}");
    let said = refused_mask(&ramp, "coco");
    assert!(said.contains("--mask-format raw") && said.contains("--mask-format shown"), "{said}");
    assert!(!said.contains("mask_format"), "HTTP's words: {said}");
}

#[test]
fn palette_entries_of_one_colour_are_not_joined() {
    let black = indexed_png(256, 256, &[[0; 3]; 4], &stripes(&[0, 1, 2, 3], 256, 256));
    let said = refusal(&black, "coco");
    assert!(said.contains("entries 0 and 1") && said.contains("`mask_format=raw`"), "{said}");
    assert!(refused_mask(&black, "coco").contains("`--mask-format raw`"));
    let binary = gray(256, 256, &[0, 255]);
    let said = refusal(&binary, "coco");
    assert!(said.contains("one object") && said.contains("`person`"), "{said}");
    assert!(refused_mask(&binary, "coco").contains("`--mask-format ids`"));
}

#[test]
fn sixteen_bits_and_single_channels_are_read_as_what_they_are() {
    let wide: Vec<u8> = stripes(&[0u8, 4, 8, 13], 512, 256).iter().flat_map(|id| [*id; 2]).collect();
    let wide = png(512, 256, ColorType::Grayscale, BitDepth::Sixteen, &wide);
    assert_eq!(classes(&wide, "cityscapes", "wide_grays"), [0, 4, 8, 13]);
    assert!(said_of(&wide, "cityscapes").contains("8-bit mask saved at 16 bits"));
    let red: Vec<u8> = stripes(&[1u8, 2, 7, 11], 512, 256).iter().flat_map(|id| [*id, 0, 0, 255]).collect();
    let red = png(512, 256, ColorType::Rgba, BitDepth::Eight, &red);
    assert_eq!(classes(&red, "cityscapes", "red_ids"), [1, 2, 7, 11]);
    assert!(said_of(&red, "cityscapes").contains("red channel"));
}

#[test]
fn published_colours_are_read_and_other_palettes_are_named() {
    let forest = rgb(256, 256, &[[6, 230, 230], [4, 200, 3]]);
    assert_eq!(classes(&forest, "ade20k", "rgb_colors"), [3, 5]);
    let wall_and_road = rgb(256, 256, &[[120, 120, 120], [140, 140, 140]]);
    assert_eq!(classes(&wall_and_road, "ade20k", "rgb_colors"), [1, 7]);
    let town = rgb(256, 256, &[[6, 230, 230], [180, 120, 120], [4, 250, 7]]);
    assert_eq!(classes(&town, "ade20k", "rgb_colors"), [2, 3, 10]);
    assert!(said_of(&town, "ade20k").contains("read as label colours"));
    for model in ["coco", "landscape"] {
        let said = refusal(&forest, model);
        assert!(said.contains("ADE20K") && said.contains("--labels"), "{said}");
    }
    assert!(refused_mask(&forest, "coco").contains("ADE20K"));
}

#[test]
fn a_mask_of_the_model_s_aspect_ratio_is_sampled_and_any_other_refused() {
    let large = gray(1024, 512, &[7, 26]);
    assert_eq!(classes(&large, "cityscapes", "gray_ids"), [7, 26]);
    assert!(said_of(&large, "cityscapes").contains("sampled from 1024x512 to 512x256"));
    let square = gray(300, 300, &[7, 26]);
    let said = refusal(&square, "cityscapes");
    assert!(
        said.contains("300x300") && said.contains("512x256") && said.contains("`resize=nearest`"),
        "{said}"
    );
    assert!(refused_mask(&square, "cityscapes").contains("`--resize nearest`"));
    let server = Server::shared();
    let options = [("model", "cityscapes"), ("resize", "nearest")];
    assert_eq!(server.form(&square, &options).send().unwrap().status(), 200);
    let options = [("model", "cityscapes"), ("resize", "reject")];
    assert_eq!(server.form(&large, &options).send().unwrap().status(), 422);
}

#[test]
fn pictures_that_are_not_read_are_named() {
    let server = Server::shared();
    let heic = [&[0, 0, 0, 24][..], b"ftypmif1\0\0\0\0mif1heic", &[0; 64]].concat();
    let photo = spadework_imaging::RgbImage::new(64, 64, vec![90; 64 * 64 * 3]).unwrap();
    let photo = spadework_imaging::encode_jpeg(&photo, 90).unwrap();
    let mut arithmetic = photo.clone();
    let frame = arithmetic.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    arithmetic[frame + 1] = 0xc9;
    let thumbnail = [b"Exif\0\0".as_slice(), &photo].concat();
    let length = (thumbnail.len() as u16 + 2).to_be_bytes();
    let whole = [&photo[..2], &[0xff, 0xe1], &length, &thumbnail, &photo[2..]].concat();
    let cut = &whole[..whole.len() - 40];
    for (style, status, part) in [
        (&heic[..], 415, "its format is HEIC"),
        (b"\xff\x0a\xfa\x1f", 415, "its format is JPEG XL"),
        (&arithmetic, 415, "arithmetic coding"),
        (b"GIF89a\x01\0\x01\0", 415, "its format is GIF"),
        (cut, 400, "ends before the image does"),
    ] {
        let form = form(&landscape_mask(0), &[("model", "landscape")]);
        let form = form.part("style", Part::bytes(style.to_vec()).file_name("style"));
        let said = detail(server.post("/synthesize").multipart(form).send().unwrap(), status);
        assert!(said.contains(part), "`{part}` is not in: {said}");

        let files = Files::of(&[("mask.png", &landscape_mask(0)), ("photo.jpg", style)]);
        let (mask, photo, out) = (files.path("mask.png"), files.path("photo.jpg"), files.path("out.png"));
        let said = mistake(&["synthesize", "--mask", &mask, "--style", &photo, "--out", &out]);
        assert!(said.contains("photo.jpg") && !said.contains("mask.png"), "the style is at fault: {said}");
        assert_eq!(said.matches(part).count(), 1, "it is said once: {said}");
    }
}

#[test]
fn a_form_as_browsers_send_it_is_read() {
    let server = Server::shared();
    let body = |parts: &[(&str, &[u8])]| {
        let mut body = Vec::new();
        for (headers, bytes) in parts {
            body.extend(format!("--X\r\nContent-Disposition: form-data; {headers}\r\n\r\n").into_bytes());
            body.extend(*bytes);
            body.extend(b"\r\n");
        }
        body.extend(b"--X--\r\n");
        let post = server.post("/synthesize").header("content-type", "multipart/form-data; boundary=X");
        post.body(body).send().unwrap()
    };
    let mask = tiny_mask(0);
    let tiny = ("name=\"model\"", &b"tiny"[..]);
    let mask_part = ("name=\"mask\"; filename=\"mask.png\"\r\nContent-Type: image/png", &mask[..]);
    let expected = server.picture(&mask, &[("model", "tiny"), ("seed", "7")]);
    let base64 = base64_lines(&mask);
    let cases: [&[(&str, &[u8])]; 3] = [
        &[
            mask_part,
            ("name=\"style\"; filename=\"\"\r\nContent-Type: application/octet-stream", b""),
            ("name=\"instances\"; filename=\"\"", b""),
            ("name=\"style_preset\"", b""),
            ("name=\"count\"", b""),
            ("name=\"seed\"", b"7"),
            tiny,
        ],
        &[("Name=\"mask\"; filename=\"m.png\"", &mask), ("name*=UTF-8''seed", b"7"), tiny],
        &[
            ("name=\"mask\"; filename=\"m.png\"\r\nContent-Transfer-Encoding: base64", base64.as_bytes()),
            ("name=\"seed\"", b"7"),
            tiny,
        ],
    ];
    for parts in cases {
        let answer = body(parts);
        assert_eq!(answer.status(), 200, "{}", answer.text().unwrap());
        assert!(answer.bytes().unwrap() == expected);
    }
    assert!(detail(body(&[("name=\"mask\"; filename=\"\"", b"")]), 400).contains("there is no mask"));
    assert!(detail(body(&[("name=\"mask\"; filename=\"a.png\"", b"")]), 400).contains("is empty"));
    for name in ["file", "image", "mask[]", "Mask"] {
        let said = detail(body(&[(&format!("name=\"{name}\"; filename=\"m.png\""), &mask)]), 422);
        assert!(said.contains("`mask`, `style` and `instances`") && said.contains(name), "{said}");
    }
    let printable = "name=\"mask\"\r\nContent-Transfer-Encoding: quoted-printable";
    assert!(detail(body(&[(printable, &mask)]), 415).contains("quoted-printable"));
}

fn base64_lines(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let digits = base64::prelude::BASE64_STANDARD.encode(bytes);
    digits
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect::<Vec<_>>()
        .join("\r\n")
}

#[test]
fn json_takes_numbers_as_text_and_names_what_it_reads() {
    let server = Server::shared();
    let mask = base64_lines(&tiny_mask(0));
    let post = |json: &Value| server.post("/synthesize").json(json).send().unwrap();
    let number = post(&json!({ "mask": mask, "model": "tiny", "seed": 7 })).bytes().unwrap();
    for seed in [json!("7"), json!(" 7 "), json!(7.0)] {
        let options = json!({ "mask": mask, "model": "tiny", "seed": seed, "style": "", "count": "" });
        assert!(post(&options).bytes().unwrap() == number);
    }
    assert!(detail(post(&json!({ "mask": mask, "seed": "seven" })), 422).contains("`seed` is `seven`"));
    let said = detail(post(&json!({ "image": mask })), 422);
    assert!(said.contains("`image`"), "{said}");
    let gzip = server.post("/synthesize").header("content-encoding", "gzip");
    let answer = gzip.header("content-type", "image/png").body("x").send().unwrap();
    assert_eq!(answer.headers()["accept-encoding"], "identity");
    assert!(detail(answer, 415).contains("gzip"));
}

#[test]
fn a_folder_of_masks_is_what_people_have_on_their_disks() {
    let mask = tiny_mask(0);
    let files = Files::of(&[("masks/a.png", &mask), ("masks/._a.png", b"Mac"), ("masks/.DS_Store", b"x")]);
    let (tiny, masks) = (model("tiny"), files.path("masks"));
    let make = |out: &str| {
        ["synthesize", "--model", &tiny, "--mask", &masks, "--seed", "1", "--out", out]
            .map(str::to_owned)
            .to_vec()
    };
    let command = make(&files.path("out"));
    done(&command.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(files.names("out"), ["a.png"]);
    for out in ["numbers.safetensors", "pictures.jpg", "pictures.gif"] {
        let command = make(&files.path(out));
        let said = mistake(&command.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(said.contains(out) && said.contains("give a folder"), "{said}");
        assert!(!Path::new(&files.path(out)).exists());
    }
}

#[test]
fn a_cityscapes_folder_gives_one_picture_a_label_map() {
    let labels = gray(512, 256, &[7, 24, 26]);
    let instances: Vec<u8> = stripes(&[7u16, 24_000, 24_001, 26_000, 26_001, 26_002], 512, 256)
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect();
    let instances = png(512, 256, ColorType::Grayscale, BitDepth::Sixteen, &instances);
    let frame = "city/frankfurt_000000_000294_gtFine";
    let names = ["_labelIds.png", "_instanceIds.png", "_color.png", "_polygons.json"];
    let names = names.map(|kind| format!("{frame}{kind}"));
    let color = rgb(512, 256, &[[128, 64, 128], [0, 0, 142]]);
    let files = Files::of(&[
        (&names[0], &labels),
        (&names[1], &instances),
        (&names[2], &color),
        (&names[3], b"{}"),
        ("plain/a.png", &labels),
    ]);
    let cityscapes = model("cityscapes");
    let make = |masks: &str, out: &str| {
        let (masks, out) = (files.path(masks), files.path(out));
        done(&["synthesize", "--model", &cityscapes, "--mask", &masks, "--seed", "1", "--out", &out]);
    };
    make("city", "out");
    assert_eq!(files.names("out"), ["frankfurt_000000_000294_gtFine_labelIds.png"]);
    make("plain", "plain-out");
    let with = fs::read(files.path("out/frankfurt_000000_000294_gtFine_labelIds.png")).unwrap();
    let without = fs::read(files.path("plain-out/a.png")).unwrap();
    assert!(with != without, "the instances' edges are seen");
    let (frame, out) = (files.path(&names[0]), files.path("plain-out/one.png"));
    let single = run(&["synthesize", "--model", &cityscapes, "--mask", &frame, "--seed", "1", "--out", &out]);
    let said = String::from_utf8(single.stderr).unwrap();
    assert!(said.contains("with its *_instanceIds.png"), "{said}");
    let root = Path::new(&frame).ancestors().nth(2).unwrap().display().to_string();
    let said = mistake(&["synthesize", "--model", &cityscapes, "--mask", &root, "--out", &files.path("o")]);
    assert!(said.contains("give one of them"), "{said}");
}

#[test]
fn names_that_are_wrong_are_answered_with_those_there_are() {
    let files =
        Files::of(&[("mask.png", &tiny_mask(0)), ("weights.pth", b"PK"), ("style.png", &style_picture(1))]);
    let (mask, out, folder) = (files.path("mask.png"), files.path("out.png"), models().display().to_string());
    let make = |args: &[&str]| mistake(&[&["synthesize", "--mask", &mask, "--out", &out], args].concat());
    let said = make(&["--models", &folder, "--model", "venus"]);
    assert!(said.contains("`venus`") && said.contains("`tiny`") && said.contains("`landscape`"), "{said}");
    let said = make(&["--model", &folder]);
    assert!(said.contains("folder of models") && said.contains("tiny"), "{said}");
    assert!(make(&["--model", "/no/such/model"]).contains("/no/such/model does not exist"));
    assert!(make(&["--models", "/no/such/folder"]).contains("/no/such/folder does not exist"));
    let said = make(&["--models", &files.path("weights.pth")]);
    assert!(said.contains("weights.pth is a checkpoint") && said.contains("import --weights"), "{said}");
    let said = make(&["--style", &files.path("style.png"), "--style-preset", "dusk"]);
    assert!(said.contains("--style-preset") && !said.contains("style_preset"), "{said}");
    assert!(make(&["--style", "/no/such/style.png"]).contains("/no/such/style.png does not exist"));
    let missing = ["synthesize", "--mask", "/no/such/mask.png", "--out", &out];
    assert!(mistake(&missing).contains("/no/such/mask.png does not exist"));
}

#[test]
fn checkpoints_of_every_origin_are_found_or_named() {
    let files = Files::of(&[
        ("page.pth", b"<!DOCTYPE html>\n<html></html>"),
        ("archive.tar.gz", b"\x1f\x8b\x08\0\0\0\0\0"),
        ("opt.json", br#"{"label_nc": 3, "no_instance": true}"#),
    ]);
    let whole = fs::read(checkpoint("hook_zip.pth")).unwrap();
    fs::write(files.path("cut.pth"), &whole[..whole.len() / 2]).unwrap();
    let legacy = fs::read(checkpoint("hook_legacy.pth")).unwrap();
    fs::write(files.path("cut_legacy.pth"), &legacy[..legacy.len() / 2]).unwrap();
    let options = fs::read_to_string(checkpoint("opt.txt")).unwrap();
    let utf16: Vec<u8> =
        "\u{feff}".encode_utf16().chain(options.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    fs::write(files.path("opt16.txt"), utf16).unwrap();
    let refused = |weights: &str, options: &str| {
        mistake(&["import", "--weights", weights, "--options", options, "--out", &files.path("model")])
    };
    let opt = checkpoint("opt.txt");
    for (file, part) in [
        ("page.pth", "begins with `<!DOCTYPE html`"),
        ("archive.tar.gz", "unpack it first"),
        ("cut.pth", "cut off"),
        ("cut_legacy.pth", "cut off"),
    ] {
        let said = refused(&files.path(file), &opt);
        assert!(said.contains(file) && said.contains(part), "{said}");
        assert!(mistake(&["inspect", &files.path(file)]).contains(part));
    }
    let said = refused(&checkpoint("hook_zip.pth"), &files.path("opt.json"));
    assert!(said.contains("label_nc: 182") && said.contains("JSON"), "{said}");
    let folder = Path::new(&opt).parent().unwrap().display().to_string();
    assert!(refused(&folder, &opt).contains("is a folder; give"));
    assert!(refused(&model("tiny"), &opt).contains("is a model directory already"));
    assert!(refused("/no/such.pth", &opt).contains("/no/such.pth does not exist"));
    assert!(mistake(&["inspect", "/no/such.pth"]).contains("/no/such.pth does not exist"));
    let import = |args: &[&str]| {
        let out = files.path(&format!("model-{}", args.len()));
        done(&[&["import", "--weights", &checkpoint("hook_zip.pth"), "--out", &out], args].concat())
    };
    let said = import(&["--options", &files.path("opt16.txt")]);
    assert!(!said.contains("assumed"), "UTF-16 is read: {said}");
    let said = import(&[]);
    assert!(said.contains("assumed 3 labels and instance edges") && said.contains("--options"), "{said}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_inspect_quietly() {
    let tiny = model("tiny");
    let mut child = spadework(&["inspect", "--json", &tiny])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn numbers_that_would_overflow_are_refused_as_they_are_read() {
    for flag in [
        "--codec-threads=100000000",
        "--threads=100000000",
        "--max-mib=18446744073709551615",
        "--queue-mib=18446744073709551615",
        "--table-cache-mib=18446744073709551615",
        "--max-megapixels=18446744073709551615",
        "--max-batch=18446744073709551615",
        "--deadline=9999999999years",
        "--listen=nowhere:at:all",
    ] {
        let name = flag.split('=').next().unwrap();
        assert!(mistake(&["serve", flag]).contains(name), "{flag}");
    }
}

#[test]
fn the_usual_variable_for_logs_is_read_beside_the_flag() {
    let serve = |args: &[&str]| {
        let output =
            spadework(&[&["serve"], args].concat()).env("RUST_LOG", "spadework=loud").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(serve(&[]).contains("RUST_LOG `spadework=loud`"));
    assert!(!serve(&["--log", "info", "--max-batch", "0"]).contains("RUST_LOG"), "the flag comes first");
}

#[test]
fn a_mask_can_be_read_without_a_picture() {
    let server = Server::shared();
    let mask = indexed_png(256, 256, &[[9; 3], [4; 3]], &stripes(&[0, 1], 256, 256));
    let ask = |accept: &str| {
        let request = server.post("/mask?model=landscape").header("content-type", "image/png");
        request.header("accept", accept.to_owned()).body(mask.clone()).send().unwrap()
    };
    let ids = ask("image/png");
    assert_eq!(ids.headers()["x-mask-format"], "indexed_grays");
    let ids = ids.bytes().unwrap().to_vec();
    assert_eq!(classes(&ids, "landscape", "gray_ids"), [4, 9]);
    let report: Value = ask("application/json").json().unwrap();
    assert_eq!(report["format"], "indexed_grays");
    assert_eq!(report["classes"][0]["id"], 4);
    assert_eq!(ask("image/webp").status(), 406);
}
