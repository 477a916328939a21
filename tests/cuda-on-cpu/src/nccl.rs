//! NCCL, as much of it as is called: sums over processes of this machine, through sockets. The first process adds up, in
//! the order of ranks. Where a process has gone, the others wait until they abort, as NCCL's kernels do.
//!
//! The `unsafe` is sound where callers keep NCCL's contract: addresses are of memory that is there, groups are those given
//! out.

#![allow(non_snake_case, reason = "names are NCCL's")]
#![allow(clippy::missing_safety_doc, reason = "callers keep NCCL's contract")]

use std::{
    ffi::{OsStr, c_char, c_int, c_void},
    io::{Read as _, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use crate::{
    driver::{give, usable},
    numbers::{Type, read, write},
};

const SUCCESS: c_int = 0;
const CUDA_ERROR: c_int = 1;
const SYSTEM_ERROR: c_int = 2;
const INVALID_ARGUMENT: c_int = 4;

/// Where a group meets: a socket's path, ended by a zero.
#[repr(C)]
pub struct Id([u8; 128]);

impl Id {
    fn path(&self) -> PathBuf {
        let len = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        Path::new(OsStr::from_bytes(&self.0[..len])).to_owned()
    }
}

/// A process's connections: the first one's to all others in the order of their ranks, another's to the first.
struct Group {
    peers: Vec<UnixStream>,
    first: bool,
    aborted: AtomicBool,
}

/// Sockets that this process has made and nobody has met at.
static MEETINGS: Mutex<Vec<(PathBuf, UnixListener)>> = Mutex::new(Vec::new());

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclGetUniqueId(id: *mut Id) -> c_int {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("cuda-on-cpu-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let bytes = path.as_os_str().as_bytes();
    let Ok(listener) = UnixListener::bind(&path) else { return SYSTEM_ERROR };
    let mut text = [0; 128];
    text[..bytes.len()].copy_from_slice(bytes);
    unsafe { *id = Id(text) };
    MEETINGS.lock().unwrap_or_else(PoisonError::into_inner).push((path, listener));
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclCommInitRank(
    group: *mut *mut c_void,
    world: c_int,
    id: Id,
    rank: c_int,
) -> c_int {
    let peers =
        if rank == 0 { receive(&id.path(), world as usize) } else { connect(&id.path(), rank as u32) };
    let Ok(peers) = peers else { return SYSTEM_ERROR };
    unsafe {
        *group = Box::into_raw(Box::new(Arc::new(Group {
            peers,
            first: rank == 0,
            aborted: AtomicBool::new(false),
        })))
        .cast()
    };
    SUCCESS
}

fn receive(path: &Path, world: usize) -> std::io::Result<Vec<UnixStream>> {
    let mut meetings = MEETINGS.lock().unwrap_or_else(PoisonError::into_inner);
    let index = meetings.iter().position(|(of, _)| of == path);
    let (_, listener) = meetings.remove(index.ok_or(std::io::ErrorKind::NotFound)?);
    let mut peers = Vec::new();
    for _ in 1..world {
        let (mut peer, _) = listener.accept()?;
        let mut rank = [0; 4];
        peer.read_exact(&mut rank)?;
        peers.push((u32::from_ne_bytes(rank), peer));
    }
    std::fs::remove_file(path)?;
    peers.sort_by_key(|(rank, _)| *rank);
    Ok(peers.into_iter().map(|(_, peer)| peer).collect())
}

fn connect(path: &Path, rank: u32) -> std::io::Result<Vec<UnixStream>> {
    let mut first = UnixStream::connect(path)?;
    first.write_all(&rank.to_ne_bytes())?;
    Ok(vec![first])
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclAllReduce(
    from: usize,
    to: usize,
    count: usize,
    kind: c_int,
    operation: c_int,
    group: *mut c_void,
    stream: *mut c_void,
) -> c_int {
    let kind = match kind {
        7 => Type::F32,
        8 => Type::F64,
        _ => return INVALID_ARGUMENT,
    };
    if operation != 0 {
        return INVALID_ARGUMENT; // only sums
    }
    let group = unsafe { &*group.cast::<Arc<Group>>() }.clone();
    let Some(stream) = (unsafe { usable(stream) }) else { return CUDA_ERROR };
    give(&stream, "ncclAllReduce", move || {
        let own = unsafe { read(from, kind, count) };
        let Ok(sums) = group.sum(own) else {
            group.wait_for_abort();
            return;
        };
        unsafe { write(to, kind, sums.into_iter()) };
    });
    SUCCESS
}

impl Group {
    fn sum(&self, own: Vec<f64>) -> std::io::Result<Vec<f64>> {
        let bytes =
            |numbers: &[f64]| numbers.iter().flat_map(|number| number.to_ne_bytes()).collect::<Vec<u8>>();
        let receive = |mut peer: &UnixStream| -> std::io::Result<Vec<f64>> {
            let mut bytes = vec![0; 8 * own.len()];
            peer.read_exact(&mut bytes)?;
            let (numbers, _) = bytes.as_chunks::<8>();
            Ok(numbers.iter().map(|bytes| f64::from_ne_bytes(*bytes)).collect())
        };
        if !self.first {
            let mut first = &self.peers[0];
            first.write_all(&bytes(&own))?;
            return receive(first);
        }
        let mut sums = own.clone();
        for peer in &self.peers {
            sums.iter_mut().zip(receive(peer)?).for_each(|(sum, number)| *sum += number);
        }
        for mut peer in &self.peers {
            peer.write_all(&bytes(&sums))?;
        }
        Ok(sums)
    }

    fn wait_for_abort(&self) {
        while !self.aborted.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclCommAbort(group: *mut c_void) -> c_int {
    let group = unsafe { Box::from_raw(group.cast::<Arc<Group>>()) };
    group.aborted.store(true, Ordering::SeqCst);
    for peer in &group.peers {
        let _ = peer.shutdown(std::net::Shutdown::Both);
    }
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclGetErrorString(_: c_int) -> *const c_char {
    c"an error of the sums over processes".as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_get_the_sum_in_the_order_of_ranks() {
        let mut id = Id([0; 128]);
        assert_eq!(unsafe { ncclGetUniqueId(&mut id) }, SUCCESS);
        let path = id.path();
        let group = |peers, first| Group { peers, first, aborted: AtomicBool::new(false) };
        let others: Vec<_> = [2u32, 1]
            .map(|rank| {
                let path = path.clone();
                std::thread::spawn(move || {
                    group(connect(&path, rank).unwrap(), false).sum(vec![f64::from(rank), 10.0]).unwrap()
                })
            })
            .into();
        let sums = group(receive(&path, 3).unwrap(), true).sum(vec![4.0, 0.5]).unwrap();
        assert_eq!(sums, [7.0, 20.5]);
        others.into_iter().for_each(|other| assert_eq!(other.join().unwrap(), sums));
    }
}
