//! `POST /synthesize`: a request to its answer. Nothing here waits but for a body, a batch, a codec thread or memory, and not
//! past the request's deadline.

mod accept;
mod answer_body;
mod base64_in_place;
mod body_buffer;
mod intake;
mod json;
mod mask;
mod part;
mod refusals;
mod request;
mod schema;
mod timing;
mod workload;

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use opentelemetry::trace::SpanContext;
use spadework_batching::{Completed, Failure, Ticket};
use spadework_imaging::{Format, MaskReport, Size, check_encodable};
use spadework_metrics::{Outcome, Stage};
use tokio::time::{timeout, timeout_at};

use super::{
    app::App,
    lifecycle::InFlight,
    problem::{Problem, ProblemBody},
};
use crate::{
    codec::Reserved,
    fleet::Serving,
    synthesis::{EngineWorker, Generated, Image, Job, Prepared, output_size, prepare, render},
    traces::RequestTrace,
};
use accept::{AnswerFormat, negotiate};
use answer_body::{AnswerBody, Segment};
use refusals::Refusals;
use request::SynthesisRequest;
use schema::MadeFile;
use timing::Timing;
use workload::Workload;

pub use mask::{__path_read_mask, read_mask};
pub use schema::{SynthesisAnswer, SynthesisForm, SynthesisJson, SynthesisQuery};

/// Makes pictures from a mask
///
/// The same mask, style, seed and model make the same bytes, whatever else is running. Options are parts of the
/// form, one JSON part `options`, members of the JSON body, or the query.
#[utoipa::path(
    post,
    path = "/synthesize",
    operation_id = "synthesize",
    tag = "synthesis",
    params(SynthesisQuery),
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
            ("X-Mask-Format" = String, description = "What the mask's pixels were read as, such as `gray_ids`; then `sampled-from=WxH` if it had another size, and `unmatched=SHARE` of its pixels that match no label"),
            ("X-Batch-Size" = u32, description = "Pictures that were computed together"),
            ("Server-Timing" = String, description = "Milliseconds in decode, plan, queue, generate and encode"),
        )),
        Refusals,
        (status = 406, description = "No accepted type can be answered, or several pictures were asked for as one image", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security((), ("key" = []), ("key_header" = [])),
)]
pub async fn synthesize(State(app): State<App>, request: Request) -> Response {
    let mut tally = Tally::new(app.clone());
    let result = answer(&app, request, &mut tally).await;
    tally.finish(result)
}

/// What is counted of a request, however it ends.
struct Tally {
    app: App,
    started: Instant,
    serving: Option<Serving>,
    /// When its answer is due, once it is admitted, and how many images it is for.
    admitted: Option<(Instant, usize)>,
    /// What it is at, for when its caller leaves.
    stage: Stage,
    answered: bool,
}

impl Tally {
    fn new(app: App) -> Self {
        let started = Instant::now();
        Self { app, started, serving: None, admitted: None, stage: Stage::Read, answered: false }
    }

    fn model(&self) -> &str {
        self.serving.as_ref().map_or("none", |serving| serving.model.name())
    }

    /// Counts an answer that is about to be sent. One that is late counts as late, whatever it says.
    fn finish(mut self, result: Result<Response, Problem>) -> Response {
        self.answered = true;
        let (took, metrics) = (self.started.elapsed(), &self.app.metrics);
        let late = self.admitted.filter(|(deadline, _)| Instant::now() > *deadline);
        let outcome = match &result {
            _ if late.is_some() => Outcome::Late,
            Ok(_) => Outcome::Ok,
            Err(problem) => problem.outcome(),
        };
        metrics.request_finished(self.model(), outcome, took);
        if let Some((_, images)) = self.admitted.filter(|_| outcome == Outcome::Late) {
            metrics.deadline_missed(self.model(), images);
        }
        result.unwrap_or_else(|problem| {
            if let Some(reason) = problem.rejected() {
                metrics.rejected(self.model(), reason);
            }
            problem.into_response()
        })
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if !self.answered {
            self.app.metrics.disconnected(self.model(), self.stage);
        }
    }
}

async fn answer(app: &App, request: Request, tally: &mut Tally) -> Result<Response, Problem> {
    let (_in_flight, accept) = admit_headers(app, request.headers())?;
    let trace = request.extensions().get::<RequestTrace>().cloned().unwrap_or_else(RequestTrace::none);
    let (request, body) = timeout(app.settings.upload_timeout, request::read(app, request))
        .await
        .map_err(|_| Problem::upload_timeout(app.settings.upload_timeout))??;
    trace.stage("read", tally.started, tally.started.elapsed());
    let options = &request.options;
    let serving = app.fleet.get(options.model.as_deref()).ok_or_else(|| app.unknown_model(options))?;
    tally.serving = Some(serving.clone());
    trace.attribute("spadework.model", serving.model.name());
    if options.count.get() > 1 && accept != AnswerFormat::Json {
        let several = format!("{} pictures do not fit one image", options.count.get());
        return Err(Problem::not_acceptable(format!("{several}; ask with `Accept: application/json`")));
    }
    let sizes = (serving.model.mask_size(), serving.model.image_size());
    let workload = Workload::of(&request, accept, sizes, &app.settings.limits)?;
    let allowed = allowed_time(app, &serving, &request, &workload)?;
    let admitted = Admitted {
        app,
        serving: &serving,
        accept,
        workload,
        deadline: tally.started + allowed,
        trace: &trace,
    };
    let made = timeout_at(admitted.deadline.into(), admitted.make(request, body, tally));
    made.await.unwrap_or_else(|_| Err(Problem::late()))
}

/// What can be said before the body is read: whether it is, and in which form it is answered.
fn admit_headers(app: &App, headers: &HeaderMap) -> Result<(InFlight, AnswerFormat), Problem> {
    let in_flight = app.enter()?;
    let accept = accepted(headers)?;
    app.check_length(headers)?;
    Ok((in_flight, accept))
}

fn accepted(headers: &HeaderMap) -> Result<AnswerFormat, Problem> {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accept = accept.collect::<Vec<_>>().join(", ");
    negotiate(Some(&accept)).ok_or_else(|| {
        let known = AnswerFormat::ALL.map(AnswerFormat::media_type).join(", ");
        Problem::not_acceptable(format!("`Accept: {accept}` takes none of {known}; ask for one of these"))
    })
}

/// The time that the request has, from its head to its answer.
///
/// # Errors
/// When it is less than the request has ever taken, which no waiting changes.
fn allowed_time(
    app: &App,
    serving: &Serving,
    request: &SynthesisRequest,
    workload: &Workload,
) -> Result<Duration, Problem> {
    let allowed = app.deadline(&request.options)?;
    let encoding = workload.encoding(&app.codec, app.codec.fastest(workload.encode));
    let codec = app.codec.fastest(workload.prepare) + encoding;
    let Err(generating) = serving.queue.check_least(workload.count, allowed.saturating_sub(codec)) else {
        return Ok(allowed);
    };
    let least = codec + generating;
    let (allowed, least) = (allowed.as_millis(), least.as_millis() + 1);
    Err(Problem::invalid_options(match request.options.deadline_ms {
        Some(_) => format!("`deadline_ms` is {allowed} and this request takes at least {least}; allow more"),
        None => format!(
            "this request takes at least {least} ms and the server allows {allowed}; ask for fewer or smaller pictures"
        ),
    }))
}

/// A request that there is time for, if the queues are not too long.
struct Admitted<'a> {
    app: &'a App,
    serving: &'a Serving,
    accept: AnswerFormat,
    workload: Workload,
    deadline: Instant,
    trace: &'a RequestTrace,
}

impl Admitted<'_> {
    async fn make(
        &self,
        request: SynthesisRequest,
        body: Reserved,
        tally: &mut Tally,
    ) -> Result<Response, Problem> {
        let Self { app, serving, accept, workload, trace, .. } = self;
        let pool = &app.codec;
        if workload.answering(pool) > pool.budget.total() {
            return Err(Problem::too_large("the answer takes more memory than the server has; ask for less"));
        }
        let batch_deadline = self.batch_deadline()?;
        let bytes = workload.count * serving.model.job_bytes();
        let reservation = serving.queue.reserve(workload.count, bytes, batch_deadline)?;
        tally.admitted = Some((self.deadline, workload.count));

        let pixels = self.reserve_pixels()?;
        tally.stage = Stage::Decode;
        let (prepared, output) = self.prepare(request, (body, pixels)).await?;
        let Prepared { jobs, seeds, report, began, decoding, planning } = prepared;
        trace.stage(Stage::Decode.as_str(), began, decoding);
        trace.stage(Stage::Plan.as_str(), began + decoding, planning);
        let jobs = jobs.into_iter().map(|job| Job { caller: trace.context(), ..job });
        let jobs = serving.model.weigh(jobs.collect());
        let queued = Instant::now();
        tally.stage = Stage::Queue;
        let tickets = serving.queue.submit_reserved(reservation, jobs, batch_deadline)?;
        let done = await_images(tickets).await?;
        let timing = Timing::new(decoding, planning, &done);
        trace_batch(trace, queued, &timing, &done);

        tally.stage = Stage::Encode;
        let encoding = Instant::now();
        let images = done.into_iter().map(|done| done.output.image).zip(seeds.iter().copied()).collect();
        let (files, held) = self.encode(images, output).await?;
        let timing = Timing { encode: encoding.elapsed(), ..timing };
        trace.stage(Stage::Encode.as_str(), encoding, timing.encode);
        timing.record(app, serving.model.name());
        let segments = match accept {
            AnswerFormat::Json => schema::json(serving.model.name(), files, &report),
            _ => files.into_iter().map(|made| Segment::Plain(made.file)).collect(),
        };
        let mut response = respond(AnswerBody::new(segments, held), *accept, serving, seeds[0], &timing);
        response.headers_mut().insert(HeaderName::from_static("x-mask-format"), mask_format(&report));
        Ok(response)
    }

    /// When the batch has to end, so that its images can be encoded in time.
    ///
    /// # Errors
    /// When that is too soon for what waits for the codec threads.
    fn batch_deadline(&self) -> Result<Instant, Problem> {
        let pool = &self.app.codec;
        let preparing = pool.time(self.workload.prepare);
        let encoding = self.workload.encoding(pool, pool.time(self.workload.encode));
        let ready = Instant::now() + preparing + self.serving.queue.least_time(1);
        let deadline = self.deadline.checked_sub(encoding).filter(|deadline| ready <= *deadline);
        deadline.ok_or_else(|| Problem::overloaded(preparing + encoding))
    }

    /// Takes what the style's pixels take while they are decoded. A mask is sampled row by row.
    fn reserve_pixels(&self) -> Result<Reserved, Problem> {
        let (bytes, budget) = (self.workload.decoding, &self.app.codec.budget);
        if bytes > budget.total() {
            return Err(Problem::too_large(
                "the style takes more memory to decode than the server has; send a smaller one",
            ));
        }
        budget.try_reserve(bytes).ok_or_else(Problem::codec_full)
    }

    /// Decodes and plans on the codec pool. Answers the size that the images are to have, where it is not the model's.
    /// What is held for files is let go with them.
    async fn prepare(
        &self,
        request: SynthesisRequest,
        held: (Reserved, Reserved),
    ) -> Result<(Prepared, Option<Size>), Problem> {
        let limits = self.app.settings.limits;
        let (model, format) = (self.serving.model.clone(), self.accept.format());
        let job = move |gone: &crate::codec::Gone<'_>| {
            let prepared = prepare(&model, &request.files()?, &request.options, &limits, &|| gone.is_gone())?;
            let size = prepared.report.original_size;
            let output = output_size(request.options.output_size, model.image_size(), size);
            check_encodable(format, output.unwrap_or(model.image_size()))?;
            drop((request, held));
            Ok((prepared, output))
        };
        self.app.codec.run(self.workload.prepare, job).await?
    }

    /// The images as files, and what those hold. Each is a piece of work of its own, so that others come in between and none
    /// is begun when the caller has left. The memory is taken first: nothing is encoded and then refused.
    async fn encode(
        &self,
        images: Vec<(Image, u64)>,
        output: Option<Size>,
    ) -> Result<(Vec<MadeFile>, Reserved), Problem> {
        let (pool, work, format) = (&self.app.codec, self.workload.encode, self.accept.format());
        let mut held = pool.budget.reserve(self.workload.answering(pool)).await;
        let encoded =
            stream::iter(images).map(|(image, seed)| encode_one(pool, work, image, seed, output, format));
        let files: Vec<MadeFile> = encoded.buffered(pool.at_once(work)).try_collect().await?;
        held.shrink_to(files.iter().map(|made| made.file.len()).sum());
        Ok((files, held))
    }
}

async fn encode_one(
    pool: &crate::codec::CodecPool,
    work: crate::codec::Work,
    image: Image,
    seed: u64,
    output: Option<Size>,
    format: Format,
) -> Result<MadeFile, Problem> {
    let Image { pixels, z: latent } = image;
    let file = pool.run(work, move |gone| render(&pixels, output, format, &|| gone.is_gone())).await??;
    Ok(MadeFile { file: file.into(), seed, latent })
}

/// All answers, or the first failure; then the others are withdrawn.
async fn await_images(tickets: Vec<Ticket<EngineWorker>>) -> Result<Vec<Completed<Generated>>, Problem> {
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

/// The stages of the device's thread, from when the jobs were `queued`. Of several images the slowest counts.
fn trace_batch(trace: &RequestTrace, queued: Instant, timing: &Timing, done: &[Completed<Generated>]) {
    trace.stage(Stage::Queue.as_str(), queued, timing.queue);
    let batch = done.last().map_or(SpanContext::NONE, |done| done.output.batch.clone());
    trace.linked_stage(Stage::Generate.as_str(), queued + timing.queue, timing.generate, batch);
}

/// How the mask was read, as a header: what its pixels mean, then what is remarkable about it.
fn mask_format(report: &MaskReport) -> HeaderValue {
    let mut text = report.encoding.to_string();
    if report.original_size != report.size {
        text += &format!("; sampled-from={}", report.original_size);
    }
    if report.unmatched > 0 {
        text += &format!("; unmatched={:.4}", report.unmatched_share());
    }
    // Names, digits and punctuation.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("unknown"))
}

fn respond(
    body: AnswerBody,
    accept: AnswerFormat,
    serving: &Serving,
    seed: u64,
    timing: &Timing,
) -> Response {
    let mut response = Response::new(Body::new(body));
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
