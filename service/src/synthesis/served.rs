//! A model that is in memory: what its requests are checked against, and an engine for each device.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::Context as _;
use spadework_checkpoint::{Entry, ModelConfig};
use spadework_engine::{CacheUse, Engine, InstructionSet, Planner, Precision, Settings};
use spadework_imaging::{Label, LabelSet, Size};

use super::{Files, Job, SynthesisOptions, prepare, sample::sample_mask};

/// One generation of a model, ready to run on every device.
pub struct ServedModel {
    name: String,
    digest: String,
    config: ModelConfig,
    /// Its files, wherever they are now.
    entry: RwLock<Arc<Entry>>,
    labels: LabelSet,
    planner: Planner,
    /// In the order of the devices; locked only by its device's thread, and by the warm-up before.
    engines: Vec<(Settings, Mutex<Engine>)>,
    /// What each engine was when it was loaded, so that nobody waits for a lock to tell it.
    descriptions: Vec<EngineDescription>,
    /// An engine failed and could not be built anew.
    broken: AtomicBool,
    /// What a job holds, by those that were lately made ready.
    job_bytes: AtomicUsize,
}

/// What an engine computes with.
#[derive(Clone, Debug)]
pub struct EngineDescription {
    /// The device's name.
    pub device: String,
    /// The precision it has.
    pub precision: Precision,
    /// The instruction set of its kernels, on a processor.
    pub instruction_set: Option<InstructionSet>,
    /// How its cache is used.
    pub cache_use: Arc<CacheUse>,
}

impl ServedModel {
    /// Reads the weights and builds an engine for each of `devices`.
    ///
    /// # Errors
    /// When the files cannot be used or an engine cannot be built.
    pub fn load(entry: Arc<Entry>, devices: &[Settings]) -> anyhow::Result<Self> {
        let config = entry.config();
        let labels = label_set(config)?;
        let planner = Planner::new(&config.architecture);
        let model = entry.load()?;
        let build = |settings: &Settings| {
            let mut engine =
                Engine::load(&config.architecture, &model.generator, model.encoder.as_ref(), *settings)
                    .with_context(|| format!("load model `{}` on {}", entry.name(), settings.device))?;
            log_remarks(entry.name(), settings, &mut engine);
            let description = EngineDescription {
                device: settings.device.to_string(),
                precision: engine.precision(),
                instruction_set: engine.instruction_set(),
                cache_use: engine.cache_use(),
            };
            Ok(((*settings, Mutex::new(engine)), description))
        };
        let built = devices.iter().map(build).collect::<anyhow::Result<Vec<_>>>()?;
        let (engines, descriptions) = built.into_iter().unzip();
        let served = Self {
            name: entry.name().to_owned(),
            digest: entry.digest().to_owned(),
            config: config.clone(),
            labels,
            planner,
            engines,
            descriptions,
            broken: AtomicBool::new(false),
            job_bytes: AtomicUsize::new(0),
            entry: RwLock::new(entry),
        };
        let sample = served.sample_jobs(1, 0)?;
        served.weigh(sample);
        Ok(served)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of its files in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its files.
    pub fn entry(&self) -> Arc<Entry> {
        self.entry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same files are found here from now on: a store's copy is elsewhere when any model of it has changed.
    pub fn moved_to(&self, entry: Arc<Entry>) {
        *self.entry.write().unwrap_or_else(PoisonError::into_inner) = entry;
    }

    /// Its configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Whether an engine failed and could not be built anew. A reload makes another model of the same files.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// About how many bytes a job will hold.
    pub fn job_bytes(&self) -> usize {
        self.job_bytes.load(Ordering::Relaxed)
    }

    /// Jobs of one mask with the bytes that each holds; what they share is counted with the first.
    pub fn weigh(&self, jobs: Vec<Job>) -> Vec<(Job, usize)> {
        let shared = jobs.first().map_or(0, Job::shared_bytes);
        let bytes = |(index, job): (usize, &Job)| job.own_bytes() + if index == 0 { shared } else { 0 };
        let bytes: Vec<usize> = jobs.iter().enumerate().map(bytes).collect();
        let mean = bytes.iter().sum::<usize>() / bytes.len().max(1);
        let follow = |known: usize| if known == 0 { mean } else { known - known / 8 + mean / 8 };
        // Whoever comes in between counts as well; it is an estimate.
        self.job_bytes.store(follow(self.job_bytes()), Ordering::Relaxed);
        jobs.into_iter().zip(bytes).collect()
    }

    /// Its labels.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// Plans its masks.
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// Size of its masks.
    pub fn mask_size(&self) -> Size {
        let mask = self.config().architecture.mask;
        Size::new(mask.width, mask.height)
    }

    /// Size of its pictures.
    pub fn image_size(&self) -> Size {
        let picture = self.config().architecture.picture();
        Size::new(picture.width, picture.height)
    }

    /// Whether it takes a style picture.
    pub fn accepts_style(&self) -> bool {
        self.config().architecture.encoder.is_some()
    }

    /// What each device's engine computes with.
    pub fn descriptions(&self) -> &[EngineDescription] {
        &self.descriptions
    }

    /// The engine of device `index`. After a panic in the engine it is built anew, since nothing is known of its
    /// state.
    ///
    /// # Errors
    /// When it has to be built anew and cannot be.
    pub fn engine(&self, index: usize) -> anyhow::Result<MutexGuard<'_, Engine>> {
        let (settings, engine) = &self.engines[index];
        if let Ok(engine) = engine.lock() {
            return Ok(engine);
        }
        let fresh = Self::load(self.entry(), std::slice::from_ref(settings));
        self.broken.store(fresh.is_err(), Ordering::Relaxed);
        let fresh = fresh.inspect_err(|error| {
            let error = format!("{error:#}");
            tracing::error!(model = self.name, error, "an engine failed and could not be built anew");
        })?;
        let mut guard = lock(engine);
        for (_, rebuilt) in fresh.engines {
            *guard = rebuilt.into_inner().unwrap_or_else(PoisonError::into_inner);
            guard.count_in(self.descriptions[index].cache_use.clone());
        }
        engine.clear_poison();
        Ok(guard)
    }

    /// Jobs like those that people send, to measure with: a mask of every label in blobs, drawn from `seed`.
    ///
    /// # Errors
    /// When the mask cannot be planned, which the model gives it no reason to.
    pub fn sample_jobs(&self, count: usize, seed: u64) -> anyhow::Result<Vec<Job>> {
        let mut jobs = Vec::with_capacity(count);
        for i in 0..count as u64 {
            let labels = sample_mask(self.mask_size(), self.labels.classes(), seed + i)?;
            let mask = spadework_imaging::encode_label_png(&labels)?;
            let files = Files { mask: &mask, style: None, instances: None };
            let options = SynthesisOptions { seed: Some(seed + i), ..SynthesisOptions::default() };
            let limits = spadework_imaging::Limits::default();
            jobs.extend(prepare(self, &files, &options, &limits, &|| false)?.jobs);
        }
        Ok(jobs)
    }

    /// How long a batch of `jobs` takes on device `index` when nothing of it is cached.
    ///
    /// # Errors
    /// As the engine.
    pub fn time(&self, index: usize, jobs: &[Job]) -> anyhow::Result<std::time::Duration> {
        self.engine(index)?.forget();
        self.time_as_it_is(index, jobs)
    }

    /// How long a batch of `jobs` takes on device `index`, with whatever is cached.
    ///
    /// # Errors
    /// As the engine.
    pub fn time_as_it_is(&self, index: usize, jobs: &[Job]) -> anyhow::Result<std::time::Duration> {
        let mut engine = self.engine(index)?;
        let start = Instant::now();
        super::run_jobs(&mut engine, jobs)?;
        let took = start.elapsed();
        self.log_remarks(index, &mut engine);
        Ok(took)
    }

    /// Logs what the engine of device `index` could not use since the last time.
    pub fn log_remarks(&self, index: usize, engine: &mut Engine) {
        log_remarks(self.name(), &self.engines[index].0, engine);
    }
}

fn log_remarks(model: &str, settings: &Settings, engine: &mut Engine) {
    for remark in engine.drain_warnings() {
        tracing::warn!(model, device = %settings.device, "{remark}");
    }
}

fn lock(engine: &Mutex<Engine>) -> MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

fn label_set(config: &ModelConfig) -> anyhow::Result<LabelSet> {
    let labels = config.labels.iter();
    let labels = labels.map(|label| Label { id: label.id, name: label.name.clone(), color: label.color });
    let architecture = &config.architecture;
    Ok(LabelSet::new(architecture.label_nc, architecture.unknown_label, labels.collect())?)
}

#[cfg(test)]
mod tests {
    use spadework_checkpoint::Store;
    use spadework_engine::Device;

    use super::*;
    use crate::{embedded::LANDSCAPE, synthesis::run_jobs};

    #[test]
    fn an_engine_that_panicked_is_built_anew_and_makes_the_same_picture() {
        let entry = Store::open(&[], Some(LANDSCAPE)).unwrap().entries().remove(0);
        // Without a cache, so that the picture is computed again.
        let precision = Some(Precision::Highest);
        let settings =
            Settings { device: Device::Cpu, precision, threads: 1, cache_bytes: 0, ..Settings::default() };
        let model = ServedModel::load(entry, &[settings]).unwrap();
        let jobs = model.sample_jobs(1, 0).unwrap();
        let picture = || run_jobs(&mut model.engine(0).unwrap(), &jobs).unwrap().remove(0).pixels;
        let before = picture();
        std::thread::scope(|scope| {
            let panicking = scope.spawn(|| {
                let _engine = model.engine(0).unwrap();
                panic!("on purpose, while the engine is in use");
            });
            assert!(panicking.join().is_err());
        });
        assert!(model.engines[0].1.is_poisoned());
        assert_eq!(picture(), before);
        assert!(!model.engines[0].1.is_poisoned());
    }

    /// A store of the embedded model's files in `folder`.
    fn store_in(folder: &std::path::Path) -> Store {
        let model = folder.join("landscape");
        std::fs::create_dir_all(&model).unwrap();
        std::fs::write(model.join("config.json"), LANDSCAPE.config).unwrap();
        std::fs::write(model.join("generator.safetensors"), LANDSCAPE.generator).unwrap();
        std::fs::write(model.join("encoder.safetensors"), LANDSCAPE.encoder.unwrap()).unwrap();
        Store::open(&[folder.to_owned()], None).unwrap()
    }

    #[test]
    fn a_model_whose_files_are_gone_is_broken_by_a_panic_and_healed_when_they_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        let mut store = store_in(&old);
        let settings = Settings { device: Device::Cpu, threads: 1, ..Settings::default() };
        let model = ServedModel::load(store.entries().remove(0), &[settings]).unwrap();
        std::thread::scope(|scope| {
            let panicking = scope.spawn(|| {
                let _engine = model.engine(0).unwrap();
                panic!("on purpose, while the engine is in use");
            });
            assert!(panicking.join().is_err());
        });
        std::fs::rename(&old, &new).unwrap();
        assert!(model.engine(0).is_err());
        assert!(model.is_broken());
        store.set_roots(vec![new]);
        let found = store.reload("landscape").unwrap();
        assert_eq!(found.generation(), model.entry().generation(), "they are the same files");
        model.moved_to(found);
        assert!(model.engine(0).is_ok());
        assert!(!model.is_broken());
    }
}
