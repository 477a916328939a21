//! The real binary on sixteen tiny pairs: killed, stopped, starved of disk, fed with damage, exported.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use spadework_imaging::{LabelMap, RgbImage, encode_label_png, encode_png};
use tempfile::TempDir;

/// A network for images of 32×32.
const NETWORK: &str = "--label-nc 3 --crop-size 32 --load-size 32 --z-dim 4 --noise \
    --encoder color --encoder-width 2 --initialisation default --lambda-l1 5 --batch 4 --log-every 1 --threads 1";

/// A few hundred weights.
const TINY: &str = "--ngf 1 --ndf 2 --hidden 4";

/// A folder with sixteen pairs and room for a run.
struct Workshop {
    folder: TempDir,
}

impl Workshop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["labels", "images"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for index in 0..16 {
            let (labels, image) = pair(index);
            fs::write(
                folder.path().join(format!("labels/{index:02}.png")),
                encode_label_png(&labels).unwrap(),
            )
            .unwrap();
            fs::write(folder.path().join(format!("images/{index:02}.png")), encode_png(&image).unwrap())
                .unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fit(&self, run: &str, more: &str) -> Command {
        self.fit_as(run, &format!("{TINY} {more}"))
    }

    fn fit_as(&self, run: &str, more: &str) -> Command {
        let mut command = train();
        command.arg("fit").arg("--out").arg(self.path(run)).arg("--labels").arg(self.path("labels"));
        command.arg("--images").arg(self.path("images"));
        command.args(NETWORK.split_whitespace()).args(more.split_whitespace());
        command
    }

    fn resume(&self, run: &str) -> Command {
        let mut command = train();
        command.arg("resume").arg(self.path(run));
        command
    }
}

/// Ground under a sky, and a block of the third class, all in their colours.
fn pair(index: usize) -> (LabelMap, RgbImage) {
    let (horizon, block) = (8 + index, 4 + index * 7 % 20);
    let id = |x: usize, y: usize| match (x, y) {
        _ if (block..block + 6).contains(&x) => 2,
        _ if y >= horizon => 1,
        _ => 0,
    };
    let ids: Vec<u8> = (0..32 * 32).map(|i| id(i % 32, i / 32)).collect();
    let colors = [[90, 160, 230], [60, 130, 50], [150, 60, 40]];
    let pixels = ids.iter().flat_map(|id| colors[usize::from(*id)]).collect();
    (LabelMap::new(32, 32, ids, 3).unwrap(), RgbImage::new(32, 32, pixels).unwrap())
}

fn train() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spadework-train"));
    command.env_remove("WORLD_SIZE").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    output
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The lines of metrics of a run, without what a clock says.
fn lines(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let fields = line.as_object_mut().unwrap();
            fields.remove("seconds");
            fields.remove("pictures_per_second");
            line
        })
        .collect()
}

fn checkpoints(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

/// Waits until the run has as many lines.
fn wait_for_lines(child: &mut Child, run: &Path, count: usize) {
    let started = Instant::now();
    while lines(run).len() < count {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
        assert!(started.elapsed() < Duration::from_secs(120), "no {count} lines in two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_that_is_killed_twice_and_resumed_is_the_run_that_was_not() {
    let workshop = Workshop::new();
    let settings = "--samples 120 --checkpoint-every 4 --keep 100";
    succeed(workshop.fit("whole", settings));
    let (whole, broken) = (workshop.path("whole"), workshop.path("broken"));
    let mut child = workshop.fit("broken", settings).spawn().unwrap();
    for count in [7, 18] {
        wait_for_lines(&mut child, &broken, count);
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        if count == 7 {
            child = workshop.resume("broken").spawn().unwrap();
        }
    }
    succeed(workshop.resume("broken"));
    assert_eq!(lines(&broken), lines(&whole));
    let last = "step-000000030.safetensors";
    let weights = |run: &Path| tensors(&run.join("checkpoints").join(last));
    assert!(weights(&broken) == weights(&whole), "the last weights differ");
}

/// The bytes of a checkpoint's tensors, without the header, which says how long the run took.
fn tensors(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].to_vec()
}

#[test]
fn overfitting_sixteen_pairs_brings_the_losses_down() {
    let workshop = Workshop::new();
    succeed(workshop.fit_as(
        "run",
        "--samples 1600 --lr 4e-3 --warm-up 5 --ngf 4 --ndf 4 --hidden 16 --no-flip --ema 0.9",
    ));
    let lines = lines(&workshop.path("run"));
    let mean = |name: &str, part: &[Value]| {
        part.iter().map(|line| line[name].as_f64().unwrap()).sum::<f64>() / part.len() as f64
    };
    let (first, last) = (&lines[..20], &lines[lines.len() - 20..]);
    let fallen = |name: &str| mean(name, first) / mean(name, last);
    assert!(fallen("L1") > 3.0, "L1 fell by a factor of {}", fallen("L1"));
    assert!(fallen("GAN_Feat") > 1.5, "feature matching fell by a factor of {}", fallen("GAN_Feat"));
}

#[test]
fn a_term_signal_leaves_a_checkpoint_and_the_way_on() {
    let workshop = Workshop::new();
    let mut child = workshop.fit("run", "--samples 100000 --checkpoint-every 1h").spawn().unwrap();
    wait_for_lines(&mut child, &workshop.path("run"), 3);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let step = lines(&workshop.path("run")).len();
    assert!(said(&output).contains(&format!("stopped after step {step}")), "{}", said(&output));
    assert_eq!(checkpoints(&workshop.path("run")), [format!("step-{step:09}.safetensors")]);
}

#[test]
fn a_job_that_is_started_again_goes_on_and_another_one_is_refused() {
    let workshop = Workshop::new();
    let settings = "--samples 20000 --checkpoint-every 1h --resume --stopped-exit-code 75";
    let mut child = workshop.fit("run", settings).spawn().unwrap();
    wait_for_lines(&mut child, &workshop.path("run"), 3);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let step = lines(&workshop.path("run")).len();

    let mut child = workshop.fit("run", settings).spawn().unwrap();
    wait_for_lines(&mut child, &workshop.path("run"), step + 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let steps: Vec<u64> =
        lines(&workshop.path("run")).iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert!(steps.iter().zip(1..).all(|(step, expected)| *step == expected), "{steps:?}");

    let other = workshop.fit("run", &format!("{settings} --lr 1e-5")).output().unwrap();
    assert_eq!(other.status.code(), Some(2), "{}", said(&other));
    assert!(said(&other).contains("holds a run with another course"), "{}", said(&other));
}

#[test]
fn a_run_is_extended_with_another_rate_and_tells_so() {
    let workshop = Workshop::new();
    succeed(workshop.fit("run", "--samples 8"));
    let mut shorter = workshop.resume("run");
    let refused = shorter.args(["--samples", "4"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("2 steps"), "{}", said(&refused));

    let mut longer = workshop.resume("run");
    longer.args(["--samples", "16", "--lr", "0.001"]);
    let output = succeed(longer);
    assert!(said(&output).contains("changed after step 2: total 2 -> 4"), "{}", said(&output));
    let lines = lines(&workshop.path("run"));
    assert_eq!(lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let config: Value = serde_json::from_slice(&fs::read(workshop.path("run/config.json")).unwrap()).unwrap();
    assert_eq!(config["changes"][0]["step"], 2);
    assert_eq!(config["optimization"]["rates"]["discriminator"], 0.002);

    // A job that is started again goes on with the changed run, and has nothing to do.
    let again = succeed(workshop.fit("run", "--samples 8 --resume"));
    assert!(String::from_utf8_lossy(&again.stdout).contains("all 4 steps"), "{again:?}");
}

#[test]
fn an_image_that_breaks_ends_the_run_with_its_name_and_the_checkpoints_intact() {
    let workshop = Workshop::new();
    let mut child =
        workshop.fit("run", "--samples 100000 --checkpoint-every 2 --cache-mib 0").spawn().unwrap();
    wait_for_lines(&mut child, &workshop.path("run"), 5);
    fs::write(workshop.path("images/05.png"), b"\x89PNG\r\n\x1a\nbroken").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains("images/05.png") && said.contains("its last checkpoint, after step"), "{said}");

    let (labels, image) = pair(5);
    assert_eq!(labels.ids().len(), 32 * 32);
    fs::write(workshop.path("images/05.png"), encode_png(&image).unwrap()).unwrap();
    let mut child = workshop.resume("run").spawn().unwrap();
    let step = lines(&workshop.path("run")).len();
    wait_for_lines(&mut child, &workshop.path("run"), step + 3);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_full_disk_is_said_and_leaves_the_last_checkpoint_whole() {
    let workshop = Workshop::new();
    succeed(workshop.fit("run", "--samples 8"));
    let run = workshop.path("run");
    let checkpoint = run.join("checkpoints/step-000000002.safetensors");
    let whole = fs::read(&checkpoint).unwrap();
    // A limit on the size of files below that of a checkpoint stands for the full disk.
    let blocks = whole.len() / 512 / 2;
    let mut command = Command::new("sh");
    let fit = workshop.fit("full", "--samples 80 --checkpoint-every 2 --preview-every 1000");
    command.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"")).arg("sh");
    command.arg(fit.get_program()).args(fit.get_args());
    let output = command.output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the checkpoint could not be written"), "{said}");
    assert_eq!(checkpoints(&workshop.path("full")), Vec::<String>::new());
    assert_eq!(fs::read(&checkpoint).unwrap(), whole);
}

#[test]
fn prometheus_reads_how_far_a_run_is() {
    let workshop = Workshop::new();
    let file = workshop.path("run.prom");
    succeed(workshop.fit("run", &format!("--samples 16 --metrics-textfile {}", file.display())));
    let text = fs::read_to_string(file).unwrap();
    for line in
        ["spadework_training_steps_total{run=\"run\"} 4", "spadework_training_progress_ratio{run=\"run\"} 1"]
    {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    for series in [
        "loss{loss=\"GAN_Feat\"",
        "learning_rate{network=\"generator\"",
        "gradient_norm{network=\"discriminator\"",
    ] {
        assert!(text.contains(&format!("spadework_training_{series},run=\"run\"}}")), "{text}");
    }
}

#[test]
fn every_mistake_is_told_at_once_and_no_folder_is_made() {
    let workshop = Workshop::new();
    let output = workshop
        .fit("run", "--lr=-1 --accumulate 3 --freeze-statistics 2 --lambda-vgg 1 --kl-reduction often")
        .output()
        .unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["--lr is -1", "--accumulate 3", "--freeze-statistics is 2", "--kl-reduction is `often`"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert!(!workshop.path("run").exists());
}

#[test]
fn a_run_tells_where_it_differs_from_what_was_published() {
    let workshop = Workshop::new();
    let output = succeed(workshop.fit("run", "--preset facades --ttur false --niter 1 --ema 0"));
    let config: Value = serde_json::from_slice(&fs::read(workshop.path("run/config.json")).unwrap()).unwrap();
    let told: Vec<&str> = config["differs_from_published"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_str().unwrap())
        .collect();
    for item in [
        "label_nc 3, published 13",
        "ngf 1, published 64",
        "z_dim 4, published none",
        "batch 4, published 1",
        "epochs 1 + 0, published 50 + 0",
        "first 0.5, published 0.0",
        "second 0.999, published 0.9",
        "low_resolution 5.0, published 0.0",
    ] {
        assert!(told.contains(&item), "{item} is not in {told:#?}");
    }
    assert!(told.iter().any(|item| item.starts_with("no perceptual loss")), "{told:#?}");
    assert!(!told.iter().any(|item| item.contains("average") || item.starts_with("kernel")), "{told:#?}");
    assert!(said(&output).contains("differs from published: batch 4, published 1"));
}

#[test]
fn a_device_that_cannot_be_had_leaves_no_folder() {
    let workshop = Workshop::new();
    // No machine has so many; without CUDA there is none at all.
    let output = workshop.fit("run", "--niter 1 --device cuda:99").output().unwrap();
    assert!(!output.status.success());
    assert!(said(&output).contains("cuda:99"), "{}", said(&output));
    assert!(!workshop.path("run").exists());
}

#[test]
fn a_run_becomes_a_model_directory_that_the_checkpoint_crate_reads() {
    let workshop = Workshop::new();
    succeed(workshop.fit("run", "--samples 16"));
    let mut export = train();
    export.arg("export").arg(workshop.path("run")).arg("--out").arg(workshop.path("model"));
    for (name, file) in [("noon", "00"), ("dusk", "01"), ("either", "00"), ("either", "01")] {
        let image = workshop.path(&format!("images/{file}.png"));
        export.arg("--style").arg(format!("{name}={}", image.display()));
    }
    export.args(["--licence", "CC0-1.0", "--statistics-batches", "2"]);
    succeed(export);
    let model = spadework_checkpoint::read_model(&workshop.path("model")).unwrap();
    let [noon, dusk, either] = &model.config.styles[..] else { panic!("{:?}", model.config.styles) };
    assert_eq!((noon.name.as_str(), dusk.name.as_str(), either.name.as_str()), ("noon", "dusk", "either"));
    assert_eq!(noon.latent.len(), 4);
    assert_ne!(noon.latent, dusk.latent);
    for (i, mean) in either.latent.iter().enumerate() {
        assert!(
            (mean - (noon.latent[i] + dusk.latent[i]) / 2.0).abs() < 2e-4,
            "of the two images' styles, the mean"
        );
    }
    assert!(model.config.provenance.contains("16 samples in 4 steps"), "{}", model.config.provenance);
    assert!(model.encoder.is_some());
}

#[test]
fn a_process_whose_peer_dies_ends_with_its_rank() {
    let workshop = Workshop::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut children: Vec<Child> = (0..2)
        .map(|rank| {
            let mut command = workshop.fit("run", "--samples 100000");
            command.env("WORLD_SIZE", "2").env("RANK", rank.to_string());
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", &port);
            command.spawn().unwrap()
        })
        .collect();
    wait_for_lines(&mut children[0], &workshop.path("run"), 2);
    let mut second = children.pop().unwrap();
    second.kill().unwrap();
    second.wait().unwrap();
    let output = children.pop().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("rank 1 has gone"), "{}", said(&output));
}
