//! The models that are served, each with its queue: loaded, warmed, replaced and let go without losing a request.

mod observer;
mod stores;
mod warm_up;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use spadework_batching::{Batcher, Device, Health, Queue, Settings};
use spadework_checkpoint::{CheckpointError, Entry};
use spadework_engine::{Cached, Event, Settings as EngineSettings};
use spadework_metrics::{Metrics, TableResult};

use crate::{
    embedded,
    library::{CachedStore, Library},
    synthesis::{EngineDescription, EngineWorker, ServedModel},
    traces::Traces,
};
use observer::FleetObserver;

/// A model and the queue of its jobs.
#[derive(Clone)]
pub struct Serving {
    /// The model.
    pub model: Arc<ServedModel>,
    /// Where its jobs wait. A request keeps its clone, so a generation lasts until its last request is answered.
    pub queue: Queue<EngineWorker>,
}

/// What a fleet is made of.
pub struct FleetConfig {
    /// The devices.
    pub devices: Vec<EngineSettings>,
    /// The model of requests that name none.
    pub default_model: Option<String>,
    /// The largest batch that is ever tried.
    pub max_batch: usize,
    /// The batcher's own settings.
    pub batching: Settings,
}

/// Every model that is served.
pub struct Fleet {
    config: FleetConfig,
    batcher: Batcher<EngineWorker>,
    /// Held while models are loaded, so that two reloads do not cross.
    library: Mutex<Library>,
    /// Where models come from that are not in folders.
    stores: Vec<Arc<CachedStore>>,
    serving: RwLock<BTreeMap<String, Serving>>,
    /// Models whose gauges were set by the last report, with their devices.
    reported: Mutex<BTreeMap<String, Vec<String>>>,
    metrics: Arc<Metrics>,
}

/// What a reload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// The files are those that are served.
    Unchanged,
    /// A new generation is served.
    Replaced,
}

impl Fleet {
    /// Starts a thread for each device. No model is served yet.
    ///
    /// # Errors
    /// When a thread does not start.
    pub fn start(
        config: FleetConfig,
        library: Library,
        metrics: Arc<Metrics>,
        traces: &Traces,
    ) -> anyhow::Result<Self> {
        let device = |(index, settings): (usize, &EngineSettings)| {
            let (name, traces) = (settings.device.to_string(), traces.clone());
            Device::new(name.clone(), move || {
                let (name, traces) = (name.clone(), traces.clone());
                Ok(EngineWorker { device: index, name, traces, last: Event::default() })
            })
        };
        let devices = config.devices.iter().enumerate().map(device).collect();
        let observer = Arc::new(FleetObserver::new(metrics.clone()));
        let batcher = Batcher::start(config.batching, Arc::new(Instant::now), observer, devices)?;
        let serving = RwLock::new(BTreeMap::new());
        let reported = Mutex::default();
        let stores = library.stores().to_vec();
        Ok(Self { config, batcher, library: Mutex::new(library), stores, serving, reported, metrics })
    }

    /// Loads and warms every model: those in folders, those of whole copies of stores, and those of stores that have no copy
    /// yet, which are fetched first. Blocks. [`refresh_unread_stores`](Self::refresh_unread_stores) is to follow.
    ///
    /// # Errors
    /// When one of them cannot be served; those before it are.
    pub fn load_all(&self) -> anyhow::Result<()> {
        let missing: Vec<_> = self.stores.iter().filter(|store| !store.take_cached()).cloned().collect();
        stores::refresh(&missing, &self.metrics).or_else(|error| {
            if missing.iter().all(|store| store.copy().is_some()) { Ok(()) } else { Err(error) }
        })?;
        let mut library = self.library();
        library.use_copies();
        let entries = library.store.reload_all()?;
        if let Some(name) = &self.config.default_model
            && !entries.iter().any(|entry| entry.name() == name)
        {
            Err(CheckpointError::Unknown(name.clone())).context("--default-model")?;
        }
        entries.into_iter().try_for_each(|entry| self.serve(entry).map(drop))
    }

    /// Asks the stores whose copies were taken as they were, and serves what has changed. Blocks for as long as they take;
    /// nobody waits for it.
    ///
    /// # Errors
    /// When a store does not answer or a model cannot be served; the others are, and what it was goes on.
    pub fn refresh_unread_stores(&self) -> anyhow::Result<()> {
        self.refresh_stores(self.stores.iter().filter(|store| !store.was_read()).cloned().collect())
    }

    fn refresh_stores(&self, stores: Vec<Arc<CachedStore>>) -> anyhow::Result<()> {
        if stores.is_empty() {
            return Ok(());
        }
        let refreshed = stores::refresh(&stores, &self.metrics);
        self.look_again()?;
        Ok(refreshed?)
    }

    /// Looks at one model's files again, in its store too if it came from one, and serves them if they have changed. Other
    /// models of that store are brought up to date as well. Blocks, for a store only if it is this model's.
    ///
    /// # Errors
    /// When the store does not answer or the files cannot be served; what was served goes on.
    pub fn reload(&self, name: &str) -> anyhow::Result<Reloaded> {
        let stores: Vec<_> = self.stores.iter().filter(|store| store.has(name)).cloned().collect();
        stores::refresh(&stores, &self.metrics)?;
        let mut library = self.library();
        library.use_copies();
        let entry = library.store.reload(name)?;
        let reloaded = self.serve(entry)?;
        if !stores.is_empty() {
            // The copy that they were read from is gone with the next one.
            let neighbours = self
                .names()
                .into_iter()
                .filter(|other| other != name && stores.iter().any(|store| store.has(other)));
            for neighbour in neighbours {
                let served = library.store.reload(&neighbour).map_err(anyhow::Error::from);
                if let Err(error) = served.and_then(|entry| self.serve(entry)) {
                    let error = format!("{error:#}");
                    tracing::error!(model = neighbour, error, "a model of the same store stays as it was");
                }
            }
        }
        Ok(reloaded)
    }

    /// Looks at all folders and stores again: serves what has come or changed, lets go what is gone. Blocks; what is in
    /// folders waits for no store.
    ///
    /// # Errors
    /// When a store does not answer or a model cannot be served; the others are, and what it was goes on.
    pub fn reload_all(&self) -> anyhow::Result<()> {
        let looked = self.look_again();
        looked.and(self.refresh_stores(self.stores.clone()))
    }

    /// Serves what is in the folders and copies now.
    fn look_again(&self) -> anyhow::Result<()> {
        let mut library = self.library();
        library.use_copies();
        let entries = library.store.reload_all()?;
        let mut first_error = Ok(());
        for entry in &entries {
            first_error = first_error.and(self.serve(entry.clone()).map(drop));
        }
        let gone: Vec<String> =
            self.names().into_iter().filter(|name| !entries.iter().any(|e| e.name() == name)).collect();
        gone.iter().for_each(|name| self.let_go(name));
        first_error
    }

    /// The model called `name`, or the default one.
    pub fn get(&self, name: Option<&str>) -> Option<Serving> {
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        let name = match name {
            Some(name) => name,
            None => self.default_name(serving.keys())?,
        };
        serving.get(name).cloned()
    }

    /// Every model that is served, by name, and whether it is the default.
    pub fn all(&self) -> Vec<(Serving, bool)> {
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        let default = self.default_name(serving.keys());
        serving.iter().map(|(name, one)| (one.clone(), Some(name.as_str()) == default)).collect()
    }

    /// The names of all models that are served.
    pub fn names(&self) -> Vec<String> {
        self.serving.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// The one that was configured, else the first of the owner's own models, else the embedded one.
    fn default_name<'a>(&'a self, mut names: impl Iterator<Item = &'a String> + Clone) -> Option<&'a str> {
        if let Some(name) = &self.config.default_model {
            return Some(name);
        }
        let own = names.clone().find(|name| *name != embedded::LANDSCAPE.name);
        own.or_else(|| names.next()).map(String::as_str)
    }

    /// Numbers of the longest latent of any model that is served.
    pub fn longest_latent(&self) -> usize {
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        let latents = serving.values().filter_map(|one| one.model.config().architecture.z_dim);
        latents.max().unwrap_or(0)
    }

    /// Whether every model can be used.
    ///
    /// # Errors
    /// With which cannot, and what to do.
    pub fn check_models(&self) -> Result<(), String> {
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        match serving.iter().find(|(_, serving)| serving.model.is_broken()) {
            None => Ok(()),
            Some((name, _)) => Err(broken(name)),
        }
    }

    /// Whether jobs would run.
    pub fn health(&self) -> Health {
        self.batcher.health()
    }

    /// Admits nothing more; resolves when all that is admitted is answered.
    pub fn drain(&self) -> impl Future<Output = ()> + Send + 'static {
        self.batcher.drain()
    }

    /// Resolves when a device is lost for good.
    pub fn device_lost(&self) -> impl Future<Output = ()> + Send + 'static {
        self.batcher.device_lost()
    }

    /// Answers everything that is not answered yet with an error.
    pub fn stop(&self) {
        self.batcher.stop();
    }

    /// Brings the gauges of the queues up to date, for a scrape.
    pub fn report(&self) {
        let mut queues: BTreeMap<String, (usize, Duration, Duration)> = BTreeMap::new();
        for status in self.batcher.status() {
            // Two generations of a model have a queue each while one replaces the other.
            let queue = queues.entry(status.key.name().to_owned()).or_default();
            queue.0 += status.depth;
            queue.1 = queue.1.max(status.oldest_age);
            queue.2 = queue.2.max(status.predicted_wait);
        }
        for (name, (depth, oldest_age, predicted_wait)) in &queues {
            self.metrics.queue(name, *depth, *oldest_age, *predicted_wait);
        }
        self.metrics.stores_failing(self.stores.iter().filter(|store| store.is_failing()).count());
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        serving.values().for_each(|serving| self.report_cache(&serving.model));
        let devices =
            |model: &ServedModel| model.descriptions().iter().map(|one| one.device.clone()).collect();
        let mut reported: BTreeMap<String, Vec<String>> =
            serving.iter().map(|(name, serving)| (name.clone(), devices(&serving.model))).collect();
        drop(serving);
        // A model that is gone may still have a queue, until its last job is done.
        for name in queues.into_keys() {
            reported.entry(name).or_default();
        }
        let mut before = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, devices) in std::mem::replace(&mut *before, reported) {
            if !before.contains_key(&name) {
                let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
                self.metrics.model_removed(&name, &devices);
            }
        }
    }

    /// Passes on what the caches have counted since the last scrape.
    fn report_cache(&self, model: &ServedModel) {
        for EngineDescription { device, cache_use, .. } in model.descriptions() {
            for (cached, result) in [
                (Cached::Hit, TableResult::Hit),
                (Cached::Partial, TableResult::Partial),
                (Cached::Miss, TableResult::Miss),
            ] {
                self.metrics.modulation_tables(result, cache_use.take(cached));
            }
            self.metrics.modulation_table_bytes(model.name(), device, cache_use.bytes());
        }
    }

    /// Loads `entry`, warms it and puts it in the place of its earlier generation.
    fn serve(&self, entry: Arc<Entry>) -> anyhow::Result<Reloaded> {
        let name = entry.name().to_owned();
        let before = self.get(Some(&name));
        if let Some(before) = &before
            && before.model.entry().generation() == entry.generation()
            && !before.model.is_broken()
        {
            before.model.moved_to(entry); // the same files, maybe in another place
            return Ok(Reloaded::Unchanged);
        }
        let start = Instant::now();
        let model = Arc::new(ServedModel::load(entry, &self.config.devices)?);
        let loaded = start.elapsed();
        let cost = warm_up::measure(&model, self.config.devices.len(), self.config.max_batch)?;
        tracing::info!(
            model = name,
            digest = &model.digest()[..12],
            load_ms = loaded.as_millis(),
            warm_up_ms = (start.elapsed() - loaded).as_millis(),
            batch_1_ms = cost.time(1).as_secs_f64() * 1e3,
            useful_batch = cost.knee(),
            "serving a model"
        );
        let queue = self.batcher.open(model.clone(), cost);
        self.each_info(&model, Metrics::model_ready);
        let mut serving = self.serving.write().unwrap_or_else(PoisonError::into_inner);
        serving.insert(name, Serving { model, queue });
        drop(serving);
        if let Some(before) = before {
            self.each_info(&before.model, Metrics::model_gone);
        }
        Ok(Reloaded::Replaced)
    }

    fn let_go(&self, name: &str) {
        let gone = self.serving.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(gone) = gone {
            self.each_info(&gone.model, Metrics::model_gone);
            tracing::info!(model = name, "a model is no longer served");
        }
    }

    fn each_info(&self, model: &ServedModel, tell: impl Fn(&Metrics, &str, &str, &str, &str)) {
        for EngineDescription { device, precision, .. } in model.descriptions() {
            tell(&self.metrics, model.name(), model.digest(), &precision.to_string(), device);
        }
    }

    fn library(&self) -> MutexGuard<'_, Library> {
        self.library.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to say of a model whose engine could not be built anew.
pub fn broken(name: &str) -> String {
    format!("model `{name}` cannot be used: its engine failed and could not be built anew; reload the model")
}
