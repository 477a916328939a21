//! Kernels as programs: translated, compiled by the C compiler of this machine, kept, and loaded.
//!
//! The `unsafe` is sound where a launch's caller keeps CUDA's contract: programs are made here, and touch what they are given.

use std::{
    collections::HashMap,
    ffi::{CStr, CString, c_char, c_uint},
    hash::{DefaultHasher, Hash, Hasher as _},
    io::{Error, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    ptx::{Entry, Module},
    translate::translate,
};

/// A kernel of a module.
pub struct Kernel {
    pub entry: Entry,
    run: OnceLock<Result<Run, String>>,
}

type Run = unsafe extern "C" fn(*const c_uint, *const c_uint, c_uint, *const u8) -> *const c_char;

/// A module's kernels by name.
pub type Kernels = HashMap<String, Kernel>;

/// The kernels of a module's PTX; modules are loaded anew for each device that is opened, and read once.
pub fn load(text: &str) -> Arc<Kernels> {
    static KNOWN: Mutex<Option<HashMap<u64, Arc<Kernels>>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let kernels = || {
        let entries = Module::parse(text).entries.into_iter();
        Arc::new(entries.map(|(name, entry)| (name, Kernel { entry, run: OnceLock::new() })).collect())
    };
    known.get_or_insert_default().entry(hash(text)).or_insert_with(kernels).clone()
}

impl Kernel {
    /// Runs a grid of it.
    ///
    /// # Errors
    /// When it cannot be translated or did what no kernel may.
    pub fn run(&self, grid: [u32; 3], block: [u32; 3], shared: u32, parameters: &[u8]) -> Result<(), String> {
        let run =
            self.run.get_or_init(|| compile(&translate(&self.entry)?)).as_ref().map_err(Clone::clone)?;
        // SAFETY: `run` is the prelude's, whose arguments these are.
        let fault = unsafe { run(grid.as_ptr(), block.as_ptr(), shared, parameters.as_ptr()) };
        if fault.is_null() {
            return Ok(());
        }
        // SAFETY: a literal of the program, which stays loaded.
        let fault = unsafe { CStr::from_ptr(fault) }.to_string_lossy();
        Err(format!("kernel {}: {fault}", self.entry.name))
    }
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Where programs are kept: `CUDA_ON_CPU_CACHE`, or a folder of this user's own for temporary files.
fn folder() -> Result<PathBuf, String> {
    // SAFETY: it only asks.
    let user = unsafe { libc::getuid() };
    let own = || std::env::temp_dir().join(format!("cuda-on-cpu-{user}"));
    let named = std::env::var_os("CUDA_ON_CPU_CACHE").map(PathBuf::from);
    let (shared, folder) = (named.is_some(), named.unwrap_or_else(own));
    let told = |error: Error| format!("make {}: {error}", folder.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(told)?;
    if !shared && std::fs::metadata(&folder).map_err(told)?.uid() != user {
        return Err(format!("{} is another user's", folder.display()));
    }
    Ok(folder)
}

fn compile(text: &str) -> Result<Run, String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let folder = folder()?;
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let name = format!("{:016x}", hash((&compiler, FLAGS, text)));
    let library = folder.join(format!("{name}.so"));
    if !library.exists() {
        // A name that no other process and no other thread has.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let new = folder.join(format!("{name}.{}.{number}.so", std::process::id()));
        cc(&compiler, text, &new)?;
        std::fs::rename(&new, &library).map_err(|error| format!("keep {}: {error}", library.display()))?;
    }
    open(&library)
}

const FLAGS: [&str; 11] = [
    "-O1",
    "-w",
    "-fwrapv",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-march=native",
    "-shared",
    "-fPIC",
    "-xc",
    "-",
    "-lm",
];

fn cc(compiler: &str, text: &str, library: &Path) -> Result<(), String> {
    let mut command = Command::new(compiler);
    command.args(FLAGS).arg("-o").arg(library);
    command.env_remove("LD_PRELOAD");
    let mut compiling = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cc: {error}"))?;
    if let Some(mut stdin) = compiling.stdin.take() {
        stdin.write_all(text.as_bytes()).map_err(|error| format!("cc: {error}"))?;
    }
    let output = compiling.wait_with_output().map_err(|error| format!("cc: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("no C: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

fn open(library: &Path) -> Result<Run, String> {
    let name = CString::new(library.to_string_lossy().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: a library that was made here: nothing runs when it is loaded, and `run` has this type.
    unsafe {
        let handle = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        if handle.is_null() {
            return Err(CStr::from_ptr(libc::dlerror()).to_string_lossy().into_owned());
        }
        let run = libc::dlsym(handle, c"run".as_ptr());
        if run.is_null() {
            return Err("a program without `run`".to_owned());
        }
        Ok(std::mem::transmute::<*mut libc::c_void, Run>(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(body: &str, block: u32, parameters: &[u8]) -> Result<(), String> {
        let registers = ".reg .pred %p<9>; .reg .f32 %f<9>; .reg .b32 %r<9>; .reg .b64 %rd<9>;";
        let text = format!(".visible .entry tried(.param .u64 out)\n{{ {registers} {body} }}");
        load(&text)["tried"].run([1, 1, 1], [block, 1, 1], 0, parameters)
    }

    fn numbers(body: &str, block: u32) -> Vec<u32> {
        let out = vec![0u32; block as usize];
        let store = "ld.param.u64 %rd1, [out]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 4; add.s64 %rd3, %rd1, %rd2;";
        let body = format!("{store} {body} st.global.u32 [%rd3], %r2; ret;");
        run(&body, block, &(out.as_ptr() as u64).to_ne_bytes()).unwrap();
        out
    }

    #[test]
    fn threads_compute_and_branch() {
        let squares = numbers(
            "mul.lo.s32 %r2, %r1, %r1; setp.lt.u32 %p1, %r1, 3; @%p1 bra END; mov.u32 %r2, -1; END:",
            5,
        );
        assert_eq!(squares, [0, 1, 4, u32::MAX, u32::MAX]);
        let bits = numbers(
            "cvt.rn.f32.u32 %f1, %r1; fma.rn.f32 %f2, %f1, 0f40000000, 0f3F800000; mov.b32 %r2, %f2;",
            3,
        );
        assert_eq!(bits.into_iter().map(f32::from_bits).collect::<Vec<_>>(), [1.0, 3.0, 5.0]);
    }

    #[test]
    fn threads_see_what_others_wrote_before_a_barrier_and_what_their_warp_sends() {
        let body =
            ".shared .align 4 .b8 here[400]; shl.b32 %r3, %r1, 2; mov.u32 %r4, here; add.s32 %r5, %r4, %r3;
            st.shared.u32 [%r5], %r1; bar.sync 0; sub.s32 %r6, 396, %r3; ld.shared.u32 %r2, [%r6];";
        assert_eq!(numbers(body, 100), (0..100).rev().collect::<Vec<u32>>());
        // A warp's sum.
        let body = "mov.u32 %r2, %r1; shfl.sync.bfly.b32 %r3, %r2, 1, 31, -1; add.s32 %r2, %r2, %r3;
            shfl.sync.bfly.b32 %r3, %r2, 2, 31, -1; add.s32 %r2, %r2, %r3; shfl.sync.bfly.b32 %r3, %r2, 4, 31, -1;
            add.s32 %r2, %r2, %r3; shfl.sync.bfly.b32 %r3, %r2, 8, 31, -1; add.s32 %r2, %r2, %r3;
            shfl.sync.bfly.b32 %r3, %r2, 16, 31, -1; add.s32 %r2, %r2, %r3;";
        assert_eq!(numbers(body, 64), [[496; 32], [1520; 32]].concat());
        // Whether there is a lane two below.
        let body =
            "shfl.sync.up.b32 %r3|%p1, %r1, 2, 0, -1; selp.u32 %r2, %r3, 99, %p1; add.u32 %r2, %r2, WARP_SZ;";
        assert_eq!(numbers(body, 5), [131, 131, 32, 33, 34]);
    }

    #[test]
    fn bf16_is_rounded_to_the_nearest() {
        let body = "cvt.rn.f32.u32 %f1, %r1; add.f32 %f2, %f1, 0f43800000; cvt.rn.bf16.f32 %rs1, %f2; cvt.f32.bf16 %f3, %rs1;
            cvt.rzi.u32.f32 %r2, %f3;";
        assert_eq!(numbers(body, 6), [256, 256, 258, 260, 260, 260]);
    }

    #[test]
    fn saturation_keeps_an_f64_and_predicates_are_true_or_false() {
        let body = "mov.f64 %fd1, 0d3FB999999999999A; cvt.sat.f64.f64 %fd2, %fd1; setp.eq.f64 %p1, %fd1, %fd2;
            selp.u32 %r2, 1, 0, %p1; mov.pred %p2, 2; and.pred %p3, %p1, %p2; selp.u32 %r3, 2, 0, %p3; add.u32 %r2, %r2, %r3;";
        assert_eq!(numbers(body, 1), [3]);
    }

    #[test]
    fn what_a_nan_becomes_depends_on_the_types() {
        let narrow = "mov.f32 %f1, 0f7FC00000; cvt.rzi.s32.f32 %r2, %f1;";
        let from_f64 = "mov.f64 %fd1, 0d7FF8000000000000; cvt.rzi.u32.f64 %r2, %fd1;";
        let to_64_bits = "mov.f32 %f1, 0f7FC00000; cvt.rzi.s64.f32 %rd4, %f1; shr.u64 %rd4, %rd4, 32; cvt.u32.u64 %r2, %rd4;";
        assert_eq!([narrow, from_f64, to_64_bits].map(|body| numbers(body, 1)[0]), [0, 1 << 31, 1 << 31]);
    }

    #[test]
    fn a_fused_sum_of_narrow_numbers_is_rounded_once() {
        // (1 + 2^-7)(1 + 2^-1) is midway between two bf16; what is added is too small for an f32 and tells the side.
        let of = |third: &str| {
            let body = "mov.b16 %rs1, 0x3F81; mov.b16 %rs2, 0x3FC0; mov.b16 %rs3, ";
            numbers(&format!("{body}{third}; fma.rn.bf16 %rs4, %rs1, %rs2, %rs3; cvt.u32.u16 %r2, %rs4;"), 1)
                [0]
        };
        assert_eq!([of("0x3080"), of("0xB080")], [0x3fc2, 0x3fc1]);
        // The same of f16: (1 + 2^-10)(1 + 2^-1), and 2^-24.
        let of = |third: &str| {
            let body = "mov.b16 %rs1, 0x3C01; mov.b16 %rs2, 0x3E00; mov.b16 %rs3, ";
            numbers(&format!("{body}{third}; fma.rn.f16 %rs4, %rs1, %rs2, %rs3; cvt.u32.u16 %r2, %rs4;"), 1)
                [0]
        };
        assert_eq!([of("0x0001"), of("0x8001")], [0x3e02, 0x3e01]);
    }

    #[test]
    fn an_instruction_with_what_is_not_known_is_refused() {
        for odd in [
            "add.sat.s32 %r1, %r1, %r1",
            "add.sat.f32 %f1, %f1, %f1",
            "fma.rn.relu.f16 %rs1, %rs1, %rs1, %rs1",
            "neg.f32x4 %f1, %f1",
            "mad.lo.cc.u32 %r1, %r1, %r1, %r1",
            "cvt.rz.f32.f64 %f1, %fd1",
            "cvt.rm.bf16.f32 %rs1, %f1",
            "cvt.sat.u8.s32 %r1, %r1",
            "bar.warp.sync -1",
            "bar.arrive 0, 32",
            "bar.red.popc.u32 %r1, 0, %p1",
            "bar.sync 1",
            "mov.u32 %r1, %warpid",
            "mov.u64 %rd1, %clock64",
            "mov.u32 %undeclared, 1",
            "ld.const.u32 %r1, [table]",
            "atom.shared.add.u32 %r1, [%r1], 1",
        ] {
            let error = run(&format!("{odd}; ret;"), 1, &[0; 8]).unwrap_err();
            assert!(error.contains(odd.split(' ').next().unwrap()), "{odd}: {error}");
        }
        assert_eq!(run(".reg .b32 %hi; mov.u32 %hi, %tid.x; ret;", 1, &[0; 8]), Ok(()));
    }

    #[test]
    fn what_no_kernel_may_do_is_told() {
        let store = |offset: u32| {
            format!(".shared .align 4 .b8 here[8]; mov.u32 %r1, {offset}; st.shared.u32 [%r1], %r1; ret;")
        };
        assert_eq!(run(&store(4), 1, &[0; 8]), Ok(()));
        assert!(run(&store(8), 1, &[0; 8]).unwrap_err().contains("shared memory"));
        assert!(
            run("mov.u64 %rd1, 4097; ld.global.u32 %r1, [%rd1]; ret;", 1, &[0; 8])
                .unwrap_err()
                .contains("misaligned")
        );
        let alone = run(
            "mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 0; @%p1 bra A; bar.sync 0; A: shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1; ret;",
            2,
            &[0; 8],
        );
        assert!(alone.unwrap_err().contains("in vain"));
        assert!(run("frobnicate.f32 %f1, %f2; ret;", 1, &[0; 8]).unwrap_err().contains("frobnicate"));
    }
}
