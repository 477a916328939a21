//! Reads the reference's cases. Included by the tests of the crates that are held to them.

use std::{fs, path::Path};

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use spadework_model::{Architecture, Tensors};

/// Where the cases are, unless `SPADEWORK_FIXTURES` says where: a packed test runs far from its sources.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/fixtures");

/// One case: inputs and expected outputs in `tensors`, the network's own numbers in `weights`.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) architecture: Architecture,
    /// The header's entry `case`, with what belongs to one kind of case alone.
    pub(crate) case: serde_json::Value,
    /// Under the names they have in a checkpoint, in f32.
    pub(crate) weights: Tensors,
    tensors: Tensors,
}

impl Fixture {
    /// Every case whose name starts with `kind`, at least `least` of them: an empty folder must not pass for agreement.
    pub(crate) fn all(kind: &str, least: usize) -> Vec<Self> {
        let folder = std::env::var("SPADEWORK_FIXTURES").unwrap_or_else(|_| FOLDER.to_owned());
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut paths: Vec<_> = files.filter(|path| name(path).starts_with(kind)).collect();
        paths.sort();
        assert!(paths.len() >= least, "{folder} holds {} cases of {kind}", paths.len());
        paths.iter().map(|path| Self::read(name(path), path)).collect()
    }

    fn read(name: String, path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let case: serde_json::Value =
            serde_json::from_str(&header.metadata().as_ref().unwrap()["case"]).unwrap();
        let mut fixture = Self {
            name,
            architecture: serde_json::from_value(case["architecture"].clone()).unwrap(),
            case,
            weights: Tensors::new(),
            tensors: Tensors::new(),
        };
        for (name, tensor) in candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap() {
            let tensor =
                if tensor.dtype().is_float() { tensor.to_dtype(DType::F32).unwrap() } else { tensor };
            match name.strip_prefix("weights.") {
                Some(weight) => fixture.weights.insert(weight.to_owned(), tensor),
                None => fixture.tensors.insert(name, tensor),
            };
        }
        fixture
    }

    /// An input or output, if the case has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// An input or output that the case must have.
    pub(crate) fn tensor(&self, name: &str) -> &Tensor {
        self.get(name).unwrap_or_else(|| panic!("{}: there is no `{name}`", self.name))
    }

    /// `label.0`, `label.1` and so on.
    pub(crate) fn numbered(&self, label: &str) -> Vec<Tensor> {
        (0..).map_while(|index| self.get(&format!("{label}.{index}")).cloned()).collect()
    }

    /// Fails when `actual` is further than `tolerance` from the output `name`, relative where values exceed 1.
    pub(crate) fn assert_close(&self, name: &str, actual: &[f32], tolerance: f32) {
        let expected: Vec<f32> = flat(self.tensor(name));
        assert_eq!(actual.len(), expected.len(), "{}: `{name}`", self.name);
        // A NaN is not close.
        let close = |(a, e): (&f32, &f32)| (a - e).abs() <= tolerance * e.abs().max(1.0);
        let wrong = actual.iter().zip(&expected).position(|pair| !close(pair));
        if let Some(at) = wrong {
            panic!("{}: `{name}` at {at} is {}, expected {}", self.name, actual[at], expected[at]);
        }
    }
}

/// All values, row-major.
pub(crate) fn flat<T: candle_core::WithDType>(tensor: &Tensor) -> Vec<T> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
