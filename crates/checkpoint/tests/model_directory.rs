//! Model directories on disk: what is written is read back, what is broken is refused by name, changes are seen.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

use std::{fs, path::Path};

use candle_core::{Device, Tensor};
use spadework_checkpoint::{
    CheckpointError, ImportRequest, LabelConfig, ModelConfig, Store, StylePreset, TrainingOptions,
    WeightType, expected_encoder, expected_generator, import, read_model, write_model,
};
use spadework_model::{Architecture, EncoderArchitecture, Grid, Modulation, Norm, Tensors, Upsampling};
use tempfile::TempDir;

fn config() -> ModelConfig {
    let architecture = Architecture {
        label_nc: 3,
        unknown_label: true,
        instance_edges: false,
        mask: Grid { height: 32, width: 32 },
        grid: Grid { height: 1, width: 1 },
        upsampling: Upsampling::Normal,
        ngf: 1,
        hidden: 4,
        kernel: 3,
        norm: Norm::Batch,
        modulation: Modulation::PerLayer,
        z_dim: Some(5),
        noise: true,
        encoder: Some(EncoderArchitecture::Color { width: 2 }),
    };
    ModelConfig {
        version: 1,
        description: "A test".to_owned(),
        licence: "CC0-1.0".to_owned(),
        provenance: String::new(),
        architecture,
        labels: vec![LabelConfig { id: 0, name: "sky".to_owned(), color: Some([1, 2, 3]) }],
        styles: vec![StylePreset { name: "dusk".to_owned(), latent: vec![0.5; 5] }],
    }
}

fn random(shapes: impl IntoIterator<Item = (String, Vec<usize>)>) -> Tensors {
    let tensor = |shape: Vec<usize>| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
    shapes.into_iter().map(|(name, shape)| (name, tensor(shape))).collect()
}

fn networks(config: &ModelConfig) -> (Tensors, Tensors) {
    let architecture = &config.architecture;
    (random(expected_generator(architecture).unwrap()), random(expected_encoder(architecture).unwrap()))
}

fn write(directory: &Path, dtype: WeightType) -> (Tensors, Tensors) {
    let (generator, encoder) = networks(&config());
    write_model(directory, &config(), &generator, Some(&encoder), dtype).unwrap();
    (generator, encoder)
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let folder = TempDir::new().unwrap();
    for (name, dtype, tolerance) in
        [("f32", WeightType::F32, 0.0), ("f16", WeightType::F16, 4e-3), ("bf16", WeightType::Bf16, 3e-2)]
    {
        let directory = folder.path().join(name);
        let (generator, encoder) = write(&directory, dtype);
        let model = read_model(&directory).unwrap();
        assert_eq!(model.config, config());
        for (name, tensor) in &generator {
            let exact = name.contains("running_");
            let worst = distance(tensor, &model.generator[name]);
            assert!(worst <= if exact { 0.0 } else { tolerance }, "{name}: {worst}");
        }
        let read = model.encoder.unwrap();
        assert!(encoder.iter().all(|(name, tensor)| distance(tensor, &read[name]) <= tolerance));
    }
}

#[test]
fn tensors_that_do_not_fit_are_named_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("model");
    let (mut generator, encoder) = networks(&config());
    generator.remove("conv_img.bias");
    generator.insert("extra".to_owned(), Tensor::zeros(2, candle_core::DType::F32, &Device::Cpu).unwrap());
    generator.insert("fc.bias".to_owned(), Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap());
    let error = write_model(&directory, &config(), &generator, Some(&encoder), WeightType::F32).unwrap_err();
    let text = error.to_string();
    for part in
        ["1 missing: `conv_img.bias` [3]", "1 unexpected: `extra` [2]", "`fc.bias` [3] instead of [16]"]
    {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_existing_folder_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let (generator, encoder) = networks(&config());
    let error =
        write_model(folder.path(), &config(), &generator, Some(&encoder), WeightType::F32).unwrap_err();
    assert!(matches!(error, CheckpointError::Exists(_)), "{error}");
}

#[test]
fn a_cut_or_corrupt_weight_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("model");
    write(&directory, WeightType::F32);
    let path = directory.join("generator.safetensors");
    let whole = fs::read(&path).unwrap();
    let mut odd_header = whole.clone();
    odd_header[9] = b'!';
    let mut long_header = whole.clone();
    long_header[7] = 0xff;
    for (what, bytes) in [
        ("cut", &whole[..whole.len() - 4]),
        ("empty", &[]),
        ("header", &odd_header),
        ("length", &long_header),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = read_model(&directory).unwrap_err();
        assert!(matches!(error, CheckpointError::Safetensors { .. }), "{what}: {error}");
    }
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let folder = TempDir::new().unwrap();
    let (mut generator, encoder) = networks(&config());
    generator.insert("conv_img.bias".to_owned(), Tensor::new(&[0f32, f32::NAN, 0.0], &Device::Cpu).unwrap());
    let error = write_model(&folder.path().join("m"), &config(), &generator, Some(&encoder), WeightType::F32);
    let text = error.unwrap_err().to_string();
    assert!(text.contains("`conv_img.bias` holds NaN"), "{text}");
}

#[test]
fn a_configuration_of_a_later_version_says_so() {
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("model");
    write(&directory, WeightType::F32);
    let path = directory.join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    let later = text.replacen("\"version\": 1", "\"version\": 2, \"of_the_future\": true", 1);
    fs::write(&path, later).unwrap();
    let error = read_model(&directory).unwrap_err();
    assert!(error.to_string().contains("has version 2 and this release reads up to 1"), "{error}");
    fs::write(&path, text.replacen("\"ngf\": 1", "\"ngf\": 0", 1)).unwrap();
    assert!(read_model(&directory).unwrap_err().to_string().contains("`ngf` must be at least 1"));
    fs::write(&path, "{ not json").unwrap();
    assert!(matches!(read_model(&directory), Err(CheckpointError::Config { .. })));
}

#[test]
fn a_store_sees_what_changed_and_keeps_what_did_not() {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("first"), WeightType::F32);
    write(&folder.path().join("second"), WeightType::F32);
    let mut store = Store::open(&[folder.path().to_owned()], None).unwrap();
    let names =
        |store: &Store| store.entries().iter().map(|entry| entry.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&store), ["first", "second"]);
    let generation = |store: &Store, index: usize| store.entries()[index].generation();
    let before = [generation(&store, 0), generation(&store, 1)];

    fs::remove_dir_all(folder.path().join("first")).unwrap();
    write(&folder.path().join("first"), WeightType::F16);
    let old = store.entries()[0].clone();
    assert!(matches!(old.load(), Err(CheckpointError::Changed(_))));
    store.reload_all().unwrap();
    assert_ne!(generation(&store, 0), before[0]);
    assert_eq!(generation(&store, 1), before[1]);
    assert_eq!(store.entries()[0].load().unwrap().digest, store.entries()[0].digest());

    fs::write(folder.path().join("second/config.json"), "{}").unwrap();
    assert!(store.reload("second").is_err());
    assert_eq!(names(&store), ["first", "second"], "what was there stays");
}

#[test]
fn files_that_have_moved_are_the_same_model_where_they_are_now() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (folder.path().join("1"), folder.path().join("2"));
    write(&old.join("model"), WeightType::F32);
    let mut store = Store::open(std::slice::from_ref(&old), None).unwrap();
    let before = store.entries().remove(0);
    fs::rename(&old, &new).unwrap();
    assert!(before.load().is_err());
    store.set_roots(vec![new]);
    let after = store.reload("model").unwrap();
    assert_eq!((after.generation(), after.digest()), (before.generation(), before.digest()));
    after.load().unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_has_its_own_name_and_to_switch_it_switches_the_model() {
    let folder = TempDir::new().unwrap();
    let (first, second) = (folder.path().join(".v1"), folder.path().join(".v2"));
    write(&first, WeightType::F32);
    write(&second, WeightType::F32);
    let link = folder.path().join("current");
    std::os::unix::fs::symlink(&first, &link).unwrap();
    let mut store = Store::open(&[folder.path().to_owned()], None).unwrap();
    let before = store.entries().remove(0);
    assert_eq!(before.name(), "current");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&second, &link).unwrap();
    let after = store.reload_all().unwrap().remove(0);
    assert_ne!(after.digest(), before.digest());
    after.load().unwrap();
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_weights_is_refused_and_not_waited_for() {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("model"), WeightType::F32);
    let weights = folder.path().join("model/generator.safetensors");
    fs::remove_file(&weights).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&weights).status().unwrap().success());
    let errors = Store::open(&[folder.path().to_owned()], None).unwrap_err();
    let said = std::error::Error::source(&errors[0]).unwrap().to_string();
    assert_eq!(said, "it is no regular file");
}

#[test]
fn two_models_of_one_name_are_refused() {
    let folder = TempDir::new().unwrap();
    for parent in ["a", "b"] {
        write(&folder.path().join(parent).join("same"), WeightType::F32);
    }
    let roots = ["a", "b"].map(|parent| folder.path().join(parent));
    assert!(matches!(&Store::open(&roots, None).unwrap_err()[..], [CheckpointError::Twice { .. }]));
    let nothing = folder.path().to_owned();
    let errors = Store::open(&[nothing.clone(), "/nowhere".into()], None).unwrap_err();
    assert!(
        matches!(&errors[..], [CheckpointError::NoModel(_), CheckpointError::Missing { .. }]),
        "all are told"
    );
    let mut store = Store::open(&roots[..1], None).unwrap();
    store.set_roots(vec![nothing]);
    assert!(store.reload_all().is_err() && !store.entries().is_empty(), "what was known stays");
}

#[test]
fn a_safetensors_generator_is_imported_by_its_shapes() {
    let folder = TempDir::new().unwrap();
    let written = folder.path().join("written");
    let (generator, _) = write(&written, WeightType::F32);
    let options = TrainingOptions {
        label_nc: Some(3),
        contain_dontcare_label: Some(true),
        no_instance: Some(true),
        crop_size: Some(32),
        ..TrainingOptions::default()
    };
    let request = ImportRequest {
        weights: written.join("generator.safetensors"),
        encoder: Some(written.join("encoder.safetensors")),
        options,
        prefix: None,
        encoder_prefix: None,
        labels: Vec::new(),
        description: String::new(),
        licence: String::new(),
    };
    let model = import(&request).unwrap().model;
    let mut expected = config().architecture;
    expected.norm = Norm::SyncBatch;
    assert_eq!(model.config.architecture, expected);
    assert_eq!(distance(&model.generator["fc.weight"], &generator["fc.weight"]), 0.0);
    assert_eq!(model.config.labels.last().unwrap().name, "unknown");

    let wrong = ImportRequest {
        options: TrainingOptions { label_nc: Some(4), ..request.options.clone() },
        ..request
    };
    let text = import(&wrong).unwrap_err().to_string();
    assert!(text.contains("semantic_nc is 5 by the options and 4 by the weights"), "{text}");
}
