//! The command line on files.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{
    images::{decode, landscape_mask, style_picture, tiny_mask},
    server::{Server, checkpoint, done, import_tiny, mistake, spadework},
};

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn synthesize_makes_the_server_s_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (mask, style, out) =
        (folder.path().join("mask.png"), folder.path().join("style.png"), folder.path().join("out.png"));
    fs::write(&mask, landscape_mask(5)).unwrap();
    fs::write(&style, style_picture(9)).unwrap();
    done(&[
        "synthesize",
        "--mask",
        &text(&mask),
        "--style",
        &text(&style),
        "--seed",
        "3",
        "--out",
        &text(&out),
    ]);
    let server = Server::shared();
    let form = crate::server::form(&landscape_mask(5), &[("seed", "3"), ("model", "landscape")]);
    let form = form.part("style", reqwest::blocking::multipart::Part::bytes(style_picture(9)));
    let served = server.post("/synthesize").multipart(form).send().unwrap().bytes().unwrap();
    assert!(fs::read(&out).unwrap() == served);
}

#[test]
fn a_folder_is_made_whole_but_for_what_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let (model, masks, out) =
        (folder.path().join("tiny"), folder.path().join("masks"), folder.path().join("out"));
    import_tiny(&model);
    fs::create_dir(&masks).unwrap();
    for i in 0..6 {
        fs::write(masks.join(format!("{i}.png")), tiny_mask(i)).unwrap();
    }
    fs::write(masks.join("broken.png"), &tiny_mask(0)[..40]).unwrap();
    let (model, masks, pictures) = (text(&model), text(&masks), text(&out));
    let said =
        mistake(&["synthesize", "--model", &model, "--mask", &masks, "--seed", "1", "--out", &pictures]);
    assert!(said.contains("broken.png") && said.contains("1 of 7"), "{said}");
    for i in 0..6 {
        assert_eq!(decode(&fs::read(out.join(format!("{i}.png"))).unwrap()).0, 32);
    }
}

#[test]
fn what_cannot_be_written_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let masks = folder.path().join("masks");
    fs::create_dir(&masks).unwrap();
    let mask = masks.join("0.png");
    fs::write(&mask, landscape_mask(0)).unwrap();
    let make = |mask: &Path, out: &Path| mistake(&["synthesize", "--mask", &text(mask), "--out", &text(out)]);
    assert!(make(&mask, &folder.path().join("no/such/folder.png")).contains("cannot be written"));
    assert!(make(&masks, &masks).contains("would be overwritten"));
    assert_eq!(fs::read(&mask).unwrap(), landscape_mask(0));
    assert!(make(&masks, &mask).contains("give a folder"), "a file is no folder");
    assert_eq!(fs::read_dir(&masks).unwrap().count(), 1, "nothing half-written is left");
}

#[test]
fn the_network_s_own_numbers_can_be_had_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let (model, mask) = (folder.path().join("tiny"), folder.path().join("mask.png"));
    import_tiny(&model);
    fs::write(&mask, tiny_mask(0)).unwrap();
    let (first, again) = (folder.path().join("first.safetensors"), folder.path().join("again.safetensors"));
    let (model, mask) = (text(&model), text(&mask));
    done(&["synthesize", "--model", &model, "--mask", &mask, "--seed", "5", "--out", &text(&first)]);
    done(&[
        "synthesize",
        "--model",
        &model,
        "--mask",
        &mask,
        "--latent",
        &text(&first),
        "--out",
        &text(&again),
    ]);
    assert_eq!(fs::read(&first).unwrap(), fs::read(&again).unwrap());
    let inspected = done(&["inspect", "--json", &text(&first)]);
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected[0]["shape"], serde_json::json!([1, 3, 32, 32]));
}

#[test]
fn inspect_tells_what_is_in_a_directory_and_in_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("tiny");
    import_tiny(&model);
    let said = done(&["inspect", &text(&model)]);
    for part in ["digest", "32x32", "3 labels", "latent      4 numbers", "encoder"] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert!(done(&["inspect", &checkpoint("hook_legacy.pth")]).contains("head_0.conv_0.weight_orig"));
    assert!(mistake(&["inspect", "/no/such/file.pth"]).contains("/no/such/file.pth"));
    assert!(done(&["inspect", "--devices"]).starts_with("cpu: "));
}

#[test]
fn a_pickle_that_would_run_a_command_is_refused_and_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for name in
        ["malicious_zip.pth", "malicious_legacy.pth", "malicious_state_zip.pth", "malicious_plain.pth"]
    {
        let output =
            crate::server::spadework(&["import", "--weights", &checkpoint(name), "--out", &text(&out)])
                .current_dir(folder.path())
                .output()
                .unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{name} left something behind");
    }
}

#[test]
fn a_killed_import_leaves_nothing_once_there_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let (first, next) = (folder.path().join("first"), folder.path().join("next"));
    // The system kills it, with no time to clean up, at the kilobyte of the generator that is over the limit.
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -c 0; ulimit -f 64; exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_spadework"),
            "import",
        ])
        .args(["--weights", &checkpoint("hook_zip.pth"), "--options", &checkpoint("opt.txt")])
        .args(["--encoder", &checkpoint("encoder_zip.pth"), "--out", &text(&first)])
        .output()
        .unwrap();
    assert!(output.status.code().is_none(), "{output:?}");
    let names = || -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let left = names();
    assert!(left.len() == 1 && left[0].starts_with(".spadework-partial-"), "{left:?}");
    import_tiny(&next);
    assert_eq!(names(), ["next"]);
}

#[test]
fn what_is_wrong_with_a_model_directory_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (model, mask) = (folder.path().join("tiny"), folder.path().join("mask.png"));
    import_tiny(&model);
    fs::write(&mask, tiny_mask(0)).unwrap();
    let (name, mask, out) = (text(&model), text(&mask), text(&folder.path().join("out.png")));
    let use_it = || mistake(&["synthesize", "--model", &name, "--mask", &mask, "--out", &out]);

    let config = fs::read_to_string(model.join("config.json")).unwrap();
    fs::write(model.join("config.json"), config.replacen("\"version\": 1", "\"version\": 9", 1)).unwrap();
    assert!(use_it().contains("has version 9 and this release reads up to 1; update Spadework"));
    fs::write(model.join("config.json"), &config).unwrap();

    let weights = fs::read(model.join("generator.safetensors")).unwrap();
    fs::write(model.join("generator.safetensors"), &weights[..weights.len() / 2]).unwrap();
    assert!(use_it().contains("not a whole safetensors file"));
    fs::write(model.join("generator.safetensors"), &weights).unwrap();

    fs::write(model.join("config.json"), config.replacen("\"hidden\": 2", "\"hidden\": 3", 1)).unwrap();
    let said = use_it();
    assert!(said.contains("mlp_shared") && said.contains("[3, ") && said.contains("[2, "), "{said}");

    let missing = mistake(&["synthesize", "--model", "venus", "--mask", &mask, "--out", &out]);
    assert!(missing.contains("there is no model `venus`"), "{missing}");
    fs::write(model.join("config.json"), &config).unwrap();
    assert!(mistake(&["synthesize", "--model", &name, "--mask", &mask, "--out", "x.gif"]).contains(".png"));
}

#[test]
fn bench_measures_every_batch_size_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("tiny");
    import_tiny(&model);
    let report = done(&["bench", "--model", &text(&model), "--batch", "1,3", "--repeat", "2", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["batch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3]);
    assert!(rows.iter().all(|row| row["median_ms"].as_f64().unwrap() > 0.0));
}

#[test]
fn bench_puts_a_running_server_under_load() {
    let server = Server::shared();
    let load = |more: &[&str]| -> Value {
        let plain = ["bench", "--url", &server.url, "--masks", "20", "--json"];
        serde_json::from_str(&done(&[&plain, more].concat())).unwrap()
    };
    let open = load(&["--model", "tiny", "--rate", "40,20", "--duration", "1s"]);
    let loads = open["loads"].as_array().unwrap();
    assert_eq!(loads.len(), 2);
    for load in loads {
        assert_eq!(load["statuses"]["200"], load["requests"], "{load}");
        assert!(load["picture_ms"]["p99"].as_f64().unwrap() > 0.0);
    }
    let closed = load(&["--clients", "2", "--requests", "6", "--duration", "1m", "--deadline", "30s"]);
    assert_eq!(closed["models"], serde_json::json!(["ade20k", "cityscapes", "coco", "landscape", "tiny"]));
    assert_eq!(closed["loads"][0]["statuses"]["200"], 6, "{closed}");
    assert!(closed["capacity_per_second"].as_f64().unwrap() > 0.0);

    let nobody = spadework(&["bench", "--url", "http://127.0.0.1:9", "--rate", "1"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(mistake(&["bench", "--url", &server.url, "--model", "nosuch"]).contains("no model `nosuch`"));
    assert!(mistake(&["bench", "--rate", "5"]).contains("--url"));
}

#[test]
fn packages_get_completions_and_manual_pages() {
    assert!(done(&["completions", "bash"]).contains("--max-megapixels"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man");
    done(&["man", "--out", out.to_str().unwrap()]);
    let page = std::fs::read_to_string(out.join("spadework-serve.1")).unwrap();
    assert!(page.contains("megapixels") && out.join("spadework.1").is_file());
}
