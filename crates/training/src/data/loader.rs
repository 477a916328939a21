//! Samples made ahead of time by worker threads, handed out in order.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use anyhow::{Context as _, anyhow};

use super::{Sample, SampleSource};

/// The samples of consecutive positions. The order and the samples are the source's, whatever the number of threads.
pub struct Loader {
    /// Worker `i` of `n` makes the positions that leave remainder `i`.
    workers: Vec<LoaderThread>,
    position: u64,
}

struct LoaderThread {
    /// Dropped first, which ends the thread.
    samples: Option<Receiver<anyhow::Result<Sample>>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Starts `threads` threads (at least one) that make the samples from `position` on, up to `ahead` of them before
    /// they are asked for.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        source: Arc<dyn SampleSource>,
        position: u64,
        threads: usize,
        ahead: usize,
    ) -> anyhow::Result<Self> {
        let threads = threads.max(1) as u64;
        let ahead = ahead / threads as usize;
        let workers = (0..threads).map(|worker| {
            let first = position + (worker + threads - position % threads) % threads;
            let (sender, samples) = sync_channel(ahead);
            let source = source.clone();
            let thread = std::thread::Builder::new()
                .name(format!("loader-{worker}"))
                .spawn(move || work(&*source, first, threads, &sender))
                .context("start a loader thread")?;
            Ok(LoaderThread { samples: Some(samples), thread: Some(thread) })
        });
        Ok(Self { workers: workers.collect::<anyhow::Result<_>>()?, position })
    }

    /// The next sample; waits for it if it is not ready.
    ///
    /// # Errors
    /// The source's, at the position where it has one.
    pub fn next_sample(&mut self) -> anyhow::Result<Sample> {
        let worker = (self.position % self.workers.len() as u64) as usize;
        let samples = self.workers[worker].samples.as_ref();
        let sample = samples.and_then(|samples| samples.recv().ok());
        self.position += 1;
        sample.unwrap_or_else(|| Err(anyhow!("a loader thread ended early; its panic is reported above")))
    }
}

fn work(source: &dyn SampleSource, first: u64, stride: u64, samples: &SyncSender<anyhow::Result<Sample>>) {
    let mut position = first;
    // The receiver goes away when the loader is dropped.
    while samples.send(source.sample(position)).is_ok() {
        position += stride;
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.samples = None;
        }
        for thread in self.workers.iter_mut().filter_map(|worker| worker.thread.take()) {
            // A panic has been reported by the hook already, and there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use spadework_imaging::{LabelMap, RgbImage};

    use super::*;

    /// Samples whose one pixel says their position; position 7 cannot be read.
    struct Numbers;

    impl SampleSource for Numbers {
        fn epoch(&self) -> u64 {
            5
        }

        fn sample(&self, position: u64) -> anyhow::Result<Sample> {
            if position == 7 {
                return Err(anyhow!("7.png is damaged"));
            }
            let labels = LabelMap::new(1, 1, vec![0], 1)?;
            Ok(Sample { labels, edges: None, image: RgbImage::new(1, 1, vec![position as u8; 3])? })
        }
    }

    fn positions(from: u64, threads: usize, count: usize) -> Vec<Result<u8, String>> {
        let mut loader = Loader::start(Arc::new(Numbers), from, threads, 4).unwrap();
        let mut next = || loader.next_sample().map(|s| s.image.pixels()[0]).map_err(|e| e.to_string());
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn the_order_is_the_position_s_whatever_the_number_of_threads() {
        for threads in [1, 2, 3, 5] {
            let expected: Vec<_> = (11..31).map(Ok).collect();
            assert_eq!(positions(11, threads, 20), expected, "{threads} threads");
        }
    }

    #[test]
    fn an_error_comes_at_its_place_and_the_next_samples_after_it() {
        assert_eq!(positions(6, 2, 3), [Ok(6), Err("7.png is damaged".to_owned()), Ok(8)]);
    }
}
