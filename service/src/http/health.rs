//! What probes and scrapers ask. Neither queues behind work nor needs a key.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::{
    app::App,
    problem::{Problem, ProblemBody},
};

/// Whether the process turns over
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "checkLiveness",
    tag = "operations",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")),
)]
pub async fn livez() -> &'static str {
    "live\n"
}

/// Whether requests should be sent here
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "checkReadiness",
    tag = "operations",
    responses(
        (status = 200, description = "They should", body = String, content_type = "text/plain"),
        (status = 503, description = "They should not; the detail says why", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    app.ready().map(|()| "ready\n")
}

/// Metrics in the Prometheus text format
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "readMetrics",
    tag = "operations",
    responses((status = 200, description = "Every metric", body = String, content_type = "text/plain")),
)]
pub async fn metrics(State(app): State<App>) -> Response {
    app.fleet.report();
    app.metrics.in_flight(app.lifecycle.in_flight());
    app.metrics.ready(app.ready().is_ok());
    match app.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, spadework_metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            Problem::internal().into_response()
        }
    }
}
