//! `POST /mask`: what a file would be taken for as a mask, without a picture.

use std::time::Instant;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use spadework_imaging::{encode_label_png, peek};
use tokio::time::{timeout, timeout_at};

use super::{
    AnswerFormat, accepted, mask_format,
    refusals::Refusals,
    request,
    schema::{MaskAnswer, SynthesisForm, SynthesisJson, SynthesisQuery, mask_answer},
};
use crate::{
    codec::{Kind, Work},
    http::{app::App, problem::Problem},
    synthesis::read_mask as decode,
};

/// Reads a mask
///
/// Answers how `POST /synthesize` would read it: the class ids at the model's size as a grey PNG, or in JSON what its pixels
/// mean and which classes are in it. Options are those of a synthesis; `model`, `mask_format` and `resize` matter here.
#[utoipa::path(
    post,
    path = "/mask",
    operation_id = "readMask",
    tag = "synthesis",
    params(SynthesisQuery),
    request_body(content(
        (SynthesisForm = "multipart/form-data"),
        (Vec<u8> = "image/png"),
        (SynthesisJson = "application/json"),
    )),
    responses(
        (status = 200, description = "The mask as it was read", content(
            (Vec<u8> = "image/png"),
            (MaskAnswer = "application/json"),
        ), headers(
            ("X-Request-Id" = String, description = "Finds the request in the server's log"),
            ("X-Model" = String, description = "The model it was read for"),
            ("X-Mask-Format" = String, description = "What its pixels were read as"),
        )),
        Refusals,
    ),
    security((), ("key" = []), ("key_header" = [])),
)]
pub async fn read_mask(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    answer(&app, request).await.inspect_err(|problem| {
        if let Some(reason) = problem.rejected() {
            app.metrics.rejected("none", reason);
        }
    })
}

async fn answer(app: &App, request: Request) -> Result<Response, Problem> {
    let started = Instant::now();
    let _in_flight = app.enter()?;
    let accept = accepted(request.headers())?;
    if !matches!(accept, AnswerFormat::Png | AnswerFormat::Json) {
        return Err(Problem::not_acceptable(
            "a mask is answered as image/png or application/json; ask for one of these",
        ));
    }
    app.check_length(request.headers())?;
    let (request, held) = timeout(app.settings.upload_timeout, request::read(app, request))
        .await
        .map_err(|_| Problem::upload_timeout(app.settings.upload_timeout))??;
    let options = &request.options;
    let serving = app.fleet.get(options.model.as_deref()).ok_or_else(|| app.unknown_model(options))?;
    let deadline = started + app.deadline(options)?;
    let limits = app.settings.limits;
    let pixels = peek(request.files()?.mask).map_or(0, |header| header.size.pixels().min(limits.pixels));
    let model = serving.model.clone();
    let job = move |_: &crate::codec::Gone<'_>| -> Result<_, Problem> {
        let mask = decode(&model, &request.files()?, &request.options, &limits)?;
        let file = match accept {
            AnswerFormat::Json => {
                serde_json::to_vec(&mask_answer(&mask.report)).map_err(|_| Problem::internal())?
            }
            _ => encode_label_png(&mask.labels)?,
        };
        drop((request, held));
        Ok((file, mask_format(&mask.report)))
    };
    let work = Work { kind: Kind::Prepare, pixels };
    let wait = app.codec.time(work);
    if started + wait > deadline {
        return Err(Problem::overloaded(wait));
    }
    let read = timeout_at(deadline.into(), app.codec.run(work, job)).await;
    let (file, format) = read.unwrap_or_else(|_| Ok(Err(Problem::late())))??;
    let mut response = Response::new(Body::from(file));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(accept.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(HeaderName::from_static("x-mask-format"), format);
    if let Ok(name) = HeaderValue::from_str(serving.model.name()) {
        headers.insert(HeaderName::from_static("x-model"), name);
    }
    Ok(response)
}
