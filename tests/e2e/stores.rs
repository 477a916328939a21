//! Models behind a URL: fetched, verified, kept on disk; stores that lie or vanish, and a disk that is full.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    images::tiny_mask,
    server::{Server, import_next, mistake, models},
    web::Web,
};

/// Puts the model in `directory` into the store as `models/tiny`.
fn publish(store: &Web, directory: &Path) {
    let names = ["config.json", "generator.safetensors", "encoder.safetensors"];
    let files = names.map(|name| (name, fs::read(directory.join(name)).unwrap()));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    store.publish("/models/tiny", &files);
}

struct Place {
    store: Web,
    cache: TempDir,
    url: String,
}

/// A store with the tiny model, and an empty cache.
fn place() -> Place {
    let store = Web::start();
    publish(&store, &models().join("tiny"));
    let url = format!("{}/models/tiny", store.url);
    Place { store, cache: TempDir::new().unwrap(), url }
}

impl Place {
    fn arguments(&self) -> [&str; 6] {
        let cache = self.cache.path().to_str().unwrap();
        ["--models", &self.url, "--cache-dir", cache, "--admin-listen", "127.0.0.1:0"]
    }
}

fn picture(server: &Server) -> Vec<u8> {
    server.picture(&tiny_mask(0), &[("seed", "1"), ("model", "tiny")])
}

/// Waits until something holds.
fn until(server: &Server, holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn checks(server: &Server, result: &str) -> f64 {
    server.metric(&format!("spadework_model_store_checks_total{{result=\"{result}\"}}"))
}

#[test]
fn a_model_behind_a_url_needs_its_store_only_once() {
    let place = place();
    let server = Server::start(&place.arguments());
    let expected = picture(&Server::shared());
    assert_eq!(picture(&server), expected);
    assert_eq!(checks(&server, "fetched"), 1.0);
    drop(server);

    place.store.with(|site| site.gone = true);
    let server = Server::start(&place.arguments());
    assert_eq!(picture(&server), expected);
    // It is ready before the store is asked.
    until(&server, || checks(&server, "unreachable") == 1.0);
    assert_eq!(server.metric("spadework_model_stores_failing"), 1.0);
    server.logged(|log| log.contains("what was fetched earlier is served").then_some(()));
}

#[test]
fn a_reload_takes_what_changed_and_refuses_what_lies() {
    let place = place();
    let server = Server::start(&place.arguments());
    let reload = || server.reload("tiny");
    let before = picture(&server);
    assert_eq!(reload().json::<Value>().unwrap()["replaced"], false);

    let next = TempDir::new().unwrap();
    import_next(&next.path().join("tiny"));
    publish(&place.store, &next.path().join("tiny"));
    assert_eq!(reload().json::<Value>().unwrap()["replaced"], true);
    let after = picture(&server);
    assert_ne!(after, before);

    // Files that are on disk from an earlier look would be taken from there, so that this is a model of its own.
    let config = next.path().join("tiny/config.json");
    let changed = fs::read_to_string(&config).unwrap().replacen(
        "\"description\": \"",
        "\"description\": \"Changed. ",
        1,
    );
    fs::write(&config, changed).unwrap();
    fs::copy(models().join("tiny/generator.safetensors"), next.path().join("tiny/generator.safetensors"))
        .unwrap();
    publish(&place.store, &next.path().join("tiny"));
    let generator = "/models/tiny/generator.safetensors".to_owned();
    place.store.with(|site| site.files.get_mut(&generator).unwrap()[500] ^= 1);
    let refused = reload();
    assert_eq!(refused.status(), 422);
    assert!(refused.text().unwrap().contains("has the SHA-256"));

    place.store.with(|site| site.gone = true);
    let refused = reload();
    assert_eq!(refused.status(), 502);
    assert!(refused.text().unwrap().contains("what was served goes on"));
    server.signal("HUP");
    until(&server, || checks(&server, "unreachable") >= 2.0);
    assert_eq!(picture(&server), after, "what was served goes on");
    assert_eq!(
        (checks(&server, "current"), checks(&server, "fetched"), checks(&server, "invalid")),
        (1.0, 2.0, 1.0)
    );
    assert_eq!(server.metric("spadework_model_stores_failing"), 1.0);
    assert_eq!(server.get("/readyz").status(), 200);
}

#[test]
fn a_full_disk_is_told_and_what_has_come_is_kept() {
    let place = place();
    // Files may have some kilobytes and no more, which only the generator exceeds: to a process that is a full disk.
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$0\" serve --listen 127.0.0.1:0 \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_spadework")])
        .args(place.arguments())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("generator.safetensors: File too large"), "{said}");

    place.store.asked();
    let server = Server::start(&place.arguments());
    let asked = place.store.asked();
    assert!(
        asked.iter().any(|(path, from)| path.ends_with("generator.safetensors") && from.is_some()),
        "it goes on where the disk was full: {asked:?}"
    );
    assert_eq!(picture(&server), picture(&Server::shared()));
}

#[test]
fn a_store_that_has_no_models_is_a_mistake_that_says_what_to_do() {
    let place = place();
    let nothing = format!("{}/nothing", place.store.url);
    let cache = place.cache.path().to_str().unwrap();
    let said = mistake(&["serve", "--listen", "127.0.0.1:0", "--models", &nothing, "--cache-dir", cache]);
    assert!(said.contains("sha256sum config.json *.safetensors > SHA256SUMS"), "{said}");
    let unwritable = mistake_or_fault(&["--models", &place.url, "--cache-dir", "/proc/no"]);
    assert!(unwritable.contains("create the cache /proc/no"), "{unwritable}");
}

fn mistake_or_fault(args: &[&str]) -> String {
    let output = crate::server::run(&[&["serve", "--listen", "127.0.0.1:0"], args].concat());
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}
