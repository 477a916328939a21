//! The loop with networks of four weights, whose gradients are known.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use candle_core::{Device, Result as TensorResult, Tensor};
use clap::Parser;
use spadework_imaging::{LabelMap, RgbImage};

use super::*;
use crate::{
    compute::{DeviceChoice, Precision},
    data::{DataArgs, Sample, SampleSource},
    distributed::Group,
    networks::{ConvNorm, Discriminator, Initialisation, Networks},
    objective::Objective,
    optimizer::{Betas, Rates, Schedule},
    record::{Every, MetricsLine},
    state::{TrainingState, Variables},
    step::{Batch, Draws, Gradients, Losses},
};
use spadework_autograd::Backend;

/// Weights that move towards the mean of the images, shaken by the draws.
struct Toy {
    state: TrainingState,
    /// The parts whose loss is no number.
    poison_at: std::ops::Range<u64>,
    steps: u64,
}

impl Toy {
    fn new() -> Self {
        let weights = |value: f32| {
            let tensor = Tensor::full(value, 4, &Device::Cpu).unwrap();
            Variables::from_tensors([("w".to_owned(), tensor)]).unwrap()
        };
        let state = TrainingState { generator: weights(0.5), encoder: None, discriminator: weights(-0.5) };
        Self { state, poison_at: 0..0, steps: 0 }
    }

    fn gradients(&self, network: &Variables, batch: &Batch, draws: &Draws) -> TensorResult<(f32, Gradients)> {
        let shaken = draws.eps.as_ref().map_or(Ok(0.0), |eps| eps.mean_all()?.to_scalar::<f32>())?;
        let target = batch.images.mean_all()?.to_scalar::<f32>()? + 0.1 * shaken;
        let distance = network.parameters["w"].affine(1.0, f64::from(-target))?;
        let loss = distance.sqr()?.mean_all()?.to_scalar::<f32>()?;
        Ok((loss, BTreeMap::from([("w".to_owned(), distance.affine(0.5, 0.0)?)])))
    }
}

impl Learner for Toy {
    fn state(&self) -> &TrainingState {
        &self.state
    }

    fn generator_step(
        &mut self,
        batch: &Batch,
        draws: &Draws,
    ) -> TensorResult<(Losses, Gradients, Option<Gradients>)> {
        self.steps += 1;
        let (loss, gradients) = self.gradients(&self.state.generator, batch, draws)?;
        let loss = if self.poison_at.contains(&self.steps) { f32::NAN } else { loss };
        Ok((Losses(BTreeMap::from([("GAN", loss)])), gradients, None))
    }

    fn discriminator_step(&mut self, batch: &Batch, draws: &Draws) -> TensorResult<(Losses, Gradients)> {
        let (loss, gradients) = self.gradients(&self.state.discriminator, batch, draws)?;
        Ok((Losses(BTreeMap::from([("D_real", loss), ("D_Fake", loss)])), gradients))
    }

    fn advance(&mut self, _progress: f64) {}

    fn freeze_statistics(&mut self, _frozen: bool) {}
}

/// Images of one grey, which their position chooses; one of them may be damaged.
struct Greys {
    damaged: Option<u64>,
}

impl SampleSource for Greys {
    fn epoch(&self) -> u64 {
        10
    }

    fn sample(&self, position: u64) -> anyhow::Result<Sample> {
        anyhow::ensure!(Some(position) != self.damaged, "images/{position}.png is damaged");
        let grey = (position * 37 % 251) as u8;
        let labels = LabelMap::new(32, 32, vec![0; 32 * 32], 2)?;
        Ok(Sample { labels, edges: None, image: RgbImage::new(32, 32, vec![grey; 3 * 32 * 32])? })
    }
}

pub(crate) fn config(total: u64) -> RunConfig {
    #[derive(Parser)]
    struct Data {
        #[command(flatten)]
        data: DataArgs,
    }
    let data = Data::parse_from(["test", "--landscapes", "10"]).data;
    RunConfig {
        version: RUN_VERSION,
        networks: Networks {
            architecture: random::tests::architecture(),
            generator_spectral: false,
            encoder_norm: ConvNorm::default(),
            discriminator: Discriminator::default(),
        },
        initialisation: Initialisation::Default,
        objective: Objective::default(),
        vgg: None,
        perceptual: None,
        labels: Vec::new(),
        data,
        optimization: Optimization {
            rates: Rates { generator: 0.01, discriminator: 0.02 },
            betas: Betas { first: 0.0, second: 0.9 },
            schedule: Schedule::Steps { total, warm_up: 2, decay_from: 0.5, floor: 0.1 },
            batch: 4,
            accumulate: 2,
            average_decay: 0.9,
            freeze_statistics: 0.25,
        },
        seed: 3,
        differs_from_published: Vec::new(),
        changes: Vec::new(),
        warm_start: None,
        output: Output {
            log_every: 3,
            checkpoint_every: Every::Steps(4),
            preview_every: Every::Steps(1000),
            keep: 2,
            metrics_textfile: None,
        },
        compute: Compute {
            device: DeviceChoice::Cpu,
            precision: Precision::F32,
            threads: 1,
            loader_threads: 2,
        },
    }
}

/// A process that another test starts holds this one's locks until it runs a program of its own.
fn reopened(folder: &Path) -> RunFolder {
    let pause = || std::thread::sleep(std::time::Duration::from_millis(10));
    let open = |_| RunFolder::open(folder).map_err(|_| pause()).ok();
    (0..200).find_map(open).unwrap().0
}

/// Goes on with the run in `folder`, or begins it.
fn start(folder: &Path, total: u64, learner: Toy, source: Greys) -> Training<Toy> {
    let config = config(total);
    let held = if folder.join("config.json").exists() {
        reopened(folder)
    } else {
        RunFolder::create(folder, &config).unwrap()
    };
    let stored = checkpoints(folder, 2).newest().unwrap().0;
    part(config, learner, source, Arc::new(Group::alone()), stored, Some(held))
}

fn part(
    config: RunConfig,
    learner: Toy,
    source: Greys,
    group: Arc<Group>,
    stored: Option<Stored>,
    folder: Option<RunFolder>,
) -> Training<Toy> {
    let (backend, source, shown) = (Backend::Cpu, Arc::new(source), Vec::new());
    RunStart { config, learner, backend, source, shown, group, stored, folder }.training().unwrap()
}

fn go(training: &mut Training<Toy>) -> anyhow::Result<Ending> {
    training.run(&AtomicBool::new(false))
}

/// Every line of metrics without what a clock says.
fn lines(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let timeless = |line: &str| {
        let mut line: MetricsLine = serde_json::from_str(line).unwrap();
        line.seconds = 0.0;
        line.values.remove("pictures_per_second");
        serde_json::to_string(&line).unwrap()
    };
    text.lines().map(timeless).collect()
}

fn bits(tensors: &[(String, Tensor)]) -> Vec<(String, Vec<u32>)> {
    let bits = |tensor: &Tensor| {
        let numbers = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        numbers.into_iter().map(f32::to_bits).collect()
    };
    tensors.iter().map(|(name, tensor)| (name.clone(), bits(tensor))).collect()
}

fn final_bits(training: &Training<Toy>) -> Vec<(String, Vec<u32>)> {
    bits(&tensors(training.learner.state(), &training.learning))
}

const WHOLE: Greys = Greys { damaged: None };

/// A run of twelve steps that nothing disturbs: its lines and its last tensors.
fn undisturbed() -> (Vec<String>, Vec<(String, Vec<u32>)>) {
    let folder = tempfile::tempdir().unwrap();
    let mut training = start(folder.path(), 12, Toy::new(), WHOLE);
    assert_eq!(go(&mut training).unwrap(), Ending::Finished);
    (lines(folder.path()), final_bits(&training))
}

#[test]
fn a_step_whose_loss_is_no_number_is_skipped_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // Two parts a step: the poison is in step 7, after the checkpoint of step 4.
    let poisoned = || Toy { poison_at: 13..14, ..Toy::new() };
    let steady = |folder: &Path, toy, total| {
        let mut training = start(folder, 12, toy, WHOLE);
        training.config.optimization.schedule =
            Schedule::Steps { total, warm_up: 0, decay_from: 0.0, floor: 1.0 };
        training
    };
    let mut training = steady(folder.path(), poisoned(), 12);
    assert_eq!(go(&mut training).unwrap(), Ending::Finished);
    let bits = final_bits(&training);
    assert!(bits.iter().flat_map(|(_, bits)| bits).all(|bits| f32::from_bits(*bits).is_finite()));

    // Ended behind the skipped step and gone on with, it is the same run.
    let parts = tempfile::tempdir().unwrap();
    go(&mut steady(parts.path(), poisoned(), 8)).unwrap();
    let mut second = steady(parts.path(), Toy::new(), 12);
    assert_eq!(second.position.step, 8);
    go(&mut second).unwrap();
    assert_eq!(final_bits(&second), bits);
    let whole = tempfile::tempdir().unwrap();
    let mut whole = steady(whole.path(), Toy::new(), 12);
    go(&mut whole).unwrap();
    assert_ne!(final_bits(&whole), bits, "a step was not made");
}

#[test]
fn a_run_of_losses_that_are_none_ends_with_advice_and_resuming_goes_on_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    // From step 3 on.
    let poisoned = Toy { poison_at: 5..100, ..Toy::new() };
    let error = format!("{:#}", go(&mut start(folder.path(), 12, poisoned, WHOLE)).unwrap_err());
    assert!(
        error.contains("step 8: 6 steps in a row were skipped") && error.contains("`GAN` (NaN)"),
        "{error}"
    );

    let mut training = start(folder.path(), 12, Toy::new(), WHOLE);
    assert_eq!(training.position.step, 8);
    assert_eq!(go(&mut training).unwrap(), Ending::Finished);
}

#[test]
fn whoever_watches_the_metrics_learns_of_numbers_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let (run, file) = (folder.path().join("mine"), folder.path().join("mine.prom"));
    let mut config = config(12);
    config.output.metrics_textfile = Some(file.clone());
    // From step 2 on, before the first line of metrics.
    let poisoned = Toy { poison_at: 3..100, ..Toy::new() };
    let held = RunFolder::create(&run, &config).unwrap();
    go(&mut part(config, poisoned, WHOLE, Arc::new(Group::alone()), None, Some(held))).unwrap_err();
    let text = std::fs::read_to_string(file).unwrap();
    let told = "spadework_training_alarms_total{alarm=\"not_finite\",run=\"mine\"} 6";
    assert!(text.lines().any(|line| line == told), "{told} is not in\n{text}");
}

#[test]
fn a_damaged_image_is_named_and_the_last_checkpoint_is_intact() {
    let folder = tempfile::tempdir().unwrap();
    let error = go(&mut start(folder.path(), 12, Toy::new(), Greys { damaged: Some(22) })).unwrap_err();
    assert!(format!("{error:#}").contains("samples of step 6: images/22.png is damaged"), "{error:#}");

    let mut training = start(folder.path(), 12, Toy::new(), WHOLE);
    assert_eq!(training.position.step, 4);
    go(&mut training).unwrap();
    assert_eq!((lines(folder.path()), final_bits(&training)), undisturbed());
}

#[test]
fn a_run_that_is_told_to_stop_leaves_a_checkpoint_of_that_very_step() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(true);
    for step in 1..=5 {
        let mut training = start(folder.path(), 12, Toy::new(), WHOLE);
        assert_eq!(training.run(&stop).unwrap(), Ending::Stopped);
        assert_eq!(training.position.step, step);
    }
    stop.store(false, Ordering::Relaxed);
    let mut training = start(folder.path(), 12, Toy::new(), WHOLE);
    assert_eq!(training.run(&stop).unwrap(), Ending::Finished);
    assert_eq!((lines(folder.path()), final_bits(&training)), undisturbed());
}

#[test]
fn a_folder_is_one_process_s_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _held = start(folder.path(), 12, Toy::new(), WHOLE);
    let error = RunFolder::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("another process is at work"), "{error}");
}

#[test]
fn a_run_does_not_write_over_another() {
    let folder = tempfile::tempdir().unwrap();
    drop(start(folder.path(), 12, Toy::new(), WHOLE));
    let error = RunFolder::create(folder.path(), &config(12)).unwrap_err().to_string();
    assert!(error.contains("holds a run already; go on with `spadework-train resume"), "{error}");
}

#[test]
fn two_processes_with_half_a_batch_each_train_as_one_with_the_whole() {
    let weights = |training: &Training<Toy>| {
        let of = |network: &Variables| network.parameters["w"].to_vec1::<f32>().unwrap();
        [of(&training.learner.state.generator), of(&training.learner.state.discriminator)].concat()
    };
    let apart = crate::distributed::as_group(2, |group| {
        let mut config = config(12);
        config.optimization.accumulate = 1;
        let mut training = part(config, Toy::new(), WHOLE, Arc::new(group), None, None);
        go(&mut training).unwrap();
        weights(&training)
    });
    let folder = tempfile::tempdir().unwrap();
    let mut together = start(folder.path(), 12, Toy::new(), WHOLE);
    go(&mut together).unwrap();
    assert_eq!(apart[0], apart[1]);
    for (apart, together) in apart[0].iter().zip(weights(&together)) {
        assert!((apart - together).abs() <= 1e-5 * together.abs(), "{apart} and {together}");
    }
}
