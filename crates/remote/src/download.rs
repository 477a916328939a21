//! One object to one file: continued where it broke off, verified at the end.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, path::Path as ObjectPath};
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};

use crate::{RemoteError, cache, error::io_error, location::SILENCE, manifest::hex};

/// Attempts in a row that brought next to nothing.
const FUTILE_ATTEMPTS: u32 = 4;
/// Bytes that come at least in as long as a store may be silent: one that trickles is as good as one that is.
const LEAST: u64 = 16 << 10;
/// Between two lines about a long download.
const EVERY: Duration = Duration::from_secs(10);

/// An object and the file that it becomes.
pub(crate) struct Download<'a> {
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) object: &'a ObjectPath,
    pub(crate) file: &'a Path,
    /// The object, for messages.
    pub(crate) place: String,
    /// Its SHA-256 in hexadecimal.
    pub(crate) digest: &'a str,
    /// Set as soon as something goes wrong, whatever becomes of it.
    pub(crate) trouble: &'a AtomicBool,
}

/// How fast bytes come.
struct Rate {
    since: Instant,
    came: u64,
}

impl Rate {
    /// Takes in that `bytes` came. Whether they come fast enough.
    fn keeps_up(&mut self, bytes: u64, now: Instant) -> bool {
        self.came += bytes;
        if now - self.since < SILENCE {
            return true;
        }
        let enough = self.came >= LEAST;
        *self = Self { since: now, came: 0 };
        enough
    }
}

/// How far an attempt got.
#[derive(Default)]
struct Attempt {
    /// Bytes that came.
    came: u64,
    /// The store did not answer a request for less than everything.
    rest_refused: bool,
}

/// What is on disk of an object.
struct Part {
    file: File,
    digest: Sha256,
    length: u64,
}

impl Download<'_> {
    /// Fetches what is missing of the file; the bytes that were.
    ///
    /// # Errors
    /// When the store gives up, the digest is wrong (the file is then removed), or the disk is full (what has come
    /// stays, to be continued).
    pub(crate) async fn run(&self) -> Result<u64, RemoteError> {
        let (mut fetched, mut futile, mut refused) = (0, 0, false);
        loop {
            let mut attempt = Attempt::default();
            let Err(error) = self.fetch_rest(&mut attempt).await else { return Ok(fetched + attempt.came) };
            self.trouble.store(true, Ordering::Relaxed);
            fetched += attempt.came;
            futile = if attempt.came >= LEAST { 0 } else { futile + 1 };
            if !may_pass(&error) || futile == FUTILE_ATTEMPTS {
                return Err(error);
            }
            if refused && attempt.rest_refused {
                // The store answers, but not with the rest: it knows no ranges.
                fs::remove_file(self.file).map_err(io_error("remove", self.file))?;
            }
            refused = attempt.rest_refused;
            tracing::warn!(place = self.place, error = chain(&error), "a download broke off; continuing it");
            sleep(Duration::from_millis(250 << futile)).await;
        }
    }

    /// One request for the rest of the object.
    async fn fetch_rest(&self, attempt: &mut Attempt) -> Result<(), RemoteError> {
        let size = self.within_silence(self.store.head(self.object)).await?.size;
        let mut part = self.open(size)?;
        let resumed = part.length > 0;
        if part.length < size {
            self.append(&mut part, size, attempt).await?;
        }
        part.file.sync_all().map_err(io_error("write", self.file))?;
        let found = hex(part.digest);
        if found == self.digest {
            return Ok(());
        }
        fs::remove_file(self.file).map_err(io_error("remove", self.file))?;
        if resumed {
            // The beginning may be another object's: one more attempt, from the first byte.
            let source =
                object_store::Error::Generic { store: "cache", source: "what was there did not fit".into() };
            return Err(self.error(source));
        }
        Err(RemoteError::WrongDigest { place: self.place.clone(), found, wanted: self.digest.to_owned() })
    }

    /// What is there of the file, unless it is more than there should be.
    fn open(&self, size: u64) -> Result<Part, RemoteError> {
        let known = cache::digest(self.file)?.filter(|(_, length)| *length <= size);
        let file = match known {
            Some(_) => File::options().append(true).open(self.file),
            None => File::create(self.file),
        };
        let file = file.map_err(io_error("write", self.file))?;
        let (digest, length) = known.unwrap_or_else(|| (Sha256::new(), 0));
        Ok(Part { file, digest, length })
    }

    async fn append(&self, part: &mut Part, size: u64, attempt: &mut Attempt) -> Result<(), RemoteError> {
        let range = (part.length > 0).then_some(GetRange::Offset(part.length));
        let options = GetOptions { range, ..GetOptions::default() };
        tracing::info!(place = self.place, from = part.length, size, "downloading");
        let answer = self.within_silence(self.store.get_opts(self.object, options)).await;
        attempt.rest_refused = answer.is_err() && part.length > 0;
        let mut body = answer?.into_stream();
        let (started, mut said) = (Instant::now(), Instant::now());
        let mut rate = Rate { since: started, came: 0 };
        while part.length < size {
            let next = timeout(SILENCE, body.next()).await;
            let chunk = next.map_err(|_| RemoteError::Silent { place: self.place.clone() })?;
            let Some(chunk) = chunk.transpose().map_err(|source| self.error(source))? else {
                return Err(self
                    .error(object_store::Error::Generic { store: "HTTP", source: "it ended early".into() }));
            };
            part.file.write_all(&chunk).map_err(io_error("write", self.file))?;
            part.digest.update(&chunk);
            part.length += chunk.len() as u64;
            attempt.came += chunk.len() as u64;
            if !rate.keeps_up(chunk.len() as u64, Instant::now()) && part.length < size {
                return Err(RemoteError::Silent { place: self.place.clone() });
            }
            if said.elapsed() >= EVERY {
                said = Instant::now();
                let mb_per_second = attempt.came as f64 / started.elapsed().as_secs_f64() / 1e6;
                let percent = 100 * part.length / size.max(1);
                tracing::info!(place = self.place, percent, mb_per_second, "downloading");
            }
        }
        Ok(())
    }

    async fn within_silence<T>(
        &self,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, RemoteError> {
        let answer = timeout(SILENCE, asked).await;
        answer
            .map_err(|_| RemoteError::Silent { place: self.place.clone() })?
            .map_err(|source| self.error(source))
    }

    fn error(&self, source: object_store::Error) -> RemoteError {
        RemoteError::Store { place: self.place.clone(), source }
    }
}

/// Whether trying again may help.
fn may_pass(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Store { .. } | RemoteError::Silent { .. }) && !error.is_user_error()
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_trickles_does_not_keep_up_and_one_that_is_slow_does() {
        for (every, bytes, fine) in [(5, 1, false), (5, 8 << 10, true), (19, LEAST, true), (1, 100, false)] {
            let start = Instant::now();
            let mut rate = Rate { since: start, came: 0 };
            let kept = (1..100).all(|i| rate.keeps_up(bytes, start + Duration::from_secs(every) * i));
            assert_eq!(kept, fine, "{bytes} bytes every {every} s");
        }
    }
}
