//! Traces as a collector sees them, and the ids in log lines that lead to them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use serde_json::Value;

use crate::{images::landscape_mask, server::Server};

/// A collector: takes OTLP over HTTP and keeps the spans.
struct Collector {
    endpoint: String,
    spans: Arc<Mutex<Vec<Span>>>,
    services: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self { endpoint, spans: Arc::default(), services: Arc::default() };
        let (spans, services) = (collector.spans.clone(), collector.services.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (spans, services) = (spans.clone(), services.clone());
                thread::spawn(move || take(&stream, &spans, &services));
            }
        });
        collector
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }
}

/// Takes exports until the connection closes.
fn take(mut stream: &TcpStream, spans: &Mutex<Vec<Span>>, services: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
            let lower = line.to_ascii_lowercase();
            assert!(!lower.starts_with("post") || lower.starts_with("post /v1/traces "), "{line}");
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if length == 0 || reader.read_exact(&mut body).is_err() {
            return;
        }
        for resource in ExportTraceServiceRequest::decode(&body[..]).unwrap().resource_spans {
            services.lock().unwrap().push(format!("{:?}", resource.resource));
            spans.lock().unwrap().extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends a synthesis as part of the trace `id`.
fn traced(server: &Server, id: &str, sampled: bool) -> u16 {
    let parent = format!("00-{id}-00f067aa0ba902b7-0{}", u8::from(sampled));
    let request =
        server.form(&landscape_mask(0), &[]).header("traceparent", parent).header("x-request-id", id);
    request.send().unwrap().status().as_u16()
}

fn trace_id(i: usize) -> String {
    format!("4bf92f3577b34da6a3ce929d0e0e47{i:02x}")
}

#[test]
fn a_collector_sees_requests_their_stages_and_their_batches() {
    let collector = Collector::start();
    let arguments = ["--otlp-endpoint", &collector.endpoint, "--lame-duck", "0s", "--log-format", "json"];
    let mut server = Server::start(&arguments);
    thread::scope(|scope| {
        for i in 0..8 {
            let server = &server;
            scope.spawn(move || assert_eq!(traced(server, &trace_id(i), true), 200));
        }
    });
    assert_eq!(traced(&server, &trace_id(8), false), 200);
    server.get("/readyz");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));

    let spans = collector.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    assert!(collector.services.lock().unwrap()[0].contains("\"spadework\""), "the service's name");
    let requests = named("POST /synthesize");
    assert_eq!(requests.len(), 8, "the caller decides what is recorded");
    assert!(!spans.iter().any(|span| hex(&span.trace_id) == trace_id(8)));
    assert!(!spans.iter().any(|span| span.name.contains("readyz")), "probes are not traced");
    let batches = named("batch");
    assert!(batches.iter().all(|batch| batch.end_time_unix_nano > batch.start_time_unix_nano));
    for request in requests {
        assert_eq!(
            (request.kind, hex(&request.parent_span_id).as_str()),
            (SpanKind::Server as i32, "00f067aa0ba902b7")
        );
        assert!(request.status.as_ref().is_none_or(|status| status.code == StatusCode::Unset as i32));
        let linked = batches.iter().filter(|batch| {
            batch
                .links
                .iter()
                .any(|link| (&link.trace_id, &link.span_id) == (&request.trace_id, &request.span_id))
        });
        let linked: Vec<_> = linked.collect();
        assert_eq!(linked.len(), 1, "a request is in one batch");
        for stage in ["read", "decode", "plan", "queue", "generate", "encode"] {
            let stage = named(stage).into_iter().find(|span| span.parent_span_id == request.span_id).unwrap();
            assert_eq!(stage.trace_id, request.trace_id);
            assert!(stage.start_time_unix_nano >= request.start_time_unix_nano);
            assert!(stage.end_time_unix_nano <= request.end_time_unix_nano);
            if stage.name == "generate" {
                assert_eq!(stage.links[0].span_id, linked[0].span_id, "and leads back to it");
            }
        }
    }
}

#[test]
fn log_lines_carry_the_request_s_id_and_its_trace_s_even_where_nothing_is_exported() {
    let server = Server::start(&["--log-format", "json"]);
    assert_eq!(traced(&server, &trace_id(1), true), 200);
    let answered = |line: &Value| line["message"] == "answered" && line["route"] == "/synthesize";
    let line: Value =
        server.logged(|log| log.lines().filter_map(|line| serde_json::from_str(line).ok()).find(answered));
    assert_eq!(line["span"]["id"], trace_id(1).as_str());
    assert_eq!(line["span"]["trace_id"], trace_id(1).as_str());
}

#[test]
fn a_collector_that_is_not_there_costs_no_request() {
    let mut server = Server::start(&["--otlp-endpoint", "http://127.0.0.1:9", "--lame-duck", "0s"]);
    assert_eq!(traced(&server, &trace_id(1), true), 200);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}
