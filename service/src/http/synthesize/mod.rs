//! `POST /synthesize`: a request to its answer. Nothing here waits but for a body, a batch or a codec thread.

mod accept;
mod members;
mod request;
mod schema;
mod timing;

use std::time::Instant;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use opentelemetry::trace::SpanContext;
use spadework_batching::{Done, Failure, Ticket};
use spadework_imaging::{EncodeError, Format, MaskReport, Size, check_encodable, peek};
use spadework_metrics::{Outcome, Stage};
use tokio::time::timeout;

use super::{
    app::App,
    discard::discard,
    problem::{Problem, ProblemBody},
};
use crate::{
    codec::Reserved,
    fleet::Serving,
    synthesis::{EngineWorker, Job, Made, OutputSize, Picture, Prepared, output_size, prepare, render},
    traces::RequestTrace,
};
use accept::{Answer, negotiate};
use request::SynthesisRequest;
use timing::Timing;

pub use schema::{SynthesisAnswer, SynthesisForm, SynthesisJson};

/// Makes pictures from a mask
///
/// The same mask, style, seed and model make the same bytes, whatever else is running. Options are parts of the
/// form, one JSON part `options`, members of the JSON body, or the query.
#[utoipa::path(
    post,
    path = "/synthesize",
    tag = "synthesis",
    request_body(content(
        (SynthesisForm = "multipart/form-data"),
        (Vec<u8> = "image/png"),
        (SynthesisJson = "application/json"),
    )),
    responses(
        (status = 200, description = "The picture; or all of them, in JSON", content(
            (Vec<u8> = "image/png"),
            (Vec<u8> = "image/jpeg"),
            (Vec<u8> = "image/webp"),
            (SynthesisAnswer = "application/json"),
        ), headers(
            ("X-Request-Id" = String, description = "Finds the request in the server's log"),
            ("X-Seed" = u64, description = "The seed; of several pictures, the first one's"),
            ("X-Model" = String, description = "The model that made it"),
            ("X-Batch-Size" = u32, description = "Pictures that were computed together"),
            ("Server-Timing" = String, description = "Milliseconds in decode, plan, queue, generate and encode"),
        )),
        (status = 400, description = "Not an image, damaged, or not parseable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "An API key is needed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such model", body = ProblemBody, content_type = "application/problem+json"),
        (status = 406, description = "No accepted type can be answered, or several pictures were asked for as one image", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The upload took too long", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too many bytes or pixels", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "A type that is not read here", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The mask's size or labels, or the options, do not fit the model", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "The answer would be late, or this key sent too much; Retry-After says when to come back", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The fault is the server's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The server is starting or stopping; Retry-After says when to come back", body = ProblemBody, content_type = "application/problem+json"),
        (status = 504, description = "The deadline passed", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("key" = [])),
)]
pub async fn synthesize(State(app): State<App>, request: Request) -> Response {
    let started = Instant::now();
    let mut model = None;
    let result = answer(&app, request, started, &mut model).await;
    let outcome = result.as_ref().map_or_else(Problem::outcome, |_| Outcome::Ok);
    let name = model.as_ref().map_or("none", |serving| serving.model.name());
    app.metrics.request_finished(name, outcome, started.elapsed());
    result.unwrap_or_else(|problem| {
        if let Some(reason) = problem.rejected() {
            app.metrics.rejected(reason);
        }
        problem.into_response()
    })
}

async fn answer(
    app: &App,
    request: Request,
    started: Instant,
    model: &mut Option<Serving>,
) -> Result<Response, Problem> {
    let (accept, held) = match welcome(app, request.headers()) {
        Ok(welcome) => welcome,
        Err(problem) => {
            discard(request).await;
            return Err(problem);
        }
    };
    let trace = request.extensions().get::<RequestTrace>().cloned().unwrap_or_else(RequestTrace::none);
    let request = timeout(app.settings.upload_timeout, request::read(request))
        .await
        .map_err(|_| Problem::upload_timeout(app.settings.upload_timeout))??;
    trace.stage("read", started, started.elapsed());
    let options = &request.options;
    let serving = app.fleet.get(options.model.as_deref()).ok_or_else(|| app.unknown_model(options))?;
    *model = Some(serving.clone());
    trace.attribute("spadework.model", serving.model.name());
    if options.count.get() > 1 && accept != Answer::Json {
        let several = format!("{} pictures do not fit one image", options.count.get());
        return Err(Problem::not_acceptable(format!("{several}; ask with `Accept: application/json`")));
    }
    let deadline = started + app.deadline(options)?;
    let expected = serving.queue.check(options.count.get(), request.bytes(), deadline)?;

    let held_pixels = reserve_pixels(app, &request)?;
    let (prepared, output) = prepare_on_pool(app, &serving, request, accept.format()).await?;
    let Prepared { jobs, seeds, report, began, decoding, planning } = prepared;
    trace.stage(Stage::Decode.as_str(), began, decoding);
    trace.stage(Stage::Plan.as_str(), began + decoding, planning);
    let jobs = jobs.into_iter().map(|job| (job.bytes(), Job { caller: trace.context(), ..job }));
    let jobs = jobs.map(|(bytes, job)| (job, bytes)).collect();
    let queued = Instant::now();
    let done = all(serving.queue.submit_expected(expected, jobs, deadline)?).await?;
    let timing = Timing::new(decoding, planning, &done);
    trace_batch(&trace, queued, &timing, &done);

    let encoding = Instant::now();
    let pictures: Vec<Picture> = done.into_iter().map(|done| done.output.picture).collect();
    let body = encode_on_pool(app, &serving, accept, pictures, &seeds, report, output).await?;
    let timing = Timing { encode: encoding.elapsed(), ..timing };
    trace.stage(Stage::Encode.as_str(), encoding, timing.encode);
    serving.queue.observe_codec(timing.encode);
    timing.record(app, serving.model.name());
    drop((held, held_pixels)); // what came is gone, what goes out takes its place
    let body = held_until_sent(app, body)?;
    Ok(respond(body, accept, &serving, seeds[0], &timing))
}

/// What can be said before the body is read: whether it is, and in which form it is answered.
fn welcome(app: &App, headers: &HeaderMap) -> Result<(Answer, Reserved), Problem> {
    app.admits()?;
    let accept = accepted(headers)?;
    let held = app.codec.reserve(app.expected_bytes(headers)?).ok_or_else(Problem::codec_full)?;
    Ok((accept, held))
}

fn accepted(headers: &HeaderMap) -> Result<Answer, Problem> {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accept = accept.collect::<Vec<_>>().join(", ");
    negotiate(Some(&accept)).ok_or_else(|| {
        let known = Answer::ALL.map(Answer::media_type).join(", ");
        Problem::not_acceptable(format!("`Accept: {accept}` takes none of {known}; ask for one of these"))
    })
}

/// Takes what the pixels that are not of the model's size will take: a style picture's, and those of a picture of the
/// mask's size. A mask is sampled row by row.
fn reserve_pixels(app: &App, request: &SynthesisRequest) -> Result<Reserved, Problem> {
    let files = request.files()?;
    let mask = Some(files.mask).filter(|_| request.options.output_size == OutputSize::Mask);
    let most = app.settings.limits.pixels;
    let pixels = |bytes| peek(bytes).map_or(0, |header| header.size.pixels().min(most));
    let pixels: u64 = [mask, files.style].into_iter().flatten().map(pixels).sum();
    let bytes = usize::try_from(3 * pixels).unwrap_or(usize::MAX);
    app.codec.reserve(bytes).ok_or_else(Problem::codec_full)
}

/// Decodes and plans on the codec pool. Answers the size that the pictures are to have, where it is not the model's.
async fn prepare_on_pool(
    app: &App,
    serving: &Serving,
    request: SynthesisRequest,
    format: Format,
) -> Result<(Prepared, Option<Size>), Problem> {
    let limits = app.settings.limits;
    let model = serving.model.clone();
    let work = move || {
        let prepared = prepare(&model, &request.files()?, &request.options, &limits)?;
        let size = prepared.report.original_size;
        let output = output_size(request.options.output_size, model.picture_size(), size);
        check_encodable(format, output.unwrap_or(model.picture_size()))?;
        Ok((prepared, output))
    };
    app.codec.run(work).await?
}

/// All answers, or the first failure; then the others are withdrawn.
async fn all(tickets: Vec<Ticket<EngineWorker>>) -> Result<Vec<Done<Made>>, Problem> {
    let mut done = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        let answer = ticket.await.inspect_err(|failure| {
            if let Failure::Batch { cause, .. } = failure {
                tracing::error!(cause = &**cause as &dyn std::error::Error, "the request's batch failed");
            }
        });
        done.push(answer?);
    }
    Ok(done)
}

/// The stages of the device's thread, from when the jobs were `queued`. Of several pictures the slowest counts.
fn trace_batch(trace: &RequestTrace, queued: Instant, timing: &Timing, done: &[Done<Made>]) {
    trace.stage(Stage::Queue.as_str(), queued, timing.queue);
    let batch = done.last().map_or(SpanContext::NONE, |done| done.output.batch.clone());
    trace.linked_stage(Stage::Generate.as_str(), queued + timing.queue, timing.generate, batch);
}

async fn encode_on_pool(
    app: &App,
    serving: &Serving,
    accept: Answer,
    pictures: Vec<Picture>,
    seeds: &[u64],
    report: MaskReport,
    output: Option<Size>,
) -> Result<Vec<u8>, Problem> {
    let model = serving.model.name().to_owned();
    let seeds = seeds.to_vec();
    let work = move || -> Result<Vec<u8>, EncodeError> {
        let mut files = Vec::with_capacity(pictures.len());
        for (picture, seed) in pictures.into_iter().zip(seeds) {
            files.push((render(&picture.image, output, accept.format())?, seed, picture.z));
        }
        Ok(match accept {
            Answer::Json => schema::json(model, files, &report),
            _ => files.into_iter().next().map(|(file, ..)| file).unwrap_or_default(),
        })
    };
    Ok(app.codec.run(work).await??)
}

/// An answer counts among the bytes that may be held until its last one is sent: a thousand slow readers hold no more
/// than the server has to give.
fn held_until_sent(app: &App, body: Vec<u8>) -> Result<Bytes, Problem> {
    struct Held {
        body: Vec<u8>,
        _reserved: Reserved,
    }
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.body
        }
    }
    let reserved = app.codec.reserve(body.len()).ok_or_else(Problem::codec_full)?;
    Ok(Bytes::from_owner(Held { body, _reserved: reserved }))
}

fn respond(body: Bytes, accept: Answer, serving: &Serving, seed: u64, timing: &Timing) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(accept.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(HeaderName::from_static("x-seed"), HeaderValue::from(seed));
    headers.insert(HeaderName::from_static("x-batch-size"), HeaderValue::from(timing.batch_size));
    let texts = [("x-model", serving.model.name().to_owned()), ("server-timing", timing.header())];
    for (name, text) in texts {
        // A model's name is its folder's, which may hold what a header may not.
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}
