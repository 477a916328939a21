//! Every request in the metrics and the log, under its id.

use std::{panic, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tower_http::request_id::RequestId;
use tracing::Instrument as _;

use super::{app::App, problem::Problem};
use crate::traces::RequestTrace;

/// The header of a request's id, both ways.
pub const REQUEST_ID: &str = "x-request-id";

/// Takes away an id that would not be fit for a log line; a fresh one is made in its place.
pub async fn distrust_request_id(mut request: Request, next: Next) -> Response {
    let fit = |id: &HeaderValue| {
        let id = id.as_bytes();
        !id.is_empty() && id.len() <= 128 && id.iter().all(u8::is_ascii_graphic)
    };
    if request.headers().get(REQUEST_ID).is_some_and(|id| !fit(id)) {
        request.headers_mut().remove(REQUEST_ID);
    }
    next.run(request).await
}

/// Counts and logs a request. Probes and scrapes, which come every few seconds, are logged at debug level.
pub async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.as_deref().unwrap_or("none");
    let trace = match route {
        "/livez" | "/readyz" | "/metrics" => RequestTrace::none(),
        _ => app.traces.request(request.headers(), method.as_str(), route),
    };
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    let span = tracing::info_span!("request", id, trace_id = trace.id());
    trace.attribute("spadework.request_id", id.unwrap_or_default());
    request.extensions_mut().insert(trace.clone());
    let response = next.run(request).instrument(span.clone()).await;
    let (status, ms) = (response.status().as_u16(), started.elapsed().as_secs_f64() * 1e3);
    trace.finish(status);
    app.metrics.http_request(route, method.as_str(), status);
    let _entered = span.enter();
    match route {
        "/livez" | "/readyz" | "/metrics" => tracing::debug!(%method, route, status, ms, "answered"),
        _ => tracing::info!(%method, route, status, ms, "answered"),
    }
    response
}

/// The answer to a request whose handler panicked; the panic hook has printed it.
pub fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    drop(panic);
    tracing::error!("a handler panicked");
    let mut response = Problem::internal().into_response();
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Panics as log lines, so that they can be found where all else is.
pub fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        let message = info.payload_as_str().unwrap_or("a panic without words");
        tracing::error!(place, message, "panicked");
    }));
}
