//! What models there are, and what masks each takes.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    app::App,
    problem::{Problem, ProblemBody},
};
use crate::fleet::Serving;

/// Every model.
#[derive(Serialize, ToSchema)]
pub struct ModelList {
    /// By name.
    models: Vec<ModelSummary>,
}

/// A model, in short.
#[derive(Serialize, ToSchema)]
pub struct ModelSummary {
    /// Its name.
    name: String,
    /// What it makes.
    description: String,
    /// Licence of its weights.
    licence: String,
    /// SHA-256 of its files.
    digest: String,
    /// Pixels in a row of its masks.
    width: usize,
    /// Rows of its masks.
    height: usize,
    /// Pixels in a row of its pictures.
    picture_width: usize,
    /// Rows of its pictures.
    picture_height: usize,
    /// Classes, the unknown one not counted.
    label_count: usize,
    /// Whether it takes a style picture.
    accepts_style: bool,
    /// Whether its pictures vary with a latent, and so with the seed.
    has_latent: bool,
    /// Whether it is used where a request names none.
    default: bool,
    /// Its named styles.
    styles: Vec<String>,
}

/// A model with its labels.
#[derive(Serialize, ToSchema)]
pub struct ModelDetail {
    #[serde(flatten)]
    summary: ModelSummary,
    /// Where its weights come from.
    provenance: String,
    /// Its labels, by id.
    labels: Vec<LabelDetail>,
    /// The id of "unknown", if it has one.
    unknown_label: Option<u8>,
    /// Whether it uses an instance map.
    uses_instances: bool,
    /// Length of its latent, if it has one.
    z_dim: Option<usize>,
}

/// A label.
#[derive(Serialize, ToSchema)]
pub struct LabelDetail {
    /// The value of its pixels in a mask of ids.
    id: u8,
    /// Its name.
    name: String,
    /// Its colour in a mask of colours, such as `#5fdbff`.
    color: Option<String>,
}

impl ModelSummary {
    fn new(serving: &Serving, default: bool) -> Self {
        let model = &serving.model;
        let config = model.config();
        let (mask, picture) = (model.mask_size(), model.image_size());
        Self {
            name: model.name().to_owned(),
            description: config.description.clone(),
            licence: config.licence.clone(),
            digest: model.digest().to_owned(),
            width: mask.width,
            height: mask.height,
            picture_width: picture.width,
            picture_height: picture.height,
            label_count: config.architecture.label_nc,
            accepts_style: model.accepts_style(),
            has_latent: config.architecture.z_dim.is_some(),
            default,
            styles: config.styles.iter().map(|style| style.name.clone()).collect(),
        }
    }
}

impl ModelDetail {
    fn new(serving: &Serving, default: bool) -> Self {
        let labels = serving.model.labels();
        let architecture = &serving.model.config().architecture;
        let label = |id: u8| LabelDetail {
            id,
            name: labels.name(id),
            color: labels
                .label(id)
                .and_then(|label| label.color)
                .map(|[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}")),
        };
        Self {
            summary: ModelSummary::new(serving, default),
            provenance: serving.model.config().provenance.clone(),
            labels: (0..=u8::MAX).take(architecture.label_nc).map(label).collect(),
            unknown_label: labels.unknown(),
            uses_instances: architecture.instance_edges,
            z_dim: architecture.z_dim,
        }
    }
}

/// Lists the models
#[utoipa::path(
    get,
    path = "/models",
    operation_id = "listModels",
    tag = "models",
    responses(
        (status = 200, description = "Every model", body = ModelList),
        (status = 401, description = "An API key is needed", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("key" = []), ("key_header" = [])),
)]
pub async fn list(State(app): State<App>) -> Json<ModelList> {
    let models = app.fleet.all();
    Json(ModelList { models: models.iter().map(|(one, default)| ModelSummary::new(one, *default)).collect() })
}

/// Describes a model
#[utoipa::path(
    get,
    path = "/models/{name}",
    operation_id = "getModel",
    tag = "models",
    params(("name" = String, Path, description = "The model's name", example = "landscape")),
    responses(
        (status = 200, description = "The model", body = ModelDetail),
        (status = 401, description = "An API key is needed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such model", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("key" = []), ("key_header" = [])),
)]
pub async fn describe(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<ModelDetail>, Problem> {
    let models = app.fleet.all();
    let found = models.iter().find(|(serving, _)| serving.model.name() == name);
    let (serving, default) = found.ok_or_else(|| Problem::unknown_model(&name, &app.fleet.names()))?;
    Ok(Json(ModelDetail::new(serving, *default)))
}
