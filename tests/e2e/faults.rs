//! Clients that vanish, connections that say nothing, a clock that jumps: none of it costs anybody else anything.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    images::{landscape_mask, tiny_mask},
    server::{Server, models},
};

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap()
}

/// Waits until a metric is as it should be.
fn until(server: &Server, metric: &str, mut holds: impl FnMut(f64) -> bool) {
    eventually(|| holds(server.metric(metric)), || format!("{metric} stays at {}", server.metric(metric)));
}

/// Waits until something holds, or tells what is `wrong`.
fn eventually(mut holds: impl FnMut() -> bool, wrong: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{}", wrong());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a metric has come down to `bound`.
fn settles(server: &Server, metric: &str, bound: f64) {
    until(server, metric, |now| now <= bound);
}

/// A metric's value once it has been the same for a while.
fn at_rest(server: &Server, metric: &str) -> f64 {
    let (mut last, mut same) = (f64::NAN, 0);
    until(server, metric, |now| {
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same == 5
    });
    last
}

const OPEN: &str = "process_open_fds";

#[test]
fn clients_that_leave_in_the_middle_of_an_upload_leave_nothing_behind() {
    // There is room for one upload of this size at a time: what one of them left behind would shut the next one out.
    let server = Server::start(&["--max-mib", "8", "--codec-mib", "8"]);
    let open = at_rest(&server, OPEN);
    let head =
        "POST /synthesize HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 8000000\r\n\r\n";
    for _ in 0..10 {
        let mut stream = connect(&server);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[0; 100_000]).unwrap();
        // A connection that the server has yet to accept counts as little as one that it has closed.
        until(&server, OPEN, |now| now > open);
        drop(stream);
        settles(&server, OPEN, open);
    }
    server.picture(&landscape_mask(0), &[]);
    assert_eq!(server.metric("spadework_requests_rejected_total{model=\"none\",reason=\"codec_full\"}"), 0.0);
}

#[test]
fn clients_that_leave_in_the_middle_of_a_download_leave_nothing_behind() {
    let server = Server::start(&["--max-mib", "8", "--codec-mib", "8"]);
    let open = server.metric(OPEN);
    let mask = landscape_mask(0);
    let head = format!(
        "POST /synthesize?count=4 HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\
         Content-Type: image/png\r\nContent-Length: {}\r\n\r\n",
        mask.len()
    );
    for _ in 0..4 {
        let mut stream = connect(&server);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&mask).unwrap();
        stream.read_exact(&mut [0; 200]).unwrap();
        drop(stream);
    }
    settles(&server, OPEN, open);
    assert_eq!(server.metric("spadework_queue_depth{model=\"landscape\"}"), 0.0);
    server.picture(&mask, &[]);
}

#[test]
fn connections_that_say_nothing_cost_no_request_and_delay_no_stop() {
    let mut server = Server::start(&["--lame-duck", "0s", "--grace", "20s"]);
    let silent: Vec<TcpStream> = (0..200).map(|_| connect(&server)).collect();
    let half: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(b"POST /synthesize HTTP/1.1\r\nHost: x\r\nContent-").unwrap();
            stream
        })
        .collect();
    let started = Instant::now();
    server.picture(&landscape_mask(0), &[]);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let stopping = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(stopping.elapsed() < Duration::from_secs(10), "{:?}", stopping.elapsed());
    assert!(server.log().contains("every request is answered"), "{}", server.log());
    drop((silent, half));
}

#[test]
fn a_request_that_was_welcomed_before_a_stop_is_answered_after_it() {
    let mut server = Server::start(&["--lame-duck", "0s", "--grace", "40s"]);
    let mask = landscape_mask(0);
    let head = format!(
        "POST /synthesize HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n",
        mask.len()
    );
    let mut stream = connect(&server);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&mask[..100]).unwrap();
    until(&server, "spadework_requests_in_flight", |now| now == 1.0);
    server.signal("TERM");
    eventually(|| server.log().contains("stopping"), || server.log());
    stream.write_all(&mask[100..]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer[..200.min(answer.len())])
    );
    assert_eq!(server.wait(), Some(0));
}

/// Resident memory that a process has at most had since it was last forgotten, in bytes.
fn peak_memory(server: &Server) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    1024.0 * line.trim().trim_end_matches(" kB").parse::<f64>().unwrap()
}

fn forget_peak_memory(server: &Server) {
    fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
}

/// A form of one part.
fn form(head: &str, bytes: &str) -> (&'static str, String) {
    ("multipart/form-data; boundary=xx", format!("--xx\r\n{head}\r\n\r\n{bytes}\r\n--xx--\r\n"))
}

#[test]
fn a_hostile_body_is_refused_and_costs_at_most_twice_its_size() {
    if !Path::new("/proc/self/clear_refs").exists() {
        println!("skipped: this system does not tell what a process has at most held");
        return;
    }
    let server = Server::start(&["--models", models().to_str().unwrap()]);
    server.picture(&tiny_mask(0), &[("model", "tiny")]);
    let size = (24 << 20) as usize;
    let many = |item: &str| item.repeat(size / item.len());
    let json = |name: &str, value: String| ("application/json", format!("{{\"{name}\":{value}}}"));
    let list = |item: &str| json("latent", format!("[{}0]", many(item)));
    let named = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"");
    let base64 = format!("{}; filename=\"f\"\r\nContent-Transfer-Encoding: base64", named("mask"));
    let bodies = [
        (list("0,"), 400), // its mask is missing
        (list("{\"\":0},"), 422),
        (list("[[],[]],"), 422),
        (list("\"x\","), 422),
        (json("mask", format!("\"{}\"", many("QUJD"))), 400),
        (list("\"\\n\","), 422),
        (json("latent", format!("[\"{}\"]", many("\\n"))), 422),
        (json("latent", format!("{{\"{}\":1}}", many("\\n"))), 422),
        (json("latent", many("[[[[")), 400),
        (json("model", format!("\"{}\"", many("\\n"))), 404),
        (json(&many("\\n"), "1".to_owned()), 422),
        (form(&named("latent"), &many("0,")), 422),
        (form(&named("model"), &many("a")), 404),
        (form(&named("latent"), &many("[[[[")), 422),
        (form(&named("options"), &many("{\"a\":")), 400),
        (form(&base64, &many("QUJD")), 400),
        (form(&named(&many("a")), "1"), 400),
        (("multipart/form-data; boundary=xx", many("a")), 400),
    ];
    let before = server.metric("process_resident_memory_bytes");
    for path in ["/synthesize", "/mask"] {
        for ((form, body), status) in &bodies {
            let begin = &body[..60];
            forget_peak_memory(&server);
            let request = server.post(path).header("content-type", *form).body(body.clone());
            assert_eq!(request.send().unwrap().status(), *status, "{path} {begin}");
            // What it has kept of all those before included.
            let cost = peak_memory(&server) - before;
            assert!(cost <= 2.0 * body.len() as f64, "{path} {begin}: {cost} for {}", body.len());
        }
    }
}

/// The library of Debian's `faketime`, which lies to a program about the wall clock.
fn faketime() -> Option<String> {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let library = places.map(|place| format!("/usr/lib/{place}/faketime/libfaketimeMT.so.1"));
    library.into_iter().find(|path| Path::new(path).exists())
}

#[test]
fn a_wall_clock_that_jumps_changes_nothing() {
    let Some(library) = faketime() else {
        println!("skipped: libfaketime is not installed (Debian: faketime)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0").unwrap();
    let lie = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let models = models();
    let server = Server::start_with(&["--models", models.to_str().unwrap()], &lie);
    let picture =
        || server.picture(&tiny_mask(0), &[("model", "tiny"), ("seed", "1"), ("deadline_ms", "20000")]);
    let before = picture();
    // The log tells the wall clock's time, so it shows that the clock did jump. A line follows its answer, so it is waited for.
    let months = || {
        let log = server.log();
        let months = log.lines().filter_map(|line| line.get(..7)).filter(|month| month.starts_with("20"));
        months.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    for (jump, told) in [("+40d", 2), ("-40d", 3), ("+0", 3)] {
        fs::write(&clock, jump).unwrap();
        assert_eq!(picture(), before);
        assert_eq!(server.get("/readyz").status(), 200);
        eventually(|| months().len() >= told, || format!("the clock did not jump by {jump}: {:?}", months()));
    }
    assert_eq!(server.metric("spadework_deadline_missed_total{model=\"tiny\"}"), 0.0);
}
