//! The API's own description, made from the code.

use axum::Json;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{admin, health, models, synthesize};

/// OpenAPI 3.1.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Spadework",
        description = "Turns semantic masks into photographs with the SPADE generator.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "This server")),
    paths(
        synthesize::synthesize,
        models::list,
        models::describe,
        health::livez,
        health::readyz,
        health::metrics,
        admin::reload,
        description,
    ),
    tags(
        (name = "synthesis", description = "Pictures from masks"),
        (name = "models", description = "What models there are"),
        (name = "operations", description = "Probes and metrics"),
        (name = "admin", description = "Management; with --admin-listen it is served there alone, and so is /metrics"),
    ),
    modifiers(&Keys),
)]
pub struct Api;

/// The ways to send a key.
struct Keys;

impl Modify for Keys {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("needed when the server has keys"));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer.build()));
    }
}

/// The description as it is committed in `openapi/openapi.json`.
pub fn text() -> Result<String, serde_json::Error> {
    Ok(Api::openapi().to_pretty_json()? + "\n")
}

/// This description
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object)),
)]
pub async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(Api::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_description_is_the_code_s() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/openapi.json");
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            committed == text().unwrap(),
            "run `cargo run -- openapi > openapi/openapi.json` and commit it"
        );
    }
}
