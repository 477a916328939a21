//! Many clients at once, clients that leave, queues that are full, and a stop in the middle of it all.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use reqwest::blocking::{Client, multipart::Part};

use crate::{
    images::{landscape_mask, style_picture, tiny_mask},
    server::{Server, form},
};

/// A request that is unlike all others: model, size, seed and style vary.
fn picture(server: &Server, client: &Client, i: usize) -> Vec<u8> {
    let seed = (i / 2).to_string();
    let (mask, model) = match i % 4 {
        0 => (landscape_mask(i), "landscape"),
        _ => (tiny_mask(i), "tiny"),
    };
    let mut form = form(&mask, &[("seed", &seed), ("model", model), ("deadline_ms", "30000")]);
    if i.is_multiple_of(3) {
        form = form.part("style", Part::bytes(style_picture((37 * i) as u8)));
    }
    let response = client.post(format!("{}/synthesize", server.url)).multipart(form).send().unwrap();
    assert_eq!(response.status(), 200, "{}", response.text().unwrap());
    response.bytes().unwrap().to_vec()
}

#[test]
fn sixty_four_clients_at_once_get_what_each_gets_alone() {
    let start = || Server::start(&["--models", crate::server::models().to_str().unwrap()]);
    let one_by_one = start();
    let alone: Vec<Vec<u8>> = (0..64).map(|i| picture(&one_by_one, &one_by_one.client, i)).collect();
    drop(one_by_one);
    let server = start(); // another: it has no picture in its cache
    let batches = || {
        let of = |what: &str| {
            let metric = |model: &str| {
                server.metric(&format!("spadework_batch_size_{what}{{device=\"cpu\",model=\"{model}\"}}"))
            };
            metric("landscape") + metric("tiny")
        };
        (of("count"), of("sum"))
    };
    let before = batches();
    thread::scope(|scope| {
        for (i, alone) in alone.iter().enumerate() {
            let server = &server;
            scope.spawn(move || assert!(picture(server, &server.client, i) == *alone, "request {i} differs"));
        }
    });
    let after = batches();
    assert_eq!(after.1 - before.1, 64.0, "every request ran once");
    assert!(after.0 - before.0 < 64.0, "some ran together");
}

#[test]
fn callers_that_leave_free_their_places() {
    let server = Server::start(&[]);
    let started = Instant::now();
    server.picture(&landscape_mask(0), &[]);
    // Long enough to be queued, too short for most of twelve to be answered, however slow the machine is.
    let hasty = Client::builder().timeout(2 * started.elapsed()).build().unwrap();
    thread::scope(|scope| {
        for i in 0..12 {
            let (server, hasty) = (&server, &hasty);
            scope.spawn(move || {
                let request = hasty.post(format!("{}/synthesize", server.url));
                // Most of these leave before their answer.
                let _ = request.multipart(form(&landscape_mask(i), &[])).send();
            });
        }
    });
    let started = Instant::now();
    while server.metric("spadework_queue_depth{model=\"landscape\"}") > 0.0 {
        assert!(started.elapsed() < Duration::from_secs(10), "places are not freed");
        thread::sleep(Duration::from_millis(10));
    }
    let ran = server.metric("spadework_batch_size_sum{device=\"cpu\",model=\"landscape\"}");
    let left = server.metric("spadework_images_cancelled_total{model=\"landscape\",stage=\"queue\"}");
    assert!(left > 0.0, "nobody left");
    assert!(ran < 1.0 + 12.0, "all ran although their callers had left");
    server.picture(&landscape_mask(0), &[]);
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
    let server = Server::start(&["--queue-jobs", "2"]);
    let refusals = Mutex::new(Vec::new());
    let pictures = Mutex::new(0);
    thread::scope(|scope| {
        for i in 0..12 {
            let (server, refusals, pictures) = (&server, &refusals, &pictures);
            scope.spawn(move || {
                let response = server.form(&landscape_mask(i), &[]).send().unwrap();
                match response.status().as_u16() {
                    200 => *pictures.lock().unwrap() += 1,
                    429 => refusals
                        .lock()
                        .unwrap()
                        .push(response.headers()["retry-after"].to_str().unwrap().to_owned()),
                    other => panic!("status {other}"),
                }
            });
        }
    });
    let (refusals, pictures) = (refusals.into_inner().unwrap(), pictures.into_inner().unwrap());
    assert!(!refusals.is_empty() && pictures >= 1, "{pictures} pictures, {} refusals", refusals.len());
    assert!(refusals.iter().all(|seconds| seconds.parse::<u64>().unwrap() >= 1));
    assert_eq!(
        server.metric("spadework_requests_rejected_total{model=\"landscape\",reason=\"queue_full\"}"),
        refusals.len() as f64
    );
}

#[test]
fn a_deadline_that_no_waiting_makes_enough_is_the_caller_s_to_change() {
    let server = Server::shared();
    let options = [("deadline_ms", "1"), ("model", "landscape")];
    let response = server.form(&landscape_mask(0), &options).send().unwrap();
    assert_eq!(response.status(), 422);
    assert!(!response.headers().contains_key("retry-after"));
    let problem: serde_json::Value = response.json().unwrap();
    let detail = problem["detail"].as_str().unwrap();
    let least = detail.split("takes at least ").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    assert!(least.parse::<u64>().unwrap() > 1, "{detail}");
}

#[test]
fn a_stop_under_load_loses_no_admitted_request() {
    let mut server = Server::start(&["--lame-duck", "300ms", "--grace", "60s"]);
    let pictures = Mutex::new(0);
    thread::scope(|scope| {
        for i in 0..8 {
            let (server, pictures) = (&server, &pictures);
            scope.spawn(move || {
                // Without connections kept alive: one that the server closes while idle is no lost request.
                let client = Client::builder().pool_max_idle_per_host(0).timeout(None).build().unwrap();
                loop {
                    let request = client.post(format!("{}/synthesize", server.url));
                    // An error before any answer: the listener is closed, nothing was admitted.
                    let Ok(answer) = request.multipart(form(&landscape_mask(i), &[])).send() else { return };
                    if answer.status() == 200 {
                        answer.bytes().unwrap();
                        *pictures.lock().unwrap() += 1;
                    } else {
                        assert_eq!(answer.status(), 503, "{}", answer.text().unwrap());
                    }
                }
            });
        }
        thread::sleep(Duration::from_secs(1));
        server.signal("TERM");
    });
    assert_eq!(server.wait(), Some(0));
    assert!(server.log().contains("every request is answered"), "{}", server.log());
    let pictures = pictures.into_inner().unwrap();
    let made = server.log().lines().filter(|line| line.contains("route=\"/synthesize\" status=200")).count();
    assert!(pictures >= 8, "{pictures} pictures");
    assert_eq!(pictures, made, "every picture that was made has arrived");
}
