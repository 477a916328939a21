//! Traces over OTLP: a span for each request with its stages, and one for each batch, linked to its requests.
//!
//! Off unless an endpoint is named; then nothing is recorded and nothing is sent. Spans are made of what has been
//! measured anyhow: the wall clock is read once for each request and batch, all else is counted from there.

mod export;
mod request;

use std::time::{Instant, SystemTime};

use axum::http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};

pub use export::TraceArgs;
pub use request::RequestTrace;

/// Where spans go. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Exporting>);

#[derive(Clone, Debug)]
struct Exporting {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A moment by both clocks: the wall clock's for people, the monotonic one's to count from.
#[derive(Clone, Copy, Debug)]
struct Moment {
    wall: SystemTime,
    monotonic: Instant,
}

impl Moment {
    #[expect(clippy::disallowed_methods, reason = "a span tells when it was; nothing is decided by it")]
    fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    /// The wall clock's time of an instant, whatever has been done to that clock since.
    fn at(&self, instant: Instant) -> SystemTime {
        match instant.checked_duration_since(self.monotonic) {
            Some(later) => self.wall + later,
            None => self.wall - self.monotonic.duration_since(instant),
        }
    }
}

/// What a batch's span tells.
pub struct BatchRun<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The device's name.
    pub device: &'a str,
    /// The span of each job's request.
    pub callers: &'a [SpanContext],
    /// When the device came to it.
    pub began: Instant,
    /// What went wrong.
    pub failure: Option<String>,
}

impl Traces {
    /// Begins the span of a request, as a part of the trace that its `traceparent` names.
    pub fn request(&self, headers: &HeaderMap, method: &str, route: &str) -> RequestTrace {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let Some(Exporting { tracer, .. }) = &self.0 else {
            return RequestTrace::unrecorded(parent.span().span_context().clone());
        };
        let began = Moment::now();
        let attributes = [
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.route", route.to_owned()),
        ];
        let span = SpanBuilder::from_name(format!("{method} {route}"))
            .with_kind(SpanKind::Server)
            .with_start_time(began.wall)
            .with_attributes(attributes);
        let span = tracer.build_with_context(span, &parent);
        RequestTrace::new(tracer.clone(), Context::new().with_span(span), began)
    }

    /// Makes the span of a batch that has ended just now. It is linked to the requests whose spans are recorded, and lies in
    /// the trace of the first of them, so that it is recorded exactly when one of them is. Answers what others link to.
    pub fn batch(&self, batch: &BatchRun<'_>) -> SpanContext {
        let BatchRun { model, device, callers, began, failure } = batch;
        let Some(Exporting { tracer, .. }) = &self.0 else { return SpanContext::NONE };
        let mut links = Vec::new();
        for caller in *callers {
            // Several pictures of one request have one caller.
            if caller.is_sampled() && !links.iter().any(|link: &Link| link.span_context == *caller) {
                links.push(Link::with_context(caller.clone()));
            }
        }
        let Some(first) = links.first() else { return SpanContext::NONE };
        let parent = Context::new().with_remote_span_context(first.span_context.clone());
        let ended = Moment::now();
        let attributes = [
            KeyValue::new("spadework.model", (*model).to_owned()),
            KeyValue::new("spadework.device", (*device).to_owned()),
            KeyValue::new("spadework.batch.size", callers.len() as i64),
        ];
        let span = SpanBuilder::from_name("batch")
            .with_start_time(ended.at(*began))
            .with_attributes(attributes)
            .with_links(links);
        let mut span = tracer.build_with_context(span, &parent);
        if let Some(failure) = failure {
            span.set_status(Status::error(failure.clone()));
        }
        span.end_with_timestamp(ended.wall);
        span.span_context().clone()
    }

    /// Sends what has not been sent yet, and stops. Blocks, for a few seconds at most.
    pub fn stop(&self) {
        let Some(Exporting { provider, .. }) = &self.0 else { return };
        if let Err(error) = provider.shutdown_with_timeout(export::LAST_SEND) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// The headers of a request, for the propagator.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::{
        error::OTelSdkResult,
        trace::{SpanData, SpanExporter},
    };

    use super::*;

    /// Keeps what would be sent.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    impl Kept {
        fn traces(&self) -> Traces {
            let provider = SdkTracerProvider::builder().with_simple_exporter(self.clone()).build();
            let tracer = provider.tracer("tests");
            Traces(Some(Exporting { provider, tracer }))
        }
    }

    /// A request of the trace `id`, which its caller wants recorded or not.
    fn request(traces: &Traces, id: u8, sampled: bool) -> RequestTrace {
        let mut headers = HeaderMap::new();
        let parent = format!("00-{id:032x}-00f067aa0ba902b7-0{}", u8::from(sampled));
        headers.insert("traceparent", parent.parse().unwrap());
        traces.request(&headers, "POST", "/synthesize")
    }

    #[test]
    fn a_batch_is_linked_once_to_each_recorded_request_and_lies_in_the_first_one_s_trace() {
        let kept = Kept::default();
        let traces = kept.traces();
        let [unrecorded, first, second] =
            [(1, false), (2, true), (3, true)].map(|(id, sampled)| request(&traces, id, sampled).context());
        // The second asked for two images.
        let callers = [unrecorded, first.clone(), second.clone(), second.clone()];
        let run =
            BatchRun { model: "m", device: "cpu", callers: &callers, began: Instant::now(), failure: None };
        let batch = traces.batch(&run);
        let spans = kept.0.lock().unwrap();
        let [span] = &spans.iter().filter(|span| span.name == "batch").collect::<Vec<_>>()[..] else {
            panic!("{spans:?}")
        };
        let links: Vec<_> = span.links.iter().map(|link| link.span_context.span_id()).collect();
        assert_eq!(links, [first.span_id(), second.span_id()]);
        assert_eq!((&span.span_context, span.span_context.trace_id()), (&batch, first.trace_id()));
        assert!(span.attributes.contains(&KeyValue::new("spadework.batch.size", 4_i64)));
    }

    #[test]
    fn a_batch_of_requests_that_nobody_records_is_not_recorded() {
        let kept = Kept::default();
        let traces = kept.traces();
        let callers = [request(&traces, 1, false).context()];
        let run =
            BatchRun { model: "m", device: "cpu", callers: &callers, began: Instant::now(), failure: None };
        assert!(!traces.batch(&run).is_valid());
        assert!(!kept.0.lock().unwrap().iter().any(|span| span.name == "batch"));
    }

    #[test]
    fn times_are_counted_from_the_moment_by_the_monotonic_clock() {
        let moment = Moment::now();
        let (later, earlier) = (Duration::from_millis(1500), Duration::from_millis(1));
        assert_eq!(moment.at(moment.monotonic + later), moment.wall + later);
        assert_eq!(moment.at(moment.monotonic - earlier), moment.wall - earlier);
    }

    #[test]
    fn a_trace_s_id_is_known_without_an_exporter() {
        let traces = Traces::default();
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let mut headers = HeaderMap::new();
        assert_eq!(traces.request(&headers, "GET", "/models").id(), None);
        headers.insert("traceparent", format!("00-{id}-00f067aa0ba902b7-01").parse().unwrap());
        assert_eq!(traces.request(&headers, "GET", "/models").id().as_deref(), Some(id));
        headers.insert("traceparent", "nonsense".parse().unwrap());
        assert_eq!(traces.request(&headers, "GET", "/models").id(), None);
    }
}
