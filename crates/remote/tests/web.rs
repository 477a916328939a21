//! Models from a web server that breaks off, lies and goes away: what is on disk is whole or not there.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

mod support;

use std::{fs, path::Path};

use spadework_remote::{Remote, RemoteError};
use support::Web;
use tempfile::TempDir;

const CONFIG: (&str, &[u8]) = ("config.json", b"{}");

fn weights(fill: u8) -> Vec<u8> {
    (0..100_000u32).map(|i| (i % 251) as u8 ^ fill).collect()
}

/// A server with the model `land`, a cache, and the place of the one in the other.
fn place() -> (Web, TempDir, Remote) {
    spadework_remote::install_tls();
    let (web, cache) = (Web::start(), TempDir::new().unwrap());
    web.publish("/models/land", &[CONFIG, ("generator.safetensors", &weights(0))]);
    let remote = Remote::open(&format!("{}/models/land", web.url), cache.path()).unwrap();
    (web, cache, remote)
}

fn generator(models: &Path) -> Vec<u8> {
    fs::read(models.join("land/generator.safetensors")).unwrap()
}

#[tokio::test]
async fn a_model_is_fetched_once_and_then_needs_no_network() {
    let (web, _cache, remote) = place();
    assert!(remote.cached().is_none());
    let first = remote.refresh().await.unwrap();
    assert_eq!((first.bytes, generator(&first.models)), (100_002, weights(0)));
    web.asked();
    let again = remote.refresh().await.unwrap();
    assert_eq!((again.bytes, &again.models), (0, &first.models));
    assert!(web.asked().is_empty());

    web.with(|site| site.gone = true);
    assert!(matches!(remote.refresh().await, Err(RemoteError::Store { .. })));
    assert_eq!(remote.cached(), Some(first.models));
}

#[tokio::test]
async fn what_breaks_off_goes_on_where_it_broke_off() {
    let (web, _cache, remote) = place();
    web.with(|site| site.breaks = vec![2, 30_000, 25_000]);
    let fetched = remote.refresh().await.unwrap();
    assert_eq!(generator(&fetched.models), weights(0));
    let path = "/models/land/generator.safetensors".to_owned();
    let asked = web.asked();
    assert_eq!(asked[1..], [(path.clone(), None), (path.clone(), Some(30_000)), (path, Some(55_000))]);
    assert_eq!(fetched.bytes, 100_002, "no byte came twice");
}

#[tokio::test]
async fn a_later_process_goes_on_too() {
    let (web, cache, remote) = place();
    // Nothing more comes after the first 40,000 bytes until the first process gives up.
    web.with(|site| site.breaks = vec![2, 40_000, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(matches!(remote.refresh().await, Err(RemoteError::Store { .. })));
    assert!(remote.cached().is_none(), "a part is no model");
    web.with(|site| site.breaks.clear());
    web.asked();
    let later = Remote::open(&format!("{}/models/land", web.url), cache.path()).unwrap();
    let fetched = later.refresh().await.unwrap();
    assert_eq!((fetched.bytes, generator(&fetched.models)), (60_000, weights(0)));
    assert_eq!(web.asked(), [("/models/land/generator.safetensors".to_owned(), Some(40_000))]);
}

#[tokio::test]
async fn a_server_without_ranges_is_asked_from_the_beginning() {
    let (web, _cache, remote) = place();
    web.with(|site| (site.breaks, site.no_ranges) = (vec![2, 30_000], true));
    let fetched = remote.refresh().await.unwrap();
    assert_eq!(generator(&fetched.models), weights(0));
}

#[tokio::test]
async fn a_wrong_digest_is_refused_and_what_was_there_stays() {
    let (web, _cache, remote) = place();
    let before = remote.refresh().await.unwrap();
    web.publish("/models/land", &[CONFIG, ("generator.safetensors", &weights(1))]);
    web.with(|site| site.files.insert("/models/land/generator.safetensors".into(), weights(2)));
    let error = remote.refresh().await.unwrap_err();
    assert!(matches!(error, RemoteError::WrongDigest { .. }) && error.is_bad_content(), "{error}");
    assert!(error.to_string().contains("/models/land/generator.safetensors"));
    assert_eq!(remote.cached(), Some(before.models.clone()));

    web.with(|site| site.files.insert("/models/land/generator.safetensors".into(), weights(1)));
    web.asked();
    let after = remote.refresh().await.unwrap();
    assert_eq!(generator(&after.models), weights(1));
    assert_eq!(web.asked().len(), 1, "the configuration is the same and is not fetched again");
    assert_eq!(generator(&before.models), weights(0), "a server may still read what it serves");
}

#[tokio::test]
async fn a_damaged_copy_is_not_served_and_mended() {
    let (web, _cache, remote) = place();
    let fetched = remote.refresh().await.unwrap();
    fs::write(fetched.models.join("land/generator.safetensors"), b"rot").unwrap();
    assert!(remote.cached().is_none());
    web.asked();
    let mended = remote.refresh().await.unwrap();
    assert_eq!(generator(&mended.models), weights(0));
    assert!(web.asked().iter().all(|(path, _)| path.ends_with("generator.safetensors")));
}

#[tokio::test]
async fn one_manifest_can_name_several_models() {
    let (web, cache, _) = place();
    let generator = weights(3);
    web.publish(
        "/models",
        &[
            ("a/config.json", b"{}"),
            ("a/generator.safetensors", &generator),
            ("b/config.json", b"{ }"),
            ("b/generator.safetensors", &generator),
            ("b/encoder.safetensors", b"e"),
            ("README.md", b"not fetched"),
        ],
    );
    let remote = Remote::open(&format!("{}/models/", web.url), cache.path()).unwrap();
    let models = remote.refresh().await.unwrap().models;
    assert_eq!(fs::read(models.join("a/config.json")).unwrap(), b"{}");
    assert_eq!(fs::read(models.join("b/encoder.safetensors")).unwrap(), b"e");
    assert!(web.asked().iter().all(|(path, _)| !path.ends_with("README.md")));
}

#[tokio::test]
async fn models_without_digests_are_refused() {
    let (web, cache, _) = place();
    let remote = Remote::open(&format!("{}/nothing", web.url), cache.path()).unwrap();
    let error = remote.refresh().await.unwrap_err();
    assert!(matches!(error, RemoteError::NoManifest { .. }), "{error}");
    assert!(error.to_string().contains("sha256sum config.json *.safetensors > SHA256SUMS"));
}

#[tokio::test]
async fn two_processes_share_a_cache() {
    let (_web, _cache, remote) = place();
    let twin = remote.clone();
    let fetch = |remote: Remote| {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(remote.refresh()).unwrap()
        })
    };
    let (one, two) = (fetch(remote), fetch(twin));
    let (one, two) = (one.join().unwrap(), two.join().unwrap());
    assert_eq!(one.models, two.models);
    assert_eq!(one.bytes + two.bytes, 100_002, "the second found what the first had fetched");
}
