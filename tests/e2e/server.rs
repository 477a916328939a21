//! A server of the real binary on a port of its own, and the command line beside it.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, OnceLock, Weak},
    thread,
    time::{Duration, Instant},
};

use candle_core::{Device, Tensor};
use reqwest::blocking::{Client, RequestBuilder, Response, multipart};
use serde_json::Value;
use spadework_checkpoint::expected_generator;
use spadework_model::{Architecture, PublishedOptions, Upsampling};
use tempfile::TempDir;

/// How long a server may take to load its models on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary with these arguments.
pub(crate) fn spadework(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spadework"));
    command.args(args).stdin(Stdio::null());
    command
}

/// What the command did.
pub(crate) fn run(args: &[&str]) -> Output {
    spadework(args).output().unwrap()
}

/// What the command printed; it must succeed.
pub(crate) fn done(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the command complained of; it must be the caller's mistake.
pub(crate) fn mistake(args: &[&str]) -> String {
    let output = run(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    said
}

/// A file of `tests/reference/checkpoints`.
pub(crate) fn checkpoint(name: &str) -> String {
    format!("{}/../tests/reference/checkpoints/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Imports the tiny model (32x32, three labels and an unknown one, latent of 4, encoder) as `folder`.
pub(crate) fn import_tiny(folder: &Path) {
    let out = folder.display().to_string();
    let (weights, encoder, options) =
        (checkpoint("hook_zip.pth"), checkpoint("encoder_zip.pth"), checkpoint("opt.txt"));
    done(&["import", "--weights", &weights, "--encoder", &encoder, "--options", &options, "--out", &out]);
}

/// Imports another model of the same form and other weights as `folder`.
pub(crate) fn import_next(folder: &Path) {
    let out = folder.display().to_string();
    let (weights, encoder, options) =
        (checkpoint("oldest_legacy.pth"), checkpoint("encoder_zip.pth"), checkpoint("opt.txt"));
    done(&["import", "--weights", &weights, "--encoder", &encoder, "--options", &options, "--out", &out]);
}

/// A folder with the tiny model in it, imported once for all tests.
pub(crate) fn models() -> PathBuf {
    static MODELS: OnceLock<PathBuf> = OnceLock::new();
    MODELS
        .get_or_init(|| {
            // In the build's own folder, since a static is never dropped.
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("models");
            let _ = std::fs::remove_dir_all(&folder);
            import_tiny(&folder.join("tiny"));
            for preset in ["ade20k", "coco", "cityscapes"] {
                import_preset(preset, &folder.join(preset));
            }
            folder
        })
        .clone()
}

/// A model of a published preset with random weights, of one feature a level, imported as `folder`.
pub(crate) fn import_preset(preset: &str, folder: &Path) {
    let (label_nc, unknown, no_instance, crop, aspect, upsampling) = match preset {
        "ade20k" => (150, true, true, 256, 1.0, Upsampling::Normal),
        "coco" => (182, true, false, 256, 1.0, Upsampling::Normal),
        "cityscapes" => (35, false, false, 512, 2.0, Upsampling::More),
        other => panic!("{other}"),
    };
    let options = PublishedOptions {
        label_nc,
        contain_dontcare_label: unknown,
        no_instance,
        crop_size: crop,
        aspect_ratio: aspect,
        upsampling,
        ngf: 1,
        z_dim: 256,
        use_vae: false,
        norm_g: "spectralspadesyncbatch3x3".to_owned(),
    };
    let architecture = Architecture { hidden: 2, ..Architecture::published(&options).unwrap() };
    // Large enough for a picture to show what its mask shows, variances above zero.
    let tensor = |name: &str, shape: Vec<usize>| {
        let least = if name.ends_with("running_var") { 0.5 } else { -0.5 };
        Tensor::rand(least, least + 1.0f32, shape, &Device::Cpu).unwrap()
    };
    let tensors: HashMap<String, Tensor> = expected_generator(&architecture)
        .unwrap()
        .into_iter()
        .map(|(name, shape)| {
            let tensor = tensor(&name, shape);
            (name, tensor)
        })
        .collect();
    let weights = folder.with_extension("weights.safetensors");
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    candle_core::safetensors::save(&tensors, &weights).unwrap();
    let (weights, out) = (weights.display().to_string(), folder.display().to_string());
    done(&["import", "--weights", &weights, "--preset", preset, "--out", &out]);
    std::fs::remove_file(weights).unwrap();
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Fills the log, until the server has ended.
    reader: Option<thread::JoinHandle<()>>,
    /// Its public address, as `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// The operator's, if it is another.
    pub(crate) admin: String,
    /// Without a limit on time.
    pub(crate) client: Client,
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts a server with these arguments and waits until it is ready.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    /// As [`start`](Self::start), with variables in its environment.
    pub(crate) fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let server = Self::start_unready_with(args, variables);
        let started = Instant::now();
        while server.get("/readyz").status() != 200 {
            assert!(started.elapsed() < PATIENCE, "not ready: {}", server.log());
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn start_unready(args: &[&str]) -> Self {
        Self::start_unready_with(args, &[])
    }

    fn start_unready_with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        spadework_remote::install_tls(); // the client below is built with it
        let mut command = spadework(&["serve", "--listen", "127.0.0.1:0"]);
        let mut child =
            command.args(args).envs(variables.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), log.clone());
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let listeners = if args.contains(&"--admin-listen") { 2 } else { 1 };
        let started = Instant::now();
        let urls = loop {
            let urls = listening(&log.lock().unwrap());
            if urls.len() == listeners {
                break urls;
            }
            assert!(child.try_wait().unwrap().is_none(), "it ended: {}", log.lock().unwrap());
            assert!(started.elapsed() < PATIENCE, "it does not listen: {}", log.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        };
        let client = Client::builder().timeout(None).build().unwrap();
        let (url, admin) = (urls[0].clone(), urls[listeners - 1].clone());
        Self { child, log, reader: Some(reader), url, admin, client, _folder: None }
    }

    /// One server with the embedded and the tiny model, shared by the tests that run at the same time.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start(&["--models", models().to_str().unwrap()]));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Everything it has logged so far. A line follows the answer that it tells of: see [`logged`](Self::logged).
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// What `find` finds in the log, once it is there.
    pub(crate) fn logged<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = find(&self.log.lock().unwrap()) {
                return found;
            }
            assert!(started.elapsed() < PATIENCE, "it is not logged: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// GET.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().unwrap()
    }

    /// The JSON at a path.
    pub(crate) fn json(&self, path: &str) -> Value {
        self.get(path).error_for_status().unwrap().json().unwrap()
    }

    /// POST.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    /// A synthesis of `mask` with options, as a form.
    pub(crate) fn form(&self, mask: &[u8], options: &[(&str, &str)]) -> RequestBuilder {
        self.post("/synthesize").multipart(form(mask, options))
    }

    /// The picture of [`form`](Self::form).
    pub(crate) fn picture(&self, mask: &[u8], options: &[(&str, &str)]) -> Vec<u8> {
        let response = self.form(mask, options).send().unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().unwrap());
        response.bytes().unwrap().to_vec()
    }

    /// The value of a metric, all its labels as they are written; 0 if it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.client.get(format!("{}/metrics", self.admin)).send().unwrap().text().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Asks for a model to be read again, at the operator's address.
    pub(crate) fn reload(&self, model: &str) -> Response {
        self.client.post(format!("{}/admin/models/{model}/reload", self.admin)).send().unwrap()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// The exit code, once it has ended; then its log is whole.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.reader.take().map(thread::JoinHandle::join).transpose().unwrap();
                return status.code();
            }
            assert!(started.elapsed() < PATIENCE, "it does not end: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The addresses in a log, in order.
fn listening(log: &str) -> Vec<String> {
    let urls = log.split("listening on ").skip(1);
    urls.filter_map(|rest| rest.split_once(['\n', '"'])).map(|(url, _)| url.trim().to_owned()).collect()
}

/// A form of a mask and options.
pub(crate) fn form(mask: &[u8], options: &[(&str, &str)]) -> multipart::Form {
    let mask = multipart::Part::bytes(mask.to_vec()).file_name("mask.png");
    let form = multipart::Form::new().part("mask", mask);
    options.iter().fold(form, |form, (name, value)| form.text(name.to_string(), value.to_string()))
}
