//! The studio: files inside the binary, no outside resource.

use axum::{
    body::Body,
    extract::{Path, Request},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use headers::{ETag, HeaderMapExt as _, IfNoneMatch};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "studio/"]
struct Studio;

/// What a page may load: its own files, and pictures it made itself.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// The studio.
pub async fn studio() -> Response {
    file("index.html")
}

/// A file of it.
pub async fn asset(Path(path): Path<String>) -> Response {
    file(&path)
}

/// Answers that the client has a file already, where it does (RFC 9110, section 13.1.2). Each encoding of a file has a tag of
/// its own: to be laid outside of what compresses.
pub async fn answer_conditionally(mut request: Request, next: Next) -> Response {
    let known = request.headers().typed_get::<IfNoneMatch>();
    request.headers_mut().remove(header::IF_NONE_MATCH);
    let mut response = next.run(request).await;
    let Some(tag) = tag(&response) else { return response };
    let passes = known.is_none_or(|known| known.precondition_passes(&tag));
    response.headers_mut().typed_insert(tag);
    if !passes {
        for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            response.headers_mut().remove(name);
        }
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
    }
    response
}

/// The tag of a file as it is encoded; none for an answer that is no file.
fn tag(response: &Response) -> Option<ETag> {
    let tag = response.headers().typed_get::<ETag>().filter(|_| response.status() == StatusCode::OK)?;
    let Some(encoding) = response.headers().get(header::CONTENT_ENCODING) else { return Some(tag) };
    let plain = response.headers().get(header::ETAG)?.to_str().ok()?.trim_end_matches('"');
    format!("{plain}-{}\"", encoding.to_str().ok()?).parse().ok()
}

fn file(path: &str) -> Response {
    let Some(file) = Studio::get(path) else { return StatusCode::NOT_FOUND.into_response() };
    let hash: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{hash}\"");
    let mut response = file.data.into_owned().into_response();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [(header::ETAG, etag), (header::CONTENT_TYPE, file.metadata.mimetype().to_owned())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn, routing::get};
    use tower::ServiceExt as _;
    use tower_http::compression::CompressionLayer;

    use super::*;

    async fn ask(headers: &[(&str, &str)]) -> (StatusCode, String, Option<HeaderValue>) {
        let router = Router::new().route("/", get(studio)).layer(CompressionLayer::new());
        let router = router.layer(from_fn(answer_conditionally));
        let request =
            headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let tag = response.headers()[header::ETAG].to_str().unwrap().to_owned();
        (response.status(), tag, response.headers().get(header::CONTENT_ENCODING).cloned())
    }

    #[tokio::test]
    async fn what_a_client_has_is_not_sent_again_however_it_says_so() {
        let (status, tag, _) = ask(&[]).await;
        assert_eq!(status, 200);
        let lists = [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            format!("{tag},\"y\""),
            "*".to_owned(),
            format!(" {tag} "),
        ];
        for list in lists {
            assert_eq!(ask(&[("if-none-match", &list)]).await.0, 304, "{list}");
        }
        assert_eq!(ask(&[("if-none-match", "\"nope\"")]).await.0, 200);
    }

    #[tokio::test]
    async fn each_encoding_has_a_tag_of_its_own() {
        let (_, plain, none) = ask(&[]).await;
        let (_, packed, gzip) = ask(&[("accept-encoding", "gzip")]).await;
        assert_eq!((none, gzip), (None, Some(HeaderValue::from_static("gzip"))));
        assert_ne!(plain, packed);
        for (encoding, tag, status) in
            [("gzip", &packed, 304), ("gzip", &plain, 200), ("identity", &packed, 200)]
        {
            let known = [("accept-encoding", encoding), ("if-none-match", tag)];
            assert_eq!(ask(&known).await.0, status, "{encoding} {tag}");
        }
    }
}
