//! What an operator does: probes, keys, reloads, stops, and what a stranger finds in a browser.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{
    images::{landscape_mask, tiny_mask},
    server::{Server, done, import_next, import_tiny, mistake, run, spadework},
};

#[test]
fn probes_tell_the_truth() {
    let server = Server::start_unready(&[]);
    assert_eq!(server.get("/livez").status(), 200);
    let first = server.get("/readyz");
    if first.status() == 503 {
        assert!(first.headers().contains_key("retry-after"));
        let early = server.form(&landscape_mask(0), &[]).send().unwrap().status();
        assert!(early == 503 || early == 200, "{early}");
    }
    let ready = format!("{}/readyz", server.url);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !spadework(&["health", "--url", &ready]).output().unwrap().status.success() {
        assert!(std::time::Instant::now() < deadline, "never ready");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(server.metric("spadework_ready"), 1.0);
    assert_eq!(run(&["health", "--url", "http://127.0.0.1:1/readyz"]).status.code(), Some(1));
}

#[test]
fn models_describe_themselves() {
    let server = Server::shared();
    let list = server.json("/models");
    let names: Vec<&str> =
        list["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ade20k", "cityscapes", "coco", "landscape", "tiny"]);
    let landscape = server.json("/models/landscape");
    assert_eq!(landscape["labels"][0], serde_json::json!({ "id": 0, "name": "sky", "color": "#5fdbff" }));
    assert_eq!((&landscape["width"], &landscape["accepts_style"]), (&256.into(), &true.into()));
    assert_eq!(server.get("/models/venus").status(), 404);
}

#[test]
fn the_description_that_is_served_is_the_committed_one() {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/openapi.json");
    let committed: Value = serde_json::from_str(&fs::read_to_string(committed).unwrap()).unwrap();
    assert_eq!(Server::shared().json("/openapi.json"), committed);
    assert_eq!(serde_json::from_str::<Value>(&done(&["openapi"])).unwrap(), committed);
}

#[test]
fn the_pages_are_whole_and_need_nothing_from_outside() {
    let server = Server::shared();
    for page in ["/", "/docs"] {
        let answer = server.get(page);
        assert_eq!(answer.status(), 200);
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(
            answer.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'")
        );
        let text = answer.text().unwrap();
        assert!(!text.contains("https://"), "{page} points outside");
        let files = text.split("=\"/studio/").skip(1).filter_map(|rest| rest.split(['"', '#']).next());
        for file in files {
            assert_eq!(server.get(&format!("/studio/{file}")).status(), 200, "{file} of {page}");
        }
    }
    // Swagger UI's files are named relative to its page.
    let docs = server.get("/docs").text().unwrap();
    let files: Vec<&str> = docs.split("=\"./").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(files.contains(&"swagger-ui-bundle.js"), "{docs}");
    for file in files {
        assert_eq!(server.get(&format!("/docs/{file}")).status(), 200, "{file}");
    }
    let initializer = server.get("/docs/swagger-initializer.js").text().unwrap();
    assert!(initializer.contains("/openapi.json"), "{initializer}");
    let script = server.get("/studio/main.js");
    assert_eq!(script.headers()["content-type"], "text/javascript");
    let known = server.client.get(format!("{}/studio/main.js", server.url));
    let known = known.header("if-none-match", script.headers()["etag"].clone()).send().unwrap();
    assert_eq!(known.status(), 304);
    assert_eq!(server.get("/studio/../Cargo.toml").status(), 404);
}

#[test]
fn keys_are_asked_for_and_read_again_on_a_signal_or_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::write(&keys, "first:0123456789abcdef").unwrap();
    let server = Server::start(&["--keys-file", keys.to_str().unwrap(), "--rate-limit", "2"]);
    let ask = |key: &str| {
        let request = server
            .client
            .get(format!("{}/models", server.url))
            .header("authorization", format!("Bearer {key}"));
        request.send().unwrap().status().as_u16()
    };
    let without = server.get("/models");
    assert_eq!(
        (without.status().as_u16(), &without.headers()["www-authenticate"]),
        (401, &"Bearer".parse().unwrap())
    );
    assert_eq!(ask("0123456789abcdef"), 200);
    assert_eq!(ask("wrong"), 401);
    assert_eq!(server.get("/readyz").status(), 200, "probes need no key");
    let statuses: Vec<u16> = (0..4).map(|_| ask("0123456789abcdef")).collect();
    assert!(statuses.contains(&429), "{statuses:?}");

    fs::write(&keys, "second:fedcba9876543210").unwrap();
    server.signal("HUP");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while ask("fedcba9876543210") == 401 {
        assert!(std::time::Instant::now() < deadline, "{}", server.log());
    }
    assert_eq!(ask("0123456789abcdef"), 401);

    fs::write(&keys, "third:0011223344556677").unwrap();
    server.logged(|log| log.contains("the file of keys has changed").then_some(()));
    assert_ne!(ask("0011223344556677"), 401, "without a signal too");
}

/// Puts the files of `from` in the place of the model directory `to`.
fn replace(from: &Path, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    fs::rename(from, to).unwrap();
}

#[test]
fn a_model_is_reloaded_while_it_serves_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (tiny, next) = (folder.path().join("tiny"), folder.path().join(".next"));
    import_tiny(&tiny);
    let models = folder.path().to_str().unwrap();
    let server = Server::start(&["--models", models, "--admin-listen", "localhost:0"]);
    let picture = || server.picture(&tiny_mask(0), &[("seed", "1"), ("model", "tiny")]);
    let reload = || server.reload("tiny");
    let before = picture();
    let answer: Value = reload().json().unwrap();
    assert_eq!(answer["replaced"], false);

    import_next(&next);
    replace(&next, &tiny);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| (0..50).map(|_| picture()).collect::<Vec<_>>());
        let answer: Value = reload().json().unwrap();
        assert_eq!(answer["replaced"], true, "{answer}");
        let pictures = asking.join().unwrap();
        let after = picture();
        assert_ne!(after, before);
        assert!(pictures.iter().all(|picture| *picture == before || *picture == after));
    });

    let after = picture();
    fs::write(tiny.join("generator.safetensors"), b"broken").unwrap();
    let refused = reload();
    assert_eq!(refused.status(), 422);
    assert_eq!(picture(), after, "what was served goes on");
    assert_eq!(server.reload("venus").status(), 404);
}

#[test]
fn models_are_managed_by_administrators_and_without_keys_on_the_operator_s_address_alone() {
    let path = "/admin/models/landscape/reload";
    let server = Server::start(&[]);
    assert_eq!(server.post(path).send().unwrap().status(), 403, "a proxy on this machine is local too");
    let server = Server::start(&["--admin-listen", "127.0.0.1:0"]);
    assert_eq!(server.reload("landscape").status(), 200);
    let page = server.client.post(format!("{}{path}", server.admin)).header("origin", "http://evil.example");
    assert_eq!(page.send().unwrap().status(), 403, "a page in a browser on this machine reaches it too");

    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::write(&keys, "caller:0123456789abcdef\nadmin:ops:fedcba9876543210").unwrap();
    let server = Server::start(&["--keys-file", keys.to_str().unwrap()]);
    let reload = |key: &str| server.post(path).header("x-api-key", key).send().unwrap().status().as_u16();
    assert_eq!([reload(""), reload("0123456789abcdef"), reload("fedcba9876543210")], [401, 403, 200]);
}

#[test]
fn the_operator_s_address_takes_metrics_and_management_along() {
    let server = Server::start(&["--admin-listen", "127.0.0.1:0"]);
    assert_ne!(server.url, server.admin);
    let admin =
        |path: &str| server.client.get(format!("{}{path}", server.admin)).send().unwrap().status().as_u16();
    assert_eq!((server.get("/metrics").status().as_u16(), admin("/metrics")), (404, 200));
    assert_eq!((admin("/readyz"), admin("/models")), (200, 404));
    let reload = "/admin/models/landscape/reload";
    assert_eq!(server.post(reload).send().unwrap().status(), 404);
    assert_eq!(server.client.post(format!("{}{reload}", server.admin)).send().unwrap().status(), 200);
}

#[test]
fn a_stalled_upload_holds_nothing_for_long() {
    use std::io::{Read as _, Write as _};
    let server = Server::start(&["--upload-timeout", "300ms"]);
    let mut stream = std::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let head =
        "POST /synthesize HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[test]
fn settings_that_cannot_work_are_all_told_before_anything_starts() {
    let wrong = ["--max-batch", "0", "--models", "/no/such/folder", "--lame-duck", "1h", "--grace", "30s"];
    let said = mistake(&[&["serve"], &wrong[..]].concat());
    for part in ["--max-batch", "/no/such/folder", "--lame-duck"] {
        assert!(said.contains(part), "{said}");
    }
    let taken = Server::shared();
    let address = taken.url.strip_prefix("http://").unwrap();
    assert!(mistake(&["serve", "--listen", address]).contains("choose another address or port"));
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut server = Server::start(&["--lame-duck", "20s", "--grace", "30s"]);
    let started = std::time::Instant::now();
    server.signal("TERM");
    server.logged(|log| log.contains("unready, still serving").then_some(()));
    assert_eq!(server.get("/readyz").status(), 503);
    assert_eq!(server.form(&landscape_mask(0), &[]).send().unwrap().status(), 200, "still serving");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(started.elapsed() < std::time::Duration::from_secs(15));
}

#[test]
fn help_names_the_variable_of_every_setting() {
    let help = done(&["serve", "--help"]);
    for name in ["SPADEWORK_LISTEN", "SPADEWORK_MODELS", "SPADEWORK_KEYS_FILE", "SPADEWORK_LAME_DUCK"] {
        assert!(help.contains(name), "{name}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_spadework"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("SPADEWORK_MAX_BATCH", "0")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
