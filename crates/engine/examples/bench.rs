//! Times the engine alone, on a network of made-up weights and made-up masks.
//!
//! `cargo run --release -p spadework-engine --example bench -- [--ngf 64] [--threads 2] [--repeat 10]`

use std::{cell::RefCell, sync::Arc, time::Instant};

use candle_core::{Device, Result, Tensor};
use spadework_engine::{Engine, Input, Planner, Settings};
use spadework_imaging::{InstanceMap, LabelMap};
use spadework_model::{Architecture, Generator, Grid, Parameters, PublishedOptions, Tensors, Upsampling};

struct Numbers(u64);

impl Numbers {
    /// Uniform in [-1, 1).
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() + 1.0) / 2.0 * bound as f32) as usize
    }
}

/// Makes up every parameter that is asked for.
struct MadeUp(RefCell<(Numbers, Tensors)>);

impl Parameters for MadeUp {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let (numbers, tensors) = &mut *self.0.borrow_mut();
        let fan_in = shape[1..].iter().product::<usize>().max(1) as f32;
        let scale = if shape.len() == 1 { 0.5 } else { (1.0 / fan_in).sqrt() };
        let offset = if name.ends_with("running_var") { 1.0 } else { 0.0 };
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| offset + scale * numbers.next()).collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        tensors.insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }
}

/// Fifty ellipses on two halves: about as many distinct neighbourhoods as a photograph's mask has.
fn mask(architecture: &Architecture, numbers: &mut Numbers) -> (LabelMap, InstanceMap) {
    let Grid { height, width } = architecture.mask;
    let (mut ids, mut instances) = (vec![0; height * width], vec![0; height * width]);
    for shape in 0..30 {
        let (cy, cx) = (numbers.below(height) as f32, numbers.below(width) as f32);
        let (ry, rx) = (numbers.below(height / 4) as f32 + 4.0, numbers.below(width / 4) as f32 + 4.0);
        let label = numbers.below(architecture.label_planes()) as u8;
        for (i, (id, instance)) in ids.iter_mut().zip(&mut instances).enumerate() {
            let (y, x) = ((i / width) as f32, (i % width) as f32);
            if ((y - cy) / ry).powi(2) + ((x - cx) / rx).powi(2) < 1.0 {
                (*id, *instance) = (label, shape + 1);
            }
        }
    }
    let labels = LabelMap::new(width, height, ids, architecture.label_planes()).expect("ids in range");
    (labels, InstanceMap::new(width, height, instances).expect("a full map"))
}

fn option(name: &str, default: usize) -> usize {
    let mut args = std::env::args().skip_while(|arg| arg != name).skip(1);
    args.next().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let architecture = Architecture::published(&PublishedOptions {
        label_nc: 182,
        contain_dontcare_label: true,
        no_instance: false,
        crop_size: 256,
        aspect_ratio: 1.0,
        upsampling: Upsampling::Normal,
        ngf: option("--ngf", 64),
        z_dim: 256,
        use_vae: false,
        norm_g: "spectralspadesyncbatch3x3".to_owned(),
    })?;
    let made_up = MadeUp(RefCell::new((Numbers(1), Tensors::new())));
    Generator::new(&made_up, &architecture)?;
    let (mut numbers, tensors) = made_up.0.into_inner();
    let settings = Settings { threads: option("--threads", 0), ..Settings::default() };
    let mut engine = Engine::load(&architecture, &tensors, None, settings)?;
    drop(tensors);

    let planner = Planner::new(&architecture);
    let masks: Vec<_> = (0..option("--repeat", 10)).map(|_| mask(&architecture, &mut numbers)).collect();
    let mut plans = Vec::new();
    let mut inputs = Vec::new();
    for (labels, instances) in &masks {
        let start = Instant::now();
        let plan = planner.plan(labels, Some(instances))?;
        plans.push(start.elapsed().as_secs_f64() * 1e3);
        inputs.push(Input { plan: Arc::new(plan), z: None, noise: Vec::new() });
    }
    engine.generate(&inputs[..1])?;
    let mut times = Vec::new();
    for input in &inputs {
        let start = Instant::now();
        engine.generate(std::slice::from_ref(input))?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    println!("{:?} plan {:.1} ms, image {:.1} ms", engine.instruction_set(), median(plans), median(times));
    Ok(())
}
