//! `/docs`: Swagger UI over `/openapi.json`, its files inside the binary, no outside resource.

use std::sync::Arc;

use axum::{
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use utoipa_swagger_ui::Config;

/// What the page may load: its own files, and the images that it is answered. Swagger UI writes styles into its page.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; \
                      object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The page's files are named relative to a folder.
pub async fn folder() -> Redirect {
    Redirect::permanent("/docs/")
}

/// The page.
pub async fn page() -> Response {
    file("index.html")
}

/// A file of it.
pub async fn asset(Path(path): Path<String>) -> Response {
    file(&path)
}

fn file(path: &str) -> Response {
    let config = Config::from("/openapi.json").try_it_out_enabled(true).validator_url("none");
    let Ok(Some(file)) = utoipa_swagger_ui::serve(path, Arc::new(config)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = file.bytes.into_owned().into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(kind) = HeaderValue::try_from(file.content_type) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    response
}
