//! The metrics and how each event changes them.

use std::time::Duration;

use prometheus::{
    CounterVec, Error, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector,
};

use crate::{BatchFailure, CancelStage, LastExit, Outcome, RejectReason, Stage, StoreCheck, TableResult};

/// Seconds, from a codec's tenth of a millisecond to a deadline's half minute.
const SECONDS: [f64; 18] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 20.0, 30.0,
];

/// Pictures in a batch.
const BATCH_SIZES: [f64; 10] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0];

/// HTTP methods that are counted by name; a client can invent others.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What `build_info` says.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo<'a> {
    /// The release.
    pub version: &'a str,
    /// The commit.
    pub revision: &'a str,
}

/// All metrics of one server, prefix `spadework_`.
pub struct Metrics {
    registry: Registry,
    http_requests: IntCounterVec,
    stage_duration: HistogramVec,
    request_duration: HistogramVec,
    batch_size: HistogramVec,
    batch_duration: HistogramVec,
    queue_depth: IntGaugeVec,
    queue_oldest_age: GaugeVec,
    queue_predicted_wait: GaugeVec,
    requests_in_flight: IntGauge,
    requests_rejected: IntCounterVec,
    requests_disconnected: IntCounterVec,
    images_cancelled: IntCounterVec,
    deadline_missed: IntCounterVec,
    device_busy: CounterVec,
    modulation_table_requests: IntCounterVec,
    modulation_table_bytes: IntGaugeVec,
    batch_failures: IntCounterVec,
    model_info: IntGaugeVec,
    model_store_checks: IntCounterVec,
    model_stores_failing: IntGauge,
    last_exit: IntGaugeVec,
    ready: IntGauge,
}

impl Metrics {
    /// Registers everything, the process collector where there is one included.
    ///
    /// # Errors
    /// When a name is registered twice, which the names below exclude.
    pub fn new(build: BuildInfo<'_>) -> Result<Self, Error> {
        let registry = Registry::new();
        let register = Register(&registry);
        let metrics = Self {
            http_requests: register.counters(
                "http_requests_total",
                "Requests answered, by route, method and status.",
                &["route", "method", "code"],
            )?,
            stage_duration: register.histogram(
                "stage_duration_seconds",
                "Time of a request in each stage.",
                &["stage", "model"],
                &SECONDS,
            )?,
            request_duration: register.histogram(
                "request_duration_seconds",
                "Time of a synthesis from its first byte to its answer.",
                &["model", "outcome"],
                &SECONDS,
            )?,
            batch_size: register.histogram(
                "batch_size",
                "Pictures in a batch that ran.",
                &["model", "device"],
                &BATCH_SIZES,
            )?,
            batch_duration: register.histogram(
                "batch_duration_seconds",
                "Time that a batch ran on its device.",
                &["model", "device"],
                &SECONDS,
            )?,
            queue_depth: register.int_gauges("queue_depth", "Pictures that wait.", &["model"])?,
            queue_oldest_age: register.gauges(
                "queue_oldest_age_seconds",
                "How long the first picture in the queue has waited.",
                &["model"],
            )?,
            queue_predicted_wait: register.gauges(
                "queue_predicted_wait_seconds",
                "How long one more picture would take, by the policy that admits it.",
                &["model"],
            )?,
            requests_in_flight: register.add(IntGauge::new(
                "spadework_requests_in_flight",
                "Syntheses that are welcomed and not answered.",
            )?)?,
            requests_rejected: register.counters(
                "requests_rejected_total",
                "Requests refused before they were queued; the model is none where it was not known by then.",
                &["model", "reason"],
            )?,
            requests_disconnected: register.counters(
                "requests_disconnected_total",
                "Requests whose caller left before the answer, by the stage they were in.",
                &["model", "stage"],
            )?,
            images_cancelled: register.counters(
                "images_cancelled_total",
                "Images that were queued or ran when their caller left.",
                &["model", "stage"],
            )?,
            deadline_missed: register.counters(
                "deadline_missed_total",
                "Images of admitted requests that were not answered by their deadline.",
                &["model"],
            )?,
            device_busy: register.seconds(
                "device_busy_seconds_total",
                "Time that a device ran batches.",
                &["device"],
            )?,
            modulation_table_requests: register.counters(
                "modulation_table_requests_total",
                "Masks by what the cache of modulation tables had for them.",
                &["result"],
            )?,
            modulation_table_bytes: register.int_gauges(
                "modulation_table_cache_bytes",
                "Modulation tables and pictures kept for masks that come again.",
                &["model", "device"],
            )?,
            batch_failures: register.counters("batch_failures_total", "Batches that failed.", &["reason"])?,
            model_info: register.int_gauges(
                "model_info",
                "1 for each model on each device.",
                &["model", "digest", "precision", "device"],
            )?,
            model_store_checks: register.counters(
                "model_store_checks_total",
                "Looks at the stores that models come from, by what they found.",
                &["result"],
            )?,
            model_stores_failing: register.add(IntGauge::new(
                "spadework_model_stores_failing",
                "Stores whose models the last look at them could not bring up to date.",
            )?)?,
            last_exit: register.int_gauges(
                "last_exit_info",
                "1, with how the process before this one ended: what it counted last is gone with it.",
                &["reason"],
            )?,
            ready: register.add(IntGauge::new("spadework_ready", "1 while requests are welcome.")?)?,
            registry: registry.clone(),
        };
        let build_info = register.int_gauges(
            "build_info",
            "1, with the build in its labels.",
            &["version", "revision"],
        )?;
        build_info.with_label_values(&[build.version, build.revision]).set(1);
        metrics.start_at_zero();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// A counter that appears with its first event hides that event from `rate()`.
    fn start_at_zero(&self) {
        let zero = |counters: &IntCounterVec, value: &str| counters.with_label_values(&[value]).inc_by(0);
        self.start_model_at_zero("none");
        BatchFailure::ALL.iter().for_each(|reason| zero(&self.batch_failures, reason.as_str()));
        StoreCheck::ALL.iter().for_each(|result| zero(&self.model_store_checks, result.as_str()));
        TableResult::ALL.iter().for_each(|result| zero(&self.modulation_table_requests, result.as_str()));
    }

    fn start_model_at_zero(&self, model: &str) {
        let zero = |counters: &IntCounterVec, value: &str| {
            counters.with_label_values(&[model, value]).inc_by(0);
        };
        RejectReason::ALL.iter().for_each(|reason| zero(&self.requests_rejected, reason.as_str()));
        Stage::ALL.iter().for_each(|stage| zero(&self.requests_disconnected, stage.as_str()));
        CancelStage::ALL.iter().for_each(|stage| zero(&self.images_cancelled, stage.as_str()));
    }

    /// A request was answered. `route` is the route's pattern, never the path.
    pub fn http_request(&self, route: &str, method: &str, code: u16) {
        let method = if METHODS.contains(&method) { method } else { "other" };
        self.http_requests.with_label_values(&[route, method, &code.to_string()]).inc();
    }

    /// A request spent `took` in a stage.
    pub fn stage(&self, stage: Stage, model: &str, took: Duration) {
        self.stage_duration.with_label_values(&[stage.as_str(), model]).observe(took.as_secs_f64());
    }

    /// A synthesis ended.
    pub fn request_finished(&self, model: &str, outcome: Outcome, took: Duration) {
        self.request_duration.with_label_values(&[model, outcome.as_str()]).observe(took.as_secs_f64());
    }

    /// A batch of `size` ran for `ran`.
    pub fn batch_finished(&self, model: &str, device: &str, size: usize, ran: Duration) {
        self.batch_size.with_label_values(&[model, device]).observe(size as f64);
        self.batch_duration.with_label_values(&[model, device]).observe(ran.as_secs_f64());
        self.device_busy.with_label_values(&[device]).inc_by(ran.as_secs_f64());
    }

    /// A batch failed.
    pub fn batch_failed(&self, reason: BatchFailure) {
        self.batch_failures.with_label_values(&[reason.as_str()]).inc();
    }

    /// Syntheses that are welcomed and not answered.
    pub fn in_flight(&self, requests: usize) {
        self.requests_in_flight.set(i64::try_from(requests).unwrap_or(i64::MAX));
    }

    /// A request was refused before it was queued.
    pub fn rejected(&self, model: &str, reason: RejectReason) {
        self.requests_rejected.with_label_values(&[model, reason.as_str()]).inc();
    }

    /// A caller left before its answer.
    pub fn disconnected(&self, model: &str, stage: Stage) {
        self.requests_disconnected.with_label_values(&[model, stage.as_str()]).inc();
    }

    /// The caller of an image left while it was queued or ran.
    pub fn cancelled(&self, model: &str, stage: CancelStage) {
        self.images_cancelled.with_label_values(&[model, stage.as_str()]).inc();
    }

    /// Images of an admitted request were not answered by their deadline.
    pub fn deadline_missed(&self, model: &str, images: usize) {
        self.deadline_missed.with_label_values(&[model]).inc_by(images as u64);
    }

    /// The cache of modulation tables has been asked `count` more times with this result.
    pub fn modulation_tables(&self, result: TableResult, count: u64) {
        self.modulation_table_requests.with_label_values(&[result.as_str()]).inc_by(count);
    }

    /// Bytes that the cache of modulation tables holds.
    pub fn modulation_table_bytes(&self, model: &str, device: &str, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.modulation_table_bytes.with_label_values(&[model, device]).set(bytes);
    }

    /// A store of models was looked at.
    pub fn store_checked(&self, result: StoreCheck) {
        self.model_store_checks.with_label_values(&[result.as_str()]).inc();
    }

    /// So many stores failed when they were last looked at.
    pub fn stores_failing(&self, count: usize) {
        self.model_stores_failing.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A model is served from a device. Its counters start at zero.
    pub fn model_ready(&self, model: &str, digest: &str, precision: &str, device: &str) {
        self.model_info.with_label_values(&[model, digest, precision, device]).set(1);
        self.deadline_missed.with_label_values(&[model]).inc_by(0);
        self.start_model_at_zero(model);
        self.device_busy.with_label_values(&[device]).inc_by(0.0);
    }

    /// A generation of a model is no longer served.
    pub fn model_gone(&self, model: &str, digest: &str, precision: &str, device: &str) {
        let _ = self.modulation_table_bytes.remove_label_values(&[model, device]);
        // An error says that it was not there, which is what is wanted.
        let _ = self.model_info.remove_label_values(&[model, digest, precision, device]);
    }

    /// A queue at the moment of a scrape.
    pub fn queue(&self, model: &str, depth: usize, oldest_age: Duration, predicted_wait: Duration) {
        self.queue_depth.with_label_values(&[model]).set(i64::try_from(depth).unwrap_or(i64::MAX));
        self.queue_oldest_age.with_label_values(&[model]).set(oldest_age.as_secs_f64());
        self.queue_predicted_wait.with_label_values(&[model]).set(predicted_wait.as_secs_f64());
    }

    /// A model is gone, and so are its queue and caches. What was counted of it stays: a counter that vanished would count
    /// again from zero if it came back.
    pub fn model_removed(&self, model: &str, devices: &[&str]) {
        // None of them may have been set.
        for gauges in [&self.queue_oldest_age, &self.queue_predicted_wait] {
            let _ = gauges.remove_label_values(&[model]);
        }
        let _ = self.queue_depth.remove_label_values(&[model]);
        for device in devices {
            let _ = self.modulation_table_bytes.remove_label_values(&[model, device]);
        }
    }

    /// How the process before this one ended.
    pub fn last_exit(&self, reason: LastExit) {
        self.last_exit.with_label_values(&[reason.as_str()]).set(1);
    }

    /// Whether requests are welcome.
    pub fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// Everything in the Prometheus text format, [`CONTENT_TYPE`](crate::CONTENT_TYPE).
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn render(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// Makes and registers collectors under the prefix.
struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("spadework")
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(Self::opts(name, help), labels)?)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, Error> {
        self.add(CounterVec::new(Self::opts(name, help), labels)?)
    }

    fn int_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.add(IntGaugeVec::new(Self::opts(name, help), labels)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, Error> {
        self.add(GaugeVec::new(Self::opts(name, help), labels)?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, Error> {
        let opts = HistogramOpts { common_opts: Self::opts(name, help), buckets: buckets.to_vec() };
        self.add(HistogramVec::new(opts, labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(BuildInfo { version: "1.2.3", revision: "abc" }).unwrap()
    }

    #[test]
    fn every_reason_is_there_before_its_first_event() {
        let text = metrics().render().unwrap();
        for line in [
            "spadework_requests_rejected_total{model=\"none\",reason=\"late\"} 0",
            "spadework_images_cancelled_total{model=\"none\",stage=\"queue\"} 0",
            "spadework_requests_disconnected_total{model=\"none\",stage=\"read\"} 0",
            "spadework_requests_in_flight 0",
            "spadework_batch_failures_total{reason=\"panic\"} 0",
            "spadework_modulation_table_requests_total{result=\"partial\"} 0",
            "spadework_build_info{revision=\"abc\",version=\"1.2.3\"} 1",
            "spadework_ready 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_batch_counts_once_and_its_time_belongs_to_the_device() {
        let metrics = metrics();
        metrics.batch_finished("landscape", "cpu", 3, Duration::from_millis(500));
        let text = metrics.render().unwrap();
        assert!(text.contains("spadework_batch_size_count{device=\"cpu\",model=\"landscape\"} 1"), "{text}");
        assert!(
            text.contains("spadework_batch_size_bucket{device=\"cpu\",model=\"landscape\",le=\"2\"} 0"),
            "{text}"
        );
        assert!(text.contains("spadework_device_busy_seconds_total{device=\"cpu\"} 0.5"), "{text}");
    }

    #[test]
    fn a_method_that_a_client_invents_makes_no_series() {
        let metrics = metrics();
        metrics.http_request("/synthesize", "BREW", 405);
        assert!(metrics.render().unwrap().contains("method=\"other\""));
    }

    #[test]
    fn the_gauges_of_a_model_that_is_gone_are_gone_and_its_counters_stay() {
        let metrics = metrics();
        metrics.model_ready("mine", "digest", "highest", "cpu");
        metrics.queue("mine", 1, Duration::ZERO, Duration::ZERO);
        metrics.modulation_table_bytes("mine", "cpu", 7);
        metrics.rejected("mine", RejectReason::Late);
        metrics.model_gone("mine", "digest", "highest", "cpu");
        metrics.model_removed("mine", &["cpu"]);
        let text = metrics.render().unwrap();
        let left: Vec<_> = text.lines().filter(|line| line.contains("\"mine\"")).collect();
        assert!(left.iter().all(|line| line.contains("_total")), "{left:?}");
        assert!(left.contains(&"spadework_requests_rejected_total{model=\"mine\",reason=\"late\"} 1"));
    }

    #[test]
    fn a_replaced_generation_leaves_no_trace() {
        let metrics = metrics();
        metrics.model_ready("landscape", "old", "highest", "cpu");
        metrics.model_gone("landscape", "old", "highest", "cpu");
        metrics.model_ready("landscape", "new", "highest", "cpu");
        let text = metrics.render().unwrap();
        assert!(!text.contains("digest=\"old\"") && text.contains("digest=\"new\""), "{text}");
    }
}
