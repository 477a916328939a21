//! A batch that a device works on while the thread that began it does something else.

use std::time::Duration;

use spadework_imaging::RgbImage;
use spadework_kernels::device::{Download, Event};

use crate::EngineError;

/// What has become of a batch when [`Engine::begin`](crate::Engine::begin) returns.
pub enum Submitted {
    /// Its images: a processor has run it.
    Finished(Vec<RgbImage>),
    /// A GPU works on it.
    InFlight(InFlight),
}

/// Images that a device still works on. Dropped instead of finished, they are waited for as well.
pub struct InFlight {
    download: Box<dyn Download>,
    width: usize,
    height: usize,
}

impl InFlight {
    /// Images of this size.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn new(download: Box<dyn Download>, width: usize, height: usize) -> Self {
        Self { download, width, height }
    }

    /// The event after its last copy.
    pub fn event(&self) -> Event {
        self.download.event()
    }

    /// Waits for the images, one for each input, in order. Also how long the device took, without what it did before.
    ///
    /// # Errors
    /// When something went wrong on the device since the batch was begun.
    pub fn finish(self) -> Result<(Vec<RgbImage>, Duration), EngineError> {
        let (images, ran) = self.download.finish()?;
        let image = |bytes| rgb(bytes, self.width, self.height);
        Ok((images.into_iter().map(image).collect::<Result<_, _>>()?, ran))
    }
}

pub(crate) fn rgb(pixels: Vec<u8>, width: usize, height: usize) -> Result<RgbImage, EngineError> {
    RgbImage::new(width, height, pixels).map_err(|error| EngineError::Input(error.to_string()))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::{
        Engine, Settings,
        gpu::{CandleOperators, GpuGenerator, Target},
        testing::fixtures::{input, small, weights},
    };

    #[test]
    fn a_processor_has_run_a_batch_when_it_has_begun() {
        let architecture = small();
        let tensors = weights(&architecture, 1);
        let mut engine = Engine::load(&architecture, &tensors, None, Settings::default()).unwrap();
        let inputs = [input(&architecture, 1), input(&architecture, 2)];
        let Submitted::Finished(images) = engine.begin(&inputs, &Event::default()).unwrap() else {
            panic!("a processor has nothing to wait for")
        };
        assert_eq!(images, engine.generate(&inputs).unwrap());
    }

    #[test]
    fn images_of_a_pending_batch_are_its_own_in_order() {
        let architecture = small();
        let operators = Box::new(CandleOperators { device: Device::Cpu });
        let target = Target { device: Device::Cpu, dtype: DType::F32 };
        let network =
            GpuGenerator::load(&architecture, &weights(&architecture, 1), target, operators).unwrap();
        let inputs = [input(&architecture, 1), input(&architecture, 2)];
        let image = architecture.picture();
        let download = network.begin(&inputs, &Event::default()).unwrap().unwrap();
        let (images, _) = InFlight::new(download, image.width, image.height).finish().unwrap();
        for (input, image) in inputs.iter().zip(&images) {
            let alone = network.generate(std::slice::from_ref(input)).unwrap();
            assert_eq!(image.pixels(), alone[0]);
        }
    }
}
