//! Who may pass: callers with a key and within their rate; to management, without keys, those on the same machine.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{app::App, discard::discard, listen::Peer, problem::Problem};

/// Lets those pass who have a key and are within their rate.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let allowed = app.keys.caller(request.headers()).and_then(|caller| {
        app.rate.as_ref().map_or(Ok(()), |rate| rate.check(&caller))?;
        Ok(caller)
    });
    match allowed {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => {
            if let Some(reason) = problem.rejected() {
                app.metrics.rejected(reason);
            }
            discard(request).await;
            problem.into_response()
        }
    }
}

/// Without keys, management is for callers on the same machine.
pub async fn local_without_keys(State(app): State<App>, request: Request, next: Next) -> Response {
    let local =
        request.extensions().get::<Peer>().is_some_and(|Peer(peer)| peer.ip().to_canonical().is_loopback());
    if app.keys.asks() || local {
        return next.run(request).await;
    }
    Problem::forbidden(
        "without API keys models are managed from the same machine only; start the server with --keys-file",
    )
    .into_response()
}
