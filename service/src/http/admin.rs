//! Management: reloading a model without a dropped request.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use spadework_checkpoint::CheckpointError;
use spadework_remote::RemoteError;
use utoipa::ToSchema;

use super::{
    app::App,
    problem::{Problem, ProblemBody},
};
use crate::fleet::Reloaded;

/// What a reload did.
#[derive(Serialize, ToSchema)]
pub struct ReloadAnswer {
    /// The model.
    model: String,
    /// Whether its files had changed and a new generation is served.
    replaced: bool,
    /// SHA-256 of the files that are served.
    digest: String,
}

/// Reloads a model
///
/// Reads its files again, from its store if it comes from one, and, if they have changed, serves them from now on. Requests that wait are answered by the
/// generation they were admitted to. With API keys only an administrator's may do this; without, only who reaches the listener of --admin-listen.
#[utoipa::path(
    post,
    path = "/admin/models/{name}/reload",
    operation_id = "reloadModel",
    tag = "admin",
    params(("name" = String, Path, description = "The model's name", example = "landscape")),
    responses(
        (status = 200, description = "It is served", body = ReloadAnswer),
        (status = 401, description = "An API key is needed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not an administrator's key; or, without keys, not the listener of --admin-listen", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such model", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Its files cannot be used; what was served goes on", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "This key sent too much", body = ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "The store that the model comes from does not answer; what was served goes on", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The server is starting or stopping", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("key" = []), ("key_header" = [])),
)]
pub async fn reload(State(app): State<App>, Path(name): Path<String>) -> Result<Json<ReloadAnswer>, Problem> {
    app.admits()?;
    let (fleet, model) = (app.fleet.clone(), name.clone());
    let reloaded = tokio::task::spawn_blocking(move || fleet.reload(&model)).await;
    let reloaded = reloaded.map_err(|_| Problem::internal())?;
    let reloaded = reloaded.map_err(|error| reload_problem(&error, &name, &app))?;
    let serving = app.fleet.get(Some(&name)).ok_or_else(Problem::internal)?;
    Ok(Json(ReloadAnswer {
        digest: serving.model.digest().to_owned(),
        model: name,
        replaced: reloaded == Reloaded::Replaced,
    }))
}

fn reload_problem(error: &anyhow::Error, name: &str, app: &App) -> Problem {
    tracing::error!(model = name, error = format!("{error:#}"), "a model could not be reloaded");
    match error.downcast_ref() {
        Some(CheckpointError::Unknown(_)) => Problem::unknown_model(name, &app.fleet.names()),
        Some(_) => Problem::model_unusable(format!("{error:#}")),
        None => match error.downcast_ref() {
            Some(RemoteError::Io { .. }) | None => Problem::internal(),
            Some(remote) if remote.is_bad_content() => Problem::model_unusable(format!("{error:#}")),
            Some(_) => Problem::store_unreachable(format!("{error:#}; what was served goes on")),
        },
    }
}
