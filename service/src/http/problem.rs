//! Errors as `application/problem+json` (RFC 9457): what is wrong and what to change, never a cause of ours.

use std::time::Duration;

use axum::{
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use spadework_batching::{Failure, Refused};
use spadework_imaging::{EncodeError, ErrorKind};
use spadework_metrics::{Outcome, RejectReason};
use tower_http::request_id::RequestId;
use utoipa::ToSchema;

use crate::{
    codec::CodecPanic,
    synthesis::{Kind, OptionsError, PrepareError, RenderError},
    text::shortened,
};

/// The longest detail in characters: it may quote what was sent.
const LONGEST_DETAIL: usize = 1000;

/// A refusal or failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: String,
    retry_after: Option<Duration>,
    /// Whether the answer says which content codings are read: none.
    refuses_encoding: bool,
    rejected: Option<RejectReason>,
}

/// The body of a problem.
#[derive(Serialize, ToSchema)]
pub struct ProblemBody {
    /// Stable; tells problems apart for programs.
    #[serde(rename = "type")]
    #[schema(example = "urn:spadework:problem:unknown-labels")]
    kind: String,
    /// The same for every problem of this type.
    title: String,
    /// The HTTP status.
    #[schema(value_type = u16)]
    status: u16,
    /// What is wrong this time, and what to change.
    detail: String,
    /// Finds the request in the server's log.
    request_id: String,
}

impl Problem {
    fn new(status: StatusCode, slug: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = shortened(&detail.into(), LONGEST_DETAIL).into_owned();
        Self { status, slug, title, detail, retry_after: None, refuses_encoding: false, rejected: None }
    }

    fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    fn counted(mut self, reason: RejectReason) -> Self {
        self.rejected = Some(reason);
        self
    }

    /// Under which reason the refusal is counted, if it is one.
    pub fn rejected(&self) -> Option<RejectReason> {
        self.rejected
    }

    /// How a request ended that was answered so.
    pub fn outcome(&self) -> Outcome {
        match self.status.as_u16() {
            504 => Outcome::Late,
            401 | 403 | 429 | 503 => Outcome::Refused,
            400..=499 => Outcome::Invalid,
            _ => Outcome::Failed,
        }
    }

    /// 400: the request's own form cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", detail)
    }

    /// 401: no key, or one that is not known.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "An API key is needed", detail)
            .counted(RejectReason::Unauthorized)
    }

    /// 403: not for this caller.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "This is not allowed", detail)
    }

    /// 404: no such model.
    pub fn unknown_model(name: &str, known: &[String]) -> Self {
        let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let detail = format!("there is no model `{name}`; there are {known}");
        Self::new(StatusCode::NOT_FOUND, "unknown-model", "There is no such model", detail)
    }

    /// 406: none of the accepted types can be answered.
    pub fn not_acceptable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "No accepted type can be answered", detail)
    }

    /// 408: the body did not arrive.
    pub fn upload_timeout(limit: Duration) -> Self {
        let detail = format!("the body did not arrive within {limit:?}; send it faster or make it smaller");
        Self::new(StatusCode::REQUEST_TIMEOUT, "upload-timeout", "The upload took too long", detail)
    }

    /// 413: too many bytes or pixels.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large", detail)
    }

    /// 415: a type that is not read here.
    pub fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-type",
            "This type is not read here",
            detail,
        )
    }

    /// 415: a compressed body (RFC 9110, section 12.5.3).
    pub fn unsupported_encoding(encoding: &str) -> Self {
        let detail = format!("a body with `Content-Encoding: {encoding}` is not read here; send it as it is");
        Self { refuses_encoding: true, ..Self::unsupported(detail) }
    }

    /// 422: options that cannot be used.
    pub fn invalid_options(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-options", "The options cannot be used", detail)
    }

    /// 422: the files of a model cannot be served; what was served goes on.
    pub fn model_unusable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "model-unusable", "The model cannot be used", detail)
    }

    /// 429: more requests than this key may send.
    pub fn rate_limited(wait: Duration) -> Self {
        let detail = "this key has sent more requests than it may; send fewer, or ask for a higher rate";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests", detail)
            .after(wait)
            .counted(RejectReason::RateLimit)
    }

    /// 502: the store that models come from does not answer.
    pub fn store_unreachable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "store-unreachable", "The store of models does not answer", detail)
    }

    /// 503: more bytes are being decoded than may be.
    pub fn codec_full() -> Self {
        let detail = "too many bytes are being decoded or sent at this moment; send the request again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "The server is busy", detail)
            .after(Duration::from_secs(1))
            .counted(RejectReason::CodecFull)
    }

    /// 429: the answer would be late, with what waits for the codec threads.
    pub fn overloaded(wait: Duration) -> Self {
        Self::from(Refused::Late { retry_after: wait })
    }

    /// 504: the deadline has passed.
    pub fn late() -> Self {
        let detail = "the deadline passed before the picture could be made; allow more `deadline_ms`";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "late", "The deadline has passed", detail)
    }

    /// 503: models are being loaded, or the device does not answer.
    pub fn not_ready(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The server is not ready", detail)
            .after(Duration::from_secs(2))
    }

    /// 503: the server is stopping.
    pub fn draining() -> Self {
        let detail = "the server is stopping and takes nothing new; send the request to another one";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "The server is stopping", detail)
            .after(Duration::from_secs(1))
            .counted(RejectReason::Draining)
    }

    /// 500: ours; the cause is in the log.
    pub fn internal() -> Self {
        let detail = "the fault is the server's; its log has the cause under this request_id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed", detail)
    }

    /// A response that some layer made without a problem, by its status.
    fn of_status(status: StatusCode) -> Self {
        let (slug, title, detail) = match status.as_u16() {
            404 => ("not-found", "There is nothing at this path", "look at /docs for the paths there are"),
            405 => (
                "method-not-allowed",
                "This path has another method",
                "the `Allow` header says which methods it has",
            ),
            413 => ("too-large", "The request is too large", "send a smaller body"),
            415 => {
                ("unsupported-type", "This type is not read here", "look at /docs for the types there are")
            }
            400..=499 => ("malformed", "The request cannot be read", "look at /docs for what can be sent"),
            _ => return Self { status, ..Self::internal() },
        };
        Self::new(status, slug, title, detail)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let busy = |detail: &str, wait, reason| {
            Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", "The server has too much to do", detail)
                .after(wait)
                .counted(reason)
        };
        match refused {
            Refused::Late { retry_after } => {
                let detail =
                    "the answer would come after its deadline; come back later or allow more `deadline_ms`";
                busy(detail, retry_after, RejectReason::Late)
            }
            Refused::Full { retry_after } => {
                busy("the queue is full; come back later", retry_after, RejectReason::QueueFull)
            }
            Refused::Draining => Self::draining(),
            Refused::DeviceLost => Self::not_ready(
                "a device is lost and the server is about to end; send the request to another one",
            )
            .counted(RejectReason::DeviceLost),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::DeadlinePassed => Self::late(),
            Failure::Draining => Self::draining(),
            Failure::DeviceLost => Self::from(Refused::DeviceLost),
            Failure::Batch { .. } => Self::internal(), // the batch's own log line has the cause
        }
    }
}

impl From<OptionsError> for Problem {
    fn from(error: OptionsError) -> Self {
        Self::invalid_options(error.to_string())
    }
}

impl From<PrepareError> for Problem {
    fn from(error: PrepareError) -> Self {
        let detail = error.to_string();
        let unprocessable = |slug, title| Self::new(StatusCode::UNPROCESSABLE_ENTITY, slug, title, &detail);
        match error.kind() {
            Kind::Options => Self::invalid_options(detail),
            Kind::File(ErrorKind::NotAnImage) => {
                Self::new(StatusCode::BAD_REQUEST, "not-an-image", "This is not an image", detail)
            }
            Kind::File(ErrorKind::Damaged) => {
                Self::new(StatusCode::BAD_REQUEST, "damaged-image", "The image is damaged", detail)
            }
            Kind::File(ErrorKind::TooLarge) => Self::too_large(detail),
            Kind::File(ErrorKind::Unsupported) => Self::unsupported(detail),
            Kind::File(ErrorKind::WrongSize) => unprocessable("wrong-size", "The image has the wrong size"),
            Kind::File(ErrorKind::UnknownLabels) => {
                unprocessable("unknown-labels", "The mask has labels that the model does not")
            }
            Kind::Abandoned => Self::late(), // nobody hears it
            Kind::Ours => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request could not be prepared");
                Self::internal()
            }
        }
    }
}

impl From<EncodeError> for Problem {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::TooLarge { .. } => {
                let detail = format!("the picture cannot be written: {error}");
                Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "wrong-size",
                    "The image has the wrong size",
                    detail,
                )
            }
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "a picture could not be encoded");
                Self::internal()
            }
        }
    }
}

impl From<RenderError> for Problem {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::Encode(error) => error.into(),
            RenderError::Abandoned => Self::late(), // nobody hears it
        }
    }
}

impl From<CodecPanic> for Problem {
    fn from(_: CodecPanic) -> Self {
        Self::internal()
    }
}

impl IntoResponse for Problem {
    /// The status and the problem itself; [`render`] writes the body, which has the request's id in it.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every error its body, also those that other layers answer.
pub async fn render(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = response.extensions_mut().remove().unwrap_or_else(|| Problem::of_status(status));
    let request_id = id.and_then(|id| id.header_value().to_str().ok().map(str::to_owned)).unwrap_or_default();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(wait) = problem.retry_after {
        // Whole seconds, and never 0: that would invite a storm.
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        parts.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.refuses_encoding {
        parts.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if problem.status == StatusCode::UNAUTHORIZED {
        parts.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let body = ProblemBody {
        kind: format!("urn:spadework:problem:{}", problem.slug),
        title: problem.title.to_owned(),
        status: problem.status.as_u16(),
        detail: problem.detail,
        request_id,
    };
    // Strings and a number: there is nothing in it that JSON cannot say.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    Response::from_parts(parts, body.into())
}
