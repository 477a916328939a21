//! The span of a request, and those of its stages.

use std::time::{Duration, Instant};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, Span as _, SpanBuilder, SpanContext, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

use super::Moment;

/// The span of a request. Clones are the same span.
#[derive(Clone, Debug)]
pub struct RequestTrace {
    /// What a part of this request links to; the caller's own span where none is made here.
    context: SpanContext,
    recorded: Option<Recorded>,
}

#[derive(Clone, Debug)]
struct Recorded {
    tracer: SdkTracer,
    span: Context,
    began: Moment,
}

impl RequestTrace {
    pub(super) fn new(tracer: SdkTracer, span: Context, began: Moment) -> Self {
        let context = span.span().span_context().clone();
        let recorded = context.is_sampled().then_some(Recorded { tracer, span, began });
        Self { context, recorded }
    }

    pub(super) fn unrecorded(context: SpanContext) -> Self {
        Self { context, recorded: None }
    }

    /// No trace.
    pub fn none() -> Self {
        Self::unrecorded(SpanContext::NONE)
    }

    /// The trace's id in hexadecimal, for log lines.
    pub fn id(&self) -> Option<String> {
        self.context.is_valid().then(|| self.context.trace_id().to_string())
    }

    /// What a batch links to; nothing that would be recorded where this request is not.
    pub fn context(&self) -> SpanContext {
        self.recorded.as_ref().map_or(SpanContext::NONE, |_| self.context.clone())
    }

    /// Something else to know about the request.
    pub fn attribute(&self, name: &'static str, value: &str) {
        if let Some(recorded) = &self.recorded {
            recorded.span.span().set_attribute(KeyValue::new(name, value.to_owned()));
        }
    }

    /// A stage that began at `from` and took `took`.
    pub fn stage(&self, name: &'static str, from: Instant, took: Duration) {
        self.linked_stage(name, from, took, SpanContext::NONE);
    }

    /// A stage that was a part of something that has its own span.
    pub fn linked_stage(&self, name: &'static str, from: Instant, took: Duration, to: SpanContext) {
        let Some(Recorded { tracer, span, began }) = &self.recorded else { return };
        let links = if to.is_valid() { vec![Link::with_context(to)] } else { Vec::new() };
        let stage = SpanBuilder::from_name(name).with_start_time(began.at(from)).with_links(links);
        tracer.build_with_context(stage, span).end_with_timestamp(began.at(from + took));
    }

    /// The request was answered with this status.
    pub fn finish(&self, status: u16) {
        let Some(Recorded { span, began, .. }) = &self.recorded else { return };
        let span = span.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(began.at(Instant::now()));
    }
}
