//! The HTTP surface. Only this module knows of statuses and headers.

mod admin;
mod app;
mod assets;
mod delivery;
mod discard;
mod docs;
mod guard;
mod health;
mod host;
mod keys;
mod lifecycle;
mod listen;
mod listening;
mod models;
mod observe;
pub mod openapi;
mod problem;
mod rate;
mod synthesize;
mod write_timeout;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue},
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::{AllowHeaders, AllowMethods, CorsLayer, ExposeHeaders},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};

use guard::Listener;

pub use app::{App, HttpSettings, Parts};
pub use keys::KeyRing;
pub use lifecycle::{Lifecycle, Phase};
pub use listen::{Patience, serve};
pub use listening::Listening;
pub use observe::log_panics;
pub use rate::RateLimit;

/// Everything but what belongs to the operator.
pub fn public(app: &App, cors: &[HeaderValue]) -> Router {
    let guarded = Router::new()
        .route("/synthesize", post(synthesize::synthesize))
        .route("/mask", post(synthesize::read_mask))
        .route("/models", get(models::list))
        .route("/models/{name}", get(models::describe))
        .route_layer(from_fn_with_state(app.clone(), guard::guard));
    let pages = Router::new()
        .route("/", get(assets::studio))
        .route("/docs", get(docs::folder))
        .route("/docs/", get(docs::page))
        .route("/docs/{*path}", get(docs::asset))
        .route("/studio/{*path}", get(assets::asset))
        .route("/openapi.json", get(openapi::description))
        .layer(CompressionLayer::new())
        .layer(from_fn(assets::answer_conditionally));
    let open = Router::new().route("/livez", get(health::livez)).route("/readyz", get(health::readyz));
    finish(app, guarded.merge(pages).merge(open), cors)
}

/// The public part and the operator's, on one address.
pub fn whole(app: &App, cors: &[HeaderValue]) -> Router {
    public(app, cors).merge(operator(app, Listener::Public))
}

/// What belongs to the operator: metrics and management. Probes answer here too.
pub fn operator_alone(app: &App) -> Router {
    let probes = Router::new().route("/livez", get(health::livez)).route("/readyz", get(health::readyz));
    operator(app, Listener::Administration).merge(finish(app, probes, &[]))
}

fn operator(app: &App, listener: Listener) -> Router {
    let management = Router::new()
        .route("/admin/models/{name}/reload", post(admin::reload))
        .route_layer(from_fn_with_state((app.clone(), listener), guard::administrators))
        .route_layer(from_fn_with_state(app.clone(), guard::guard));
    finish(app, management.route("/metrics", get(health::metrics)), &[])
}

/// The layers of every route, the outermost first.
fn finish(app: &App, routes: Router<App>, cors: &[HeaderValue]) -> Router {
    let id = HeaderName::from_static(observe::REQUEST_ID);
    let layers = ServiceBuilder::new()
        .layer(from_fn(observe::distrust_request_id))
        .layer(SetRequestIdLayer::new(id.clone(), MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(id))
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .option_layer((!cors.is_empty()).then(|| cors_layer(cors)))
        .layer(from_fn(problem::render))
        .layer(from_fn(discard::discard_when_refused))
        .layer(from_fn(host::require_one))
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(DefaultBodyLimit::max(app.settings.limits.bytes));
    routes.layer(layers).with_state(app.clone())
}

fn cors_layer(origins: &[HeaderValue]) -> CorsLayer {
    let exposed = [
        "x-request-id",
        "x-seed",
        "x-model",
        "x-mask-format",
        "x-batch-size",
        "server-timing",
        "retry-after",
    ];
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list(exposed.map(HeaderName::from_static)))
}
