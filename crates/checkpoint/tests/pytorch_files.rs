//! Checkpoints as PyTorch wrote them (`tests/reference/make_checkpoints.py`): every form imports to the same numbers,
//! what does not fit is named, and nothing in a pickle is run.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

use std::{collections::HashMap, fs, path::Path, path::PathBuf};

use candle_core::{DType, Device, Tensor};
use spadework_checkpoint::{
    CheckpointError, ImportRequest, Imported, Model, TrainingOptions, import, list_tensors,
};
use spadework_model::{EncoderArchitecture, Grid, Norm, Tensors, Upsampling};
use tempfile::TempDir;

/// Two roundings to f32 of numbers of about 1.
const TOLERANCE: f32 = 1e-6;

/// What the malicious pickles would create in the working directory.
const MARKER: &str = "a-pickle-was-run";

fn file(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/checkpoints")).join(name)
}

fn request(weights: &Path) -> ImportRequest {
    ImportRequest {
        weights: weights.to_owned(),
        options: TrainingOptions::read(&file("opt.txt")).unwrap(),
        ..ImportRequest::default()
    }
}

fn tensors(name: &str) -> Tensors {
    candle_core::safetensors::load(file(name), &Device::Cpu).unwrap()
}

/// The tensors of `expected` have their values in `actual`.
fn assert_close(actual: &Tensors, expected: &Tensors, what: &str) {
    for (name, expected) in expected {
        let worst = (&actual[name] - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        let worst = worst.to_scalar::<f32>().unwrap();
        assert!(worst <= TOLERANCE, "{what}: `{name}` is off by {worst}");
    }
}

#[test]
fn every_form_imports_to_the_weights_that_pytorch_computes_with() {
    let expected = tensors("folded.safetensors");
    let mut oldest = expected.clone();
    oldest.extend(tensors("folded_oldest.safetensors"));
    for (name, expected) in [
        ("hook_zip.pth", &expected),
        ("hook_legacy.pth", &expected),
        ("oldest_legacy.pth", &oldest),
        ("parametrized_module.pth", &expected),
    ] {
        let Imported { model, .. } = import(&request(&file(name))).unwrap();
        assert_eq!(model.generator.len(), expected.len(), "{name}");
        assert_close(&model.generator, expected, name);
    }
}

#[test]
fn a_state_dict_saved_as_safetensors_keeps_its_counters_and_its_prefix() {
    let folder = TempDir::new().unwrap();
    let weights = folder.path().join("state.safetensors");
    let expected = tensors("folded.safetensors");
    let mut state: HashMap<String, Tensor> =
        expected.iter().map(|(name, tensor)| (format!("module.{name}"), tensor.clone())).collect();
    let counter = Tensor::new(&[9i64], &Device::Cpu).unwrap();
    state.insert("module.head_0.norm_0.param_free_norm.num_batches_tracked".to_owned(), counter);
    candle_core::safetensors::save(&state, &weights).unwrap();
    let Imported { model, .. } = import(&request(&weights)).unwrap();
    assert_eq!(model.generator.len(), expected.len());
    assert_close(&model.generator, &expected, "state.safetensors");
}

#[test]
fn an_encoder_comes_along_in_either_form() {
    let expected = tensors("folded_encoder.safetensors");
    for name in ["encoder_zip.pth", "encoder_parametrized.pth"] {
        let request = ImportRequest { encoder: Some(file(name)), ..request(&file("hook_zip.pth")) };
        let Imported { model, .. } = import(&request).unwrap();
        assert_eq!(model.config.architecture.encoder, Some(EncoderArchitecture::Published { width: 1 }));
        let encoder = model.encoder.unwrap();
        assert_eq!(encoder.len(), expected.len(), "{name}");
        assert_close(&encoder, &expected, name);
    }
}

#[test]
fn opt_txt_and_shapes_make_the_architecture() {
    let Model { config, .. } = import(&request(&file("hook_legacy.pth"))).unwrap().model;
    let architecture = config.architecture;
    assert_eq!((architecture.label_nc, architecture.semantic_nc()), (3, 4));
    assert_eq!((architecture.ngf, architecture.hidden, architecture.kernel), (1, 2, 3));
    assert_eq!((architecture.z_dim, architecture.grid), (Some(4), Grid { height: 1, width: 1 }));
    assert_eq!((architecture.norm, architecture.upsampling), (Norm::SyncBatch, Upsampling::Normal));
}

/// The hook form's tensors, changed by `change`, as a file to import.
fn changed(folder: &TempDir, change: impl FnOnce(&mut Tensors)) -> ImportRequest {
    let mut stored: Tensors = spadework_checkpoint::read_tensors(&file("hook_zip.pth")).unwrap();
    change(&mut stored);
    let path = folder.path().join("changed.safetensors");
    candle_core::safetensors::save(&stored, &path).unwrap();
    request(&path)
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn missing_unexpected_and_misshapen_tensors_are_named_with_their_shapes() {
    let folder = TempDir::new().unwrap();
    let request = changed(&folder, |stored| {
        stored.remove("conv_img.bias");
        stored.remove("up_1.conv_s.weight_u");
        stored.insert("up_9.conv_0.weight".to_owned(), zeros(&[4, 2]));
        stored.insert("up_0.conv_1.weight_orig".to_owned(), zeros(&[8, 5, 3, 3]));
        stored.insert("up_2.conv_0.weight_v".to_owned(), zeros(&[7]));
        stored.insert("up_3.norm_0.mlp_gamma.bias".to_owned(), zeros(&[3]));
    });
    let text = import(&request).unwrap_err().to_string();
    for part in [
        "2 missing: `conv_img.bias` [3], `up_1.conv_s.weight_u` [4]",
        "1 unexpected: `up_9.conv_0.weight` [4, 2]",
        "`up_0.conv_1.weight` [8, 5, 3, 3] instead of [8, 8, 3, 3]",
        "`up_2.conv_0.weight_v` [7] instead of [36]",
        "`up_3.norm_0.mlp_gamma.bias` [3] instead of [2]",
        "3 misshapen",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn a_tensor_that_contradicts_opt_txt_is_named_with_both_readings() {
    let folder = TempDir::new().unwrap();
    let cases = HashMap::from([
        ("fc.weight", (vec![16, 5], "z_dim is 4 by the options and 5 by the weights (`fc.weight`)")),
        ("head_0.conv_0.weight_orig", (vec![8, 16, 3, 3], "ngf is 1 by the options and 0 by the weights")),
        ("head_0.norm_0.mlp_shared.0.weight", (vec![2, 9, 3, 3], "semantic_nc is 4 by the options and 9")),
    ]);
    for (name, (shape, part)) in cases {
        let request = changed(&folder, |stored| {
            stored.insert(name.to_owned(), zeros(&shape));
        });
        let text = import(&request).unwrap_err().to_string();
        assert!(text.contains(part) && text.contains(name.trim_end_matches("_orig")), "{text}");
    }
}

#[test]
fn a_pickle_that_calls_a_command_is_refused_and_nothing_is_run() {
    let malicious = fs::read_dir(file("")).unwrap().map(|entry| entry.unwrap().path());
    let malicious: Vec<PathBuf> =
        malicious.filter(|path| path.to_string_lossy().contains("malicious_")).collect();
    assert_eq!(malicious.len(), 6);
    for path in malicious {
        for error in [import(&request(&path)).unwrap_err(), list_tensors(&path).unwrap_err()] {
            let text = error.to_string();
            assert!(matches!(error, CheckpointError::PythonObjects { .. }), "{text}");
            assert!(text.contains("posix.system") && text.contains("nothing of it was run"), "{text}");
        }
    }
    assert!(!Path::new(MARKER).exists());
}

#[test]
fn a_command_whose_result_is_dropped_is_not_run_either() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("dropped.pth");
    let call = format!("cposix\nsystem\n(S'touch {MARKER}'\ntR0");
    fs::write(&path, [b"\x80\x02".as_slice(), call.as_bytes(), b"}."].concat()).unwrap();
    assert!(import(&request(&path)).is_err());
    assert!(!Path::new(MARKER).exists());
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let folder = TempDir::new().unwrap();
    for name in ["hook_zip.pth", "hook_legacy.pth"] {
        let whole = fs::read(file(name)).unwrap();
        let path = folder.path().join(name);
        for parts in 0..16 {
            fs::write(&path, &whole[..whole.len() * parts / 16]).unwrap();
            let text = import(&request(&path)).unwrap_err().to_string();
            let expected = if parts == 0 { "is empty" } else { "is cut off" };
            assert!(text.contains(expected), "{name}, {parts} sixteenths: {text}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(import(&request(&path)).is_ok());
    }
}

#[test]
fn options_for_another_network_are_refused_by_what_differs() {
    let wrong =
        TrainingOptions { no_instance: Some(false), use_vae: Some(false), ..request(&file("")).options };
    let request = ImportRequest { options: wrong, ..request(&file("hook_zip.pth")) };
    let text = import(&request).unwrap_err().to_string();
    for part in ["semantic_nc is 5 by the options and 4", "use_vae is false by the options and true"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn networks_under_a_prefix_are_found_and_of_several_one_is_chosen() {
    let folder = TempDir::new().unwrap();
    let stored = spadework_checkpoint::read_tensors(&file("hook_zip.pth")).unwrap();
    let under = |prefixes: &[&str]| {
        let path = folder.path().join("nested.safetensors");
        let named = |prefix: &str| {
            let prefix = prefix.to_owned();
            stored.iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor.clone()))
        };
        let mut all: HashMap<String, Tensor> = prefixes.iter().flat_map(|prefix| named(prefix)).collect();
        all.insert("netD.model0.0.weight".to_owned(), zeros(&[2, 2]));
        candle_core::safetensors::save(&all, &path).unwrap();
        request(&path)
    };
    let expected = tensors("folded.safetensors");
    for prefix in ["state_dict.", "netG.", "_orig_mod.", "state_dict.netG.module.", "ema_model."] {
        let Imported { model, notes } = import(&under(&[prefix])).unwrap();
        assert_close(&model.generator, &expected, prefix);
        let note = notes.join("; ");
        assert!(note.contains(&format!("found the generator under `{prefix}`")), "{note}");
        assert!(note.contains("other tensor is left out"), "{note}");
    }
    let two = under(&["netG.", "netG_ema."]);
    let text = import(&two).unwrap_err().to_string();
    for part in ["2 generators", "`netG.`", "`netG_ema.`", "`--prefix"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    for chosen in ["netG_ema.", "netG_ema"] {
        let one = ImportRequest { prefix: Some(chosen.to_owned()), ..two.clone() };
        assert_close(&import(&one).unwrap().model.generator, &expected, chosen);
    }
    let none = ImportRequest { prefix: Some("netX".to_owned()), ..two };
    let text = import(&none).unwrap_err().to_string();
    assert!(text.contains("no generator under `netX`") && text.contains("`netG_ema.`"), "{text}");
}

#[test]
fn options_are_read_in_utf_16_and_refused_when_there_are_none() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("opt.txt");
    let text = fs::read_to_string(file("opt.txt")).unwrap();
    let expected = TrainingOptions::read(&file("opt.txt")).unwrap();
    let utf16 = |mark: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("{mark}{text}").encode_utf16().flat_map(unit).collect()
    };
    for bytes in [
        utf16("\u{feff}", u16::to_le_bytes),
        utf16("\u{feff}", u16::to_be_bytes),
        utf16("", u16::to_le_bytes),
        format!("\u{feff}{text}").into_bytes(),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(TrainingOptions::read(&path).unwrap(), expected);
    }
    for (bytes, part) in [
        (&b"{\"label_nc\": 4, \"no_instance\": true}"[..], "it looks like JSON"),
        (b"{\n  \"label_nc\": 4\n}\n", "it looks like JSON"),
        (b"epoch: 3, iters: 100, time: 0.4\n", "label_nc: 182"),
        (b"", "an empty file"),
        (b"PK\x03\x04 a model", "a PyTorch or pickle file"),
    ] {
        fs::write(&path, bytes).unwrap();
        let text = TrainingOptions::read(&path).unwrap_err().to_string();
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn what_is_assumed_without_options_is_said() {
    let weights = file("hook_zip.pth");
    let plain = ImportRequest { weights: weights.clone(), ..ImportRequest::default() };
    let said = import(&plain).unwrap().notes.join("; ");
    assert!(said.contains("assumed 3 labels and instance edges, masks of 32x32"), "{said}");
    let told = import(&request(&weights)).unwrap().notes;
    assert!(told.is_empty(), "{told:?}");
}
