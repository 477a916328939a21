//! The API's own description, made from the code.

use axum::Json;
use serde_json::json;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        AllOf, Content, KnownFormat, Object, ObjectBuilder, RefOr, Response, Schema, SchemaFormat, Type,
        header::HeaderBuilder,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
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
        synthesize::read_mask,
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
    modifiers(
        &DescribeKeys,
        &MergeFlattened,
        &DescribeDefaults,
        &DescribeImages,
        &DescribeRetryAfter,
        &ShowExamples,
    ),
)]
pub struct Api;

/// Describes the ways to send a key.
struct DescribeKeys;

impl Modify for DescribeKeys {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Needed when the server has keys (--keys-file): `Authorization: Bearer KEY`"));
        let header = ApiKeyValue::with_description("X-Api-Key", "The same key in a header of its own");
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer.build()));
        components.add_security_scheme("key_header", SecurityScheme::ApiKey(ApiKey::Header(header)));
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

/// Tells the defaults of options in words: generators take a member with a default for one that must be sent, and some
/// defaults are `null`, which may be left out but not be sent.
struct DescribeDefaults;

impl Modify for DescribeDefaults {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for schema in api.components.get_or_insert_default().schemas.values_mut() {
            let RefOr::T(Schema::Object(object)) = schema else { continue };
            let mut optional = Vec::new();
            for (name, property) in &mut object.properties {
                let (default, description) = match property {
                    RefOr::T(Schema::Object(property)) => (&mut property.default, &mut property.description),
                    RefOr::T(Schema::Array(property)) => (&mut property.default, &mut property.description),
                    RefOr::T(Schema::AllOf(property)) => (&mut property.default, &mut property.description),
                    RefOr::T(Schema::OneOf(property)) => (&mut property.default, &mut property.description),
                    _ => continue,
                };
                let Some(default) = default.take() else { continue };
                optional.push(name.clone());
                if !default.is_null() {
                    let text = description.get_or_insert_default();
                    *text = format!("{} Default: {default}.", text.trim_end()).trim_start().to_owned();
                }
            }
            object.required.retain(|name| !optional.contains(name));
        }
    }
}

/// The operations of every path.
fn operations(api: &mut utoipa::openapi::OpenApi) -> impl Iterator<Item = &mut Operation> {
    api.paths.paths.values_mut().flat_map(|path| [&mut path.get, &mut path.post]).flatten()
}

/// Images are bytes, not lists of numbers.
struct DescribeImages;

impl Modify for DescribeImages {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for operation in operations(api) {
            if let Some(body) = &mut operation.request_body {
                describe_images(body.content.iter_mut());
            }
            for response in responses(operation) {
                describe_images(response.content.iter_mut());
            }
        }
    }
}

fn describe_images<'a>(content: impl Iterator<Item = (&'a String, &'a mut Content)>) {
    for (media_type, content) in content.filter(|(media_type, _)| media_type.starts_with("image/")) {
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .content_media_type(media_type);
        content.schema = Some(bytes.into());
    }
}

fn responses(operation: &mut Operation) -> impl Iterator<Item = &mut Response> {
    operation.responses.responses.values_mut().filter_map(|response| match response {
        RefOr::T(response) => Some(response),
        RefOr::Ref(_) => None,
    })
}

/// When to come back is told with every refusal that passes.
struct DescribeRetryAfter;

impl Modify for DescribeRetryAfter {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for operation in operations(api) {
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if matches!(status.as_str(), "429" | "503") {
                    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
                    let header = HeaderBuilder::new()
                        .schema(seconds)
                        .description(Some("Seconds until the request can be sent again"));
                    response.headers.insert("Retry-After".to_owned(), header.build());
                }
            }
        }
    }
}

/// The description as it is committed in `openapi/openapi.json`.
pub fn text() -> Result<String, serde_json::Error> {
    Ok(Api::openapi().to_pretty_json()? + "\n")
}

/// A mask to try: mountains under a sky, grass, a pond, as a grey PNG of 16×16 class ids of the embedded model, in base64.
const EXAMPLE_MASK: &str = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAJklEQVR42mNgoC1gQuczMaHzUUSYmFBFmJjgImxogDgBTgggVgAAk4kCstDNf/UAAAAASUVORK5CYII=";

/// Gives JSON that works as it stands, and what a form needs beside its mask. Viewers that fill in every field of a form take
/// the examples that its options have.
struct ShowExamples;

impl Modify for ShowExamples {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let posts = api.paths.paths.values_mut().filter_map(|path| path.post.as_mut());
        for body in posts.filter_map(|post| post.request_body.as_mut()) {
            for (kind, content) in &mut body.content {
                content.example = match kind.as_str() {
                    "multipart/form-data" => Some(json!({ "seed": 7 })),
                    "application/json" => Some(json!({ "mask": EXAMPLE_MASK, "seed": 7 })),
                    _ => None,
                };
            }
        }
    }
}

/// This description
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getDescription",
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
    fn examples_leave_out_what_may_be_left_out() {
        let api = serde_json::to_value(Api::openapi()).unwrap();
        for path in ["/synthesize", "/mask"] {
            let content = &api["paths"][path]["post"]["requestBody"]["content"];
            assert_eq!(content["multipart/form-data"]["example"], json!({ "seed": 7 }));
            assert_eq!(content["application/json"]["example"], json!({ "seed": 7, "mask": EXAMPLE_MASK }));
        }
    }

    #[test]
    fn images_are_bytes_and_operations_are_verbs() {
        let api = serde_json::to_value(Api::openapi()).unwrap();
        let synthesize = &api["paths"]["/synthesize"]["post"];
        for content in [&synthesize["requestBody"]["content"], &synthesize["responses"]["200"]["content"]] {
            let schema = &content["image/png"]["schema"];
            assert_eq!(
                (&schema["type"], &schema["format"]),
                (&"string".into(), &"binary".into()),
                "{schema}"
            );
        }
        for status in ["429", "503"] {
            assert!(synthesize["responses"][status]["headers"].get("Retry-After").is_some(), "{status}");
        }
        let ids = [
            ("/synthesize", "post", "synthesize"),
            ("/models", "get", "listModels"),
            ("/models/{name}", "get", "getModel"),
            ("/admin/models/{name}/reload", "post", "reloadModel"),
        ];
        for (path, method, id) in ids {
            assert_eq!(api["paths"][path][method]["operationId"], id);
        }
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
