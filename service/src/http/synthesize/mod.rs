//! `POST /synthesize`: a request to its answer. Nothing here waits but for a body, a batch or a codec thread.

use std::time::{Duration, Instant};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use opentelemetry::trace::SpanContext;
use serde::Serialize;
use spadework_batching::{Done, Failure, Ticket};
use spadework_imaging::{
    EncodeError, Format, MaskReport, RgbImage, Size, check_encodable, encode_jpeg, encode_png, encode_webp,
    peek,
};
use spadework_metrics::{Outcome, Stage};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{
    accept::{Answer, negotiate},
    app::App,
    problem::{Problem, ProblemBody},
    request::{self, SynthesisRequest},
};
use crate::{
    codec::Reserved,
    fleet::Serving,
    synthesis::{EngineWorker, Job, Made, OutputSize, Picture, Prepared, SynthesisOptions, prepare},
    traces::RequestTrace,
};

/// JPEG quality: differences from the PNG are hardly seen.
const JPEG_QUALITY: u8 = 92;

/// Pictures and how the mask was read.
#[derive(Serialize, ToSchema)]
pub struct SynthesisAnswer {
    /// The model that made them.
    model: String,
    /// The pictures.
    pictures: Vec<PictureAnswer>,
    /// How the mask was read.
    mask: MaskAnswer,
}

/// One picture.
#[derive(Serialize, ToSchema)]
struct PictureAnswer {
    /// Send it to get the same picture again.
    seed: u64,
    /// `image/png`
    media_type: String,
    /// The file in base64.
    data: String,
    /// The latent it was made from, for a model that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    latent: Option<Vec<f32>>,
}

/// How a mask was read.
#[derive(Serialize, ToSchema)]
struct MaskAnswer {
    /// What its pixels turned out to mean, such as `gray_ids` or `rgb_colors`.
    format: String,
    /// Pixels in a row of the file.
    width: usize,
    /// Rows of the file.
    height: usize,
    /// The classes in it, at the model's size.
    classes: Vec<ClassAnswer>,
    /// Share of its pixels whose colour is no label's, 0 to 1.
    unmatched_share: f64,
}

/// A class and how much of the mask it covers.
#[derive(Serialize, ToSchema)]
struct ClassAnswer {
    /// The class id.
    id: u8,
    /// Its name.
    name: String,
    /// Its pixels.
    pixels: u64,
}

/// A request as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for its schema; the parts are read one by one")]
pub struct SynthesisForm {
    /// The label map, PNG: grey ids, indexed, or in the labels' colours.
    #[schema(value_type = String, format = Binary, content_media_type = "image/png")]
    mask: Vec<u8>,
    /// A picture whose style to take: PNG, JPEG or WebP.
    #[schema(value_type = String, format = Binary, nullable = false, required = false)]
    style: Option<Vec<u8>>,
    /// The instance map, PNG, for a model that uses one.
    #[schema(value_type = String, format = Binary, nullable = false, required = false)]
    instances: Option<Vec<u8>>,
    /// All options as one JSON object; each can also be a part of its own.
    #[schema(nullable = false, required = false)]
    options: Option<SynthesisOptions>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: SynthesisOptions,
}

/// A request as JSON: the files in base64 beside the options.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for its schema; the body is read as an object")]
pub struct SynthesisJson {
    /// The label map, PNG, in base64.
    #[schema(value_type = String, content_encoding = "base64")]
    mask: String,
    /// A picture whose style to take, in base64.
    #[schema(nullable = false, required = false)]
    style: Option<String>,
    /// The instance map, PNG, in base64.
    #[schema(nullable = false, required = false)]
    instances: Option<String>,
    #[schema(inline)]
    #[serde(flatten)]
    options: SynthesisOptions,
}

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
            request::discard(request).await;
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
        let output =
            (request.options.output_size == OutputSize::Mask && size != model.picture_size()).then_some(size);
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
            let image = output.map_or_else(|| picture.image.clone(), |size| picture.image.resized(size));
            files.push((encode(&image, accept.format())?, seed, picture.z));
        }
        Ok(match accept {
            Answer::Json => json(model, files, &report),
            _ => files.into_iter().next().map(|(file, ..)| file).unwrap_or_default(),
        })
    };
    Ok(app.codec.run(work).await??)
}

fn encode(image: &RgbImage, format: Format) -> Result<Vec<u8>, EncodeError> {
    match format {
        Format::Png => encode_png(image),
        Format::Jpeg => encode_jpeg(image, JPEG_QUALITY),
        Format::WebP => encode_webp(image),
    }
}

fn json(model: String, files: Vec<(Vec<u8>, u64, Option<Vec<f32>>)>, report: &MaskReport) -> Vec<u8> {
    let picture = |(file, seed, latent): (Vec<u8>, u64, Option<Vec<f32>>)| PictureAnswer {
        seed,
        media_type: Answer::Png.media_type().to_owned(),
        data: BASE64_STANDARD.encode(file),
        latent,
    };
    let class = |class: &spadework_imaging::ClassPixels| ClassAnswer {
        id: class.id,
        name: class.name.clone(),
        pixels: class.pixels,
    };
    let mask = MaskAnswer {
        format: report.encoding.to_string(),
        width: report.original_size.width,
        height: report.original_size.height,
        classes: report.classes.iter().map(class).collect(),
        unmatched_share: report.unmatched_share(),
    };
    let pictures = files.into_iter().map(picture).collect();
    // Strings and finite numbers: there is nothing in it that JSON cannot say.
    serde_json::to_vec(&SynthesisAnswer { model, pictures, mask }).unwrap_or_default()
}

/// Where a request's time went, and how large its batch was.
#[derive(Clone, Copy, Default)]
struct Timing {
    decode: Duration,
    plan: Duration,
    queue: Duration,
    generate: Duration,
    encode: Duration,
    batch_size: usize,
}

impl Timing {
    /// Of several pictures the slowest counts.
    fn new(decode: Duration, plan: Duration, done: &[Done<Made>]) -> Self {
        let slowest = |time: fn(&Done<Made>) -> Duration| done.iter().map(time).max().unwrap_or_default();
        Self {
            decode,
            plan,
            queue: slowest(|done| done.queued),
            generate: slowest(|done| done.ran),
            encode: Duration::ZERO,
            batch_size: done.iter().map(|done| done.batch_size).max().unwrap_or_default(),
        }
    }

    fn stages(&self) -> [(Stage, Duration); 5] {
        [
            (Stage::Decode, self.decode),
            (Stage::Plan, self.plan),
            (Stage::Queue, self.queue),
            (Stage::Generate, self.generate),
            (Stage::Encode, self.encode),
        ]
    }

    fn record(&self, app: &App, model: &str) {
        self.stages().into_iter().for_each(|(stage, took)| app.metrics.stage(stage, model, took));
    }

    /// As `Server-Timing` has it (W3C), in milliseconds.
    fn header(&self) -> String {
        let entry = |(stage, took): (Stage, Duration)| {
            format!("{};dur={:.3}", stage.as_str(), took.as_secs_f64() * 1e3)
        };
        self.stages().map(entry).join(", ")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_timing_is_in_milliseconds() {
        let timing = Timing { decode: Duration::from_micros(1500), ..Timing::default() };
        assert!(timing.header().starts_with("decode;dur=1.500, plan;dur=0.000, queue;dur=0.000"));
    }
}
