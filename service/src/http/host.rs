//! Whom a request is for.

use axum::{
    extract::Request,
    http::{Version, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::problem::Problem;

/// Refuses a request of HTTP/1.1 that does not name its host exactly once (RFC 9112, section 3.2): of two names, whoever stands
/// before the server may have gone by the other.
pub async fn require_one(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    match request.version() {
        Version::HTTP_11 if hosts != 1 => {
            Problem::malformed(format!("there are {hosts} `Host` headers; send exactly one")).into_response()
        }
        _ if hosts > 1 => Problem::malformed("there are several `Host` headers; send one").into_response(),
        _ => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::StatusCode, middleware::from_fn, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_host_is_named_once() {
        let router = Router::new().route("/", get(|| async {})).layer(from_fn(require_one));
        for (version, hosts, status) in [
            (Version::HTTP_11, 1, StatusCode::OK),
            (Version::HTTP_11, 0, StatusCode::BAD_REQUEST),
            (Version::HTTP_11, 2, StatusCode::BAD_REQUEST),
            (Version::HTTP_10, 0, StatusCode::OK),
            (Version::HTTP_2, 0, StatusCode::OK),
            (Version::HTTP_2, 2, StatusCode::BAD_REQUEST),
        ] {
            let request =
                (0..hosts).fold(Request::get("/").version(version), |request, _| request.header("host", "a"));
            let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), status, "{version:?} {hosts}");
        }
    }
}
