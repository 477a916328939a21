//! The API's own description, made from the code.

use axum::Json;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        AllOf, Object, RefOr, Schema,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
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
    modifiers(&DescribeKeys, &MergeFlattened, &RemoveNullDefaults),
)]
pub struct Api;

/// Describes the ways to send a key.
struct DescribeKeys;

impl Modify for DescribeKeys {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("needed when the server has keys"));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer.build()));
    }
}

/// Makes one object of the parts that a flattened field comes in: of two parts of which one takes no other members than
/// its own, nothing is an instance.
struct MergeFlattened;

impl Modify for MergeFlattened {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for schema in api.components.get_or_insert_default().schemas.values_mut() {
            if let RefOr::T(Schema::AllOf(parts)) = schema
                && let Some(whole) = merged(parts)
            {
                *schema = RefOr::T(Schema::Object(whole));
            }
        }
    }
}

/// The parts as one object, if none of them is described elsewhere.
fn merged(parts: &AllOf) -> Option<Object> {
    let mut whole = Object::new();
    whole.description.clone_from(&parts.description);
    for part in &parts.items {
        let RefOr::T(Schema::Object(part)) = part else { return None };
        whole.properties.extend(part.properties.clone());
        whole.required.extend(part.required.clone());
        whole.additional_properties = whole.additional_properties.or(part.additional_properties.clone());
    }
    Some(whole)
}

/// Takes away the default `null` of options that may be left out but not be `null`.
struct RemoveNullDefaults;

impl Modify for RemoveNullDefaults {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for schema in api.components.get_or_insert_default().schemas.values_mut() {
            let RefOr::T(Schema::Object(object)) = schema else { continue };
            for property in object.properties.values_mut() {
                let default = match property {
                    RefOr::T(Schema::Object(property)) => &mut property.default,
                    RefOr::T(Schema::Array(property)) => &mut property.default,
                    _ => continue,
                };
                default.take_if(|default| default.is_null());
            }
        }
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

    #[test]
    fn an_instance_of_every_request_is_possible() {
        let api = serde_json::to_value(Api::openapi()).unwrap();
        for name in ["SynthesisForm", "SynthesisJson"] {
            let schema = &api["components"]["schemas"][name];
            assert_eq!(schema["additionalProperties"], false, "{name}");
            for member in ["mask", "seed"] {
                assert!(schema["properties"].get(member).is_some(), "{name} has no {member}");
            }
            assert!(schema["properties"]["seed"].get("default").is_none());
        }
    }
}
