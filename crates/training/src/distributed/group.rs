//! Sums over all processes, through rank 0.
//!
//! Rank 0 adds the ranks in their order and hands the sum back, so every process gets the same bits every time. Two
//! passes over a connection per number: right for a few processes; numbers travel as they lie in memory, so all
//! machines of a run have one byte order. Tensors on CUDA devices that were connected go by NCCL instead, in an order of its own.

use std::{
    io,
    net::{TcpListener, TcpStream},
    ops::AddAssign,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use bytemuck::{Pod, Zeroable};
#[cfg(feature = "cuda")]
use candle_core::Device;
use candle_core::{DType, Tensor};
#[cfg(feature = "cuda")]
use spadework_kernels::cuda::{Communicator, Nccl, NcclId};

use super::{
    DistributedError, RankPlacement,
    frame::{self, Received},
};

/// Tells a process of this job from anything else that may connect.
const MAGIC: u64 = u64::from_le_bytes(*b"spadewrk");
/// Between two attempts to connect or to accept.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a connection may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// All processes of a run, seen from one of them.
#[derive(Debug)]
pub struct Group {
    rank: usize,
    world: usize,
    /// Rank 0 has one to each of the others, in their order; the others have one to rank 0.
    links: Mutex<Vec<TcpStream>>,
    #[cfg(feature = "cuda")]
    devices: Option<Communicator>,
}

/// The first frame of a process.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Hello {
    magic: u64,
    rank: u64,
    world: u64,
    run: u64,
}

impl Group {
    /// A group of one, for which every sum is what it was.
    pub fn alone() -> Self {
        Self {
            rank: 0,
            world: 1,
            links: Mutex::default(),
            #[cfg(feature = "cuda")]
            devices: None,
        }
    }

    /// Meets the others; `run` is the same number in processes with the same settings. Waits at most `patience` for
    /// them now, and as long for each of their numbers later.
    ///
    /// # Errors
    /// When they do not come, or do not belong together.
    pub fn meet(place: &RankPlacement, run: u64, patience: Duration) -> Result<Self, DistributedError> {
        match (place.world, place.rank) {
            (1, _) => Ok(Self::alone()),
            (world, 0) => {
                let listener = listen(&place.master, patience)?;
                Self::lead(&listener, world, run, patience)
            }
            _ => Self::follow(place, run, patience),
        }
    }

    /// Rank 0: takes in all others.
    fn lead(
        listener: &TcpListener,
        world: usize,
        run: u64,
        patience: Duration,
    ) -> Result<Self, DistributedError> {
        let deadline = Instant::now() + patience;
        let mut seats: Vec<Option<TcpStream>> = (1..world).map(|_| None).collect();
        while seats.iter().any(Option::is_none) {
            let Some((stream, hello)) = next_guest(listener, deadline) else {
                let missing = (1..world).filter(|rank| seats[rank - 1].is_none()).collect();
                return Err(DistributedError::Missing { world, missing, waited: patience });
            };
            let seat = (hello.rank as usize).checked_sub(1).and_then(|seat| seats.get_mut(seat));
            match seat {
                Some(seat @ None) if hello.world as usize == world && hello.run == run => {
                    *seat = Some(stream)
                }
                _ => {
                    let (rank, claimed, same_run) =
                        (hello.rank as usize, hello.world as usize, hello.run == run);
                    return Err(DistributedError::Stranger {
                        rank,
                        world: claimed,
                        expected: world,
                        same_run,
                    });
                }
            }
        }
        Self::new(0, world, seats.into_iter().flatten().collect(), patience)
    }

    /// Any other rank: goes to rank 0, which may not be there yet.
    fn follow(place: &RankPlacement, run: u64, patience: Duration) -> Result<Self, DistributedError> {
        let (rank, started) = (place.rank, Instant::now());
        let stream = loop {
            match TcpStream::connect(&place.master) {
                Ok(stream) => break stream,
                Err(source) if started.elapsed() > patience => {
                    let address = place.master.clone();
                    return Err(DistributedError::Connect { rank, address, waited: patience, source });
                }
                Err(_) => thread::sleep(PAUSE),
            }
        };
        let hello = Hello { magic: MAGIC, rank: rank as u64, world: place.world as u64, run };
        frame::write(&stream, bytemuck::bytes_of(&hello))
            .map_err(|source| DistributedError::Gone { rank: 0, source })?;
        Self::new(rank, place.world, vec![stream], patience)
    }

    fn new(
        rank: usize,
        world: usize,
        links: Vec<TcpStream>,
        patience: Duration,
    ) -> Result<Self, DistributedError> {
        for (index, link) in links.iter().enumerate() {
            link.set_nodelay(true)
                .and_then(|()| link.set_read_timeout(Some(patience)))
                .and_then(|()| link.set_write_timeout(Some(patience)))
                .map_err(|source| DistributedError::Gone { rank: other(rank, index), source })?;
        }
        Ok(Self {
            rank,
            world,
            links: Mutex::new(links),
            #[cfg(feature = "cuda")]
            devices: None,
        })
    }

    /// Lets tensors on `device` be added up where they lie, by NCCL: a device of each process, and another one in each.
    ///
    /// # Errors
    /// When NCCL is not there in every process, or does not connect them.
    #[cfg(feature = "cuda")]
    pub fn connect_devices(&mut self, device: &Device) -> Result<(), DistributedError> {
        let failed =
            |error: spadework_kernels::device::DeviceError| DistributedError::Devices(error.to_string());
        if self.world == 1 {
            return Ok(());
        }
        // One without the library tells the others, which would wait for it.
        let nccl = Nccl::load();
        let mut ready = [u32::from(nccl.is_ok())];
        self.sum(&mut ready)?;
        let nccl = nccl.map_err(failed)?;
        if ready[0] as usize != self.world {
            return Err(DistributedError::Devices(
                "NCCL is not there in another process, whose log says why".to_owned(),
            ));
        }
        let mut id = if self.leads() { nccl.new_id().map_err(failed)?.0 } else { [0; 128] };
        self.broadcast(&mut id)?;
        let joined = Communicator::join(nccl, device, NcclId(id), self.rank, self.world);
        self.devices = Some(joined.map_err(failed)?);
        Ok(())
    }

    /// The sum of a tensor in f32 or f64 over all processes, where it lies. Without a connection of devices it travels
    /// through host memory.
    ///
    /// # Errors
    /// As [`sum`](Self::sum), and NCCL's.
    pub fn sum_tensor(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        #[cfg(feature = "cuda")]
        if let Some(devices) = &self.devices {
            return devices.sum(tensor);
        }
        let flat = tensor.flatten_all()?;
        let wrap = candle_core::Error::wrap;
        match tensor.dtype() {
            DType::F64 => {
                let mut values = flat.to_vec1::<f64>()?;
                self.sum(&mut values).map_err(wrap)?;
                Tensor::from_vec(values, tensor.shape(), tensor.device())
            }
            _ => {
                let mut values = flat.to_vec1::<f32>()?;
                self.sum(&mut values).map_err(wrap)?;
                Tensor::from_vec(values, tensor.shape(), tensor.device())
            }
        }
    }

    /// This process's number.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes there are.
    pub fn world(&self) -> usize {
        self.world
    }

    /// Whether this process writes files.
    pub fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Replaces `values` by their sums over all processes, added in the order of ranks. Every process calls it with
    /// as many values, in the same order of calls.
    ///
    /// # Errors
    /// When a process has gone or is elsewhere in the program.
    pub fn sum<T: Pod + AddAssign>(&self, values: &mut [T]) -> Result<(), DistributedError> {
        let links = self.links();
        if self.leads() {
            let mut others = vec![T::zeroed(); values.len()];
            for (index, link) in links.iter().enumerate() {
                receive(link, index + 1, bytemuck::cast_slice_mut(&mut others))?;
                values.iter_mut().zip(&others).for_each(|(value, other)| *value += *other);
            }
        } else {
            send(&links[0], 0, bytemuck::cast_slice(values))?;
        }
        self.hand_out(&links, values)
    }

    /// Replaces `values` by rank 0's.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn broadcast<T: Pod>(&self, values: &mut [T]) -> Result<(), DistributedError> {
        self.hand_out(&self.links(), values)
    }

    fn hand_out<T: Pod>(&self, links: &[TcpStream], values: &mut [T]) -> Result<(), DistributedError> {
        if !self.leads() {
            return receive(&links[0], 0, bytemuck::cast_slice_mut(values));
        }
        links
            .iter()
            .enumerate()
            .try_for_each(|(index, link)| send(link, index + 1, bytemuck::cast_slice(values)))
    }

    /// A panic while the links were held leaves a frame half read; the next one is then out of step, which is told.
    fn links(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens on `address`, which a cluster may take a moment to make known.
fn listen(address: &str, patience: Duration) -> Result<TcpListener, DistributedError> {
    let started = Instant::now();
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(source) if !is_unknown(&source) || started.elapsed() > patience => {
                return Err(DistributedError::Listen { address: address.to_owned(), source });
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Whether a name means no address yet; the system has answered about every address that it knows.
fn is_unknown(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

/// The rank at the other end of link `index`.
fn other(rank: usize, index: usize) -> usize {
    if rank == 0 { index + 1 } else { 0 }
}

fn send(link: &TcpStream, rank: usize, bytes: &[u8]) -> Result<(), DistributedError> {
    frame::write(link, bytes).map_err(|source| DistributedError::Gone { rank, source })
}

fn receive(link: &TcpStream, rank: usize, into: &mut [u8]) -> Result<(), DistributedError> {
    match frame::read(link, into).map_err(|source| DistributedError::Gone { rank, source })? {
        Received::Whole => Ok(()),
        Received::Length(found) => Err(DistributedError::OutOfStep { rank, found, expected: into.len() }),
    }
}

/// The next connection that introduces itself; others are let go.
fn next_guest(listener: &TcpListener, deadline: Instant) -> Option<(TcpStream, Hello)> {
    loop {
        match accept_until(listener, deadline)? {
            Ok(stream) => {
                if let Ok(Some(hello)) = introduction(&stream) {
                    return Some((stream, hello));
                }
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn accept_until(listener: &TcpListener, deadline: Instant) -> Option<io::Result<TcpStream>> {
    if let Err(error) = listener.set_nonblocking(true) {
        return Some(Err(error));
    }
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Some(stream.set_nonblocking(false).map(|()| stream)),
            Err(_) if Instant::now() >= deadline => return None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => return Some(Err(error)),
        }
    }
}

fn introduction(stream: &TcpStream) -> io::Result<Option<Hello>> {
    stream.set_read_timeout(Some(INTRODUCTION))?;
    let mut hello = Hello::zeroed();
    let whole = matches!(frame::read(stream, bytemuck::bytes_of_mut(&mut hello))?, Received::Whole);
    Ok((whole && hello.magic == MAGIC).then_some(hello))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Runs `work` as every rank of a group over loopback.
    pub(crate) fn as_group<T: Send>(world: usize, work: impl Fn(Group) -> T + Sync) -> Vec<T> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let master = listener.local_addr().unwrap().to_string();
        thread::scope(|scope| {
            let work = &work;
            let followers: Vec<_> = (1..world)
                .map(|rank| {
                    let place = RankPlacement { rank, world, master: master.clone() };
                    scope.spawn(move || work(Group::follow(&place, 7, PATIENCE).unwrap()))
                })
                .collect();
            let first = work(Group::lead(&listener, world, 7, PATIENCE).unwrap());
            [first].into_iter().chain(followers.into_iter().map(|thread| thread.join().unwrap())).collect()
        })
    }

    #[test]
    fn a_sum_is_added_in_the_order_of_ranks_and_the_same_everywhere() {
        // (1e8 + -1e8) + 1 is 1; in any other order f32 gives 0.
        let sums = as_group(3, |group| {
            let mut values = [[1e8f32, -1e8, 1.0][group.rank()], group.rank() as f32];
            group.sum(&mut values).unwrap();
            values
        });
        assert_eq!(sums, [[1.0, 3.0]; 3]);
    }

    #[test]
    fn a_broadcast_makes_everyone_equal_to_rank_0() {
        let values = as_group(2, |group| {
            let mut values = [group.rank() as u64 + 5];
            group.broadcast(&mut values).unwrap();
            values[0]
        });
        assert_eq!(values, [5, 5]);
    }

    #[test]
    fn a_process_that_leaves_ends_the_others_with_its_rank() {
        let results = as_group(3, |group| {
            if group.rank() == 2 {
                return None;
            }
            Some(group.sum(&mut [0f64; 1000]).unwrap_err().to_string())
        });
        assert!(results[0].as_ref().unwrap().contains("rank 2 has gone"), "{results:?}");
        assert!(results[1].as_ref().unwrap().contains("rank 0 has gone"), "{results:?}");
    }

    #[test]
    fn processes_that_are_elsewhere_are_found_out() {
        let results = as_group(2, |group| group.sum(&mut vec![0f32; 10 + group.rank()]).err());
        let error = results[0].as_ref().unwrap().to_string();
        assert!(error.contains("rank 1 sends 44 bytes where 40 are due"), "{error}");
    }

    #[test]
    fn a_process_with_other_settings_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let master = listener.local_addr().unwrap().to_string();
        let place = RankPlacement { rank: 1, world: 2, master };
        let _stranger = Group::follow(&place, 8, PATIENCE).unwrap();
        let error = Group::lead(&listener, 2, 7, PATIENCE).unwrap_err().to_string();
        assert!(error.contains("with other settings"), "{error}");
    }

    #[test]
    fn a_visitor_that_is_no_process_of_a_run_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(TcpStream::connect(address).unwrap());
        let place = RankPlacement { rank: 1, world: 2, master: address.to_string() };
        thread::scope(|scope| {
            let follower = scope.spawn(|| Group::follow(&place, 7, PATIENCE).map(|group| group.world()));
            let leader = Group::lead(&listener, 2, 7, PATIENCE).unwrap();
            assert_eq!((leader.world(), follower.join().unwrap().unwrap()), (2, 2));
        });
    }

    #[test]
    fn an_address_that_is_taken_is_told_at_once() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = listen(&taken.local_addr().unwrap().to_string(), PATIENCE).unwrap_err().to_string();
        assert!(error.contains("an address of its own that is free"), "{error}");
    }

    #[test]
    fn those_who_do_not_come_are_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = Group::lead(&listener, 3, 7, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("rank 1, 2 did not come"), "{error}");
    }
}
