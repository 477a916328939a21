//! A connection whose peer has to take what it asked for: one that stops reading, or hardly reads, is cut off, and what
//! is held for it is free again.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// The slowest that a peer may read.
#[derive(Clone, Copy, Debug)]
pub struct WritePace {
    /// Bytes that it takes at least, once it keeps us waiting,
    pub bytes: usize,
    /// in this time.
    pub within: Duration,
}

/// A stream that fails when its peer falls behind the pace.
pub struct WriteTimeout<S> {
    stream: S,
    pace: WritePace,
    /// Runs while the peer keeps us waiting.
    patience: Pin<Box<Sleep>>,
    waiting: bool,
    taken: usize,
}

impl<S> WriteTimeout<S> {
    /// `stream`, whose peer is to keep to `pace`.
    pub fn new(stream: S, pace: WritePace) -> Self {
        Self { stream, pace, patience: Box::pin(sleep(pace.within)), waiting: false, taken: 0 }
    }

    /// What became of a write: the peer took some, or keeps us waiting, perhaps for too long.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.taken += written.as_ref().copied().unwrap_or(0);
            self.waiting &= self.taken < self.pace.bytes;
            return Poll::Ready(written);
        }
        if !self.waiting {
            (self.waiting, self.taken) = (true, 0);
            self.patience.as_mut().reset(Instant::now() + self.pace.within);
        }
        ready!(self.patience.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not take its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const PACE: WritePace = WritePace { bytes: 100, within: Duration::from_secs(30) };

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_cut_off() {
        let (ours, _theirs) = duplex(64);
        let started = Instant::now();
        let ended = WriteTimeout::new(ours, PACE).write_all(&[0; 1000]).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed(), PACE.within);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_trickles_is_cut_off_and_one_that_is_only_slow_is_not() {
        for (bytes, ends_well) in [(2, false), (40, true)] {
            let (ours, mut theirs) = duplex(64);
            tokio::spawn(async move {
                let mut buffer = [0; 64];
                while theirs.read_exact(&mut buffer[..bytes]).await.is_ok() {
                    sleep(Duration::from_secs(5)).await;
                }
            });
            let ended = WriteTimeout::new(ours, PACE).write_all(&[0; 1000]).await;
            assert_eq!(ended.is_ok(), ends_well, "{bytes} bytes every 5 s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_taken_all_may_be_silent() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = WriteTimeout::new(ours, PACE);
        for _ in 0..3 {
            ours.write_all(&[0; 60]).await.unwrap();
            theirs.read_exact(&mut [0; 60]).await.unwrap();
            sleep(10 * PACE.within).await;
        }
    }
}
