//! Who may pass: callers with a key and within their rate; to management, without keys, whoever reaches a listener of its
//! own.

use axum::{
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{app::App, keys::Role, problem::Problem};

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
        Err(problem) => refuse(&app, problem),
    }
}

/// Lets administrators pass. Without keys everybody who comes is one, if `listener` is management's alone: where an
/// address is reached from says nothing, since a proxy or a web page on the same machine is local too.
pub async fn administrators(
    State((app, listener)): State<(App, Listener)>,
    request: Request,
    next: Next,
) -> Response {
    let allowed = if app.keys.asks() {
        app.keys.caller(request.headers()).and_then(|caller| match caller.role {
            Role::Administrator => Ok(()),
            Role::Caller => Err(Problem::forbidden(
                "this key is not an administrator's; write it as `admin:name:key` in the file of keys",
            )),
        })
    } else if listener == Listener::Public {
        Err(Problem::forbidden(
            "without API keys models are managed on a listener of their own; start the server with --admin-listen or --keys-file",
        ))
    } else if request.headers().contains_key(header::ORIGIN) {
        // Browsers send it with whatever a page asks of another address; they need no key for an address on their machine.
        Err(Problem::forbidden(
            "without API keys no page of a browser manages models; start the server with --keys-file",
        ))
    } else {
        Ok(())
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(problem) => refuse(&app, problem),
    }
}

/// Which listener a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// The one that everybody uses.
    Public,
    /// Management's own.
    Administration,
}

fn refuse(app: &App, problem: Problem) -> Response {
    if let Some(reason) = problem.rejected() {
        app.metrics.rejected("none", reason);
    }
    problem.into_response()
}
