//! Device kernels on the processor: their very source, compiled as C with the address sanitizer and run thread after thread.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Tensor, bail};

use super::call::{Argument, Call, Launch};

/// What stands before the kernels instead of what CUDA has.
const BEFORE: &str = "#include <math.h>\n#include <stdio.h>\n#include <stdlib.h>\nstatic size_t current_thread;\n\
    #define KERNEL static void\n#define FUNCTION static inline\n#define THREAD current_thread\n";

/// Kernels as a program.
pub(crate) struct Program {
    folder: tempfile::TempDir,
    kernels: Vec<String>,
}

impl Program {
    /// Compiles `source`.
    ///
    /// # Panics
    /// When it is no C, or there is no C compiler.
    pub(crate) fn compile(source: &str) -> Self {
        let signatures: Vec<(&str, &str)> = source
            .split("\nKERNEL ")
            .skip(1)
            .filter_map(|text| text.split_once(')')?.0.split_once('('))
            .collect();
        let main = include_str!("emulated.c").replace("CASES", &cases(&signatures));
        let program = Self {
            folder: tempfile::tempdir().expect("a folder for a program"),
            kernels: signatures.iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        let text = format!("{BEFORE}{source}\n{main}");
        // Where a compiler has no sanitizer, wrong numbers still show.
        let sanitized =
            cc(&program.path(), &text, &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
        assert!(sanitized || cc(&program.path(), &text, &[]), "the kernels do not compile as C");
        program
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("kernels")
    }

    /// The bytes of the last memory after the call.
    ///
    /// # Panics
    /// When the program fails, as it does where it reads or writes beside a tensor.
    fn run(&self, call: &Call<'_>) -> Result<Vec<u8>> {
        let kernel = self.kernels.iter().position(|name| name == call.name).expect("a kernel of this source");
        let mut request = words(&[kernel as u64, call.threads as u64, call.arguments.len() as u64]);
        for argument in &call.arguments {
            match argument {
                Argument::Number(value) => request.extend(words(&[0, u64::from(*value)])),
                Argument::Float(value) => request.extend(words(&[0, u64::from(value.to_bits())])),
                Argument::Size(value) => request.extend(words(&[0, *value])),
                Argument::Null => request.extend(words(&[0, 0])),
                Argument::Memory(tensor) => {
                    let bytes = bytes(tensor)?;
                    request.extend(words(&[1, bytes.len() as u64]));
                    request.extend(bytes);
                }
            }
        }
        let mut program = Command::new(self.path())
            .env("ASAN_OPTIONS", "detect_leaks=0") // the process ends right after
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = program.stdin.take().expect("it was asked for");
        let writer = std::thread::spawn(move || stdin.write_all(&request));
        let output = program.wait_with_output().expect("the program ends");
        assert!(output.status.success(), "{} failed: {}", call.name, output.status);
        writer.join().expect("the writer does not panic").expect("the program reads it all");
        Ok(output.stdout)
    }
}

impl Launch for Program {
    fn launch(&self, call: &Call<'_>) -> Result<()> {
        // The last that is there: a kernel that writes one of two forms gets a null for the other.
        let memory = |argument: &Argument<'_>| match argument {
            Argument::Memory(tensor) => Some((*tensor).clone()),
            _ => None,
        };
        let Some(out) = call.arguments.iter().rev().find_map(memory) else { bail!("a call writes a tensor") };
        let bytes = self.run(call)?;
        out.inplace_op1(&Write { bytes })
    }
}

/// Puts bytes in the place of a tensor's numbers.
struct Write {
    bytes: Vec<u8>,
}

impl InplaceOp1 for Write {
    fn name(&self) -> &'static str {
        "write"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("the tensor is not contiguous") };
        match storage {
            CpuStorage::F32(numbers) => {
                bytemuck::cast_slice_mut(&mut numbers[start..end]).copy_from_slice(&self.bytes);
            }
            CpuStorage::F64(numbers) => {
                bytemuck::cast_slice_mut(&mut numbers[start..end]).copy_from_slice(&self.bytes);
            }
            CpuStorage::U8(numbers) => numbers[start..end].copy_from_slice(&self.bytes),
            CpuStorage::BF16(numbers) => {
                for (number, bytes) in numbers[start..end].iter_mut().zip(self.bytes.chunks_exact(2)) {
                    *number = half::bf16::from_ne_bytes([bytes[0], bytes[1]]);
                }
            }
            _ => bail!("a kernel writes f32, f64, bf16 or bytes"),
        }
        Ok(())
    }
}

/// A case of a C switch for each kernel, which takes its arguments from where `emulated.c` has put them.
fn cases(signatures: &[(&str, &str)]) -> String {
    let argument = |(index, parameter): (usize, &str)| match parameter {
        pointer if pointer.contains('*') => format!("memory[{index}]"),
        float if float.trim().starts_with("float") => format!("float_of(number[{index}])"),
        _ => format!("number[{index}]"),
    };
    let case = |(kernel, (name, parameters)): (usize, &(&str, &str))| {
        let arguments: Vec<String> = parameters.split(',').enumerate().map(argument).collect();
        format!("case {kernel}: {name}({}); break;\n", arguments.join(", "))
    };
    signatures.iter().enumerate().map(case).collect()
}

fn cc(program: &Path, text: &str, flags: &[&str]) -> bool {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut command = Command::new(compiler);
    command.args(["-O1", "-w", "-xc", "-"]).args(flags).args(["-lm", "-o"]).arg(program);
    let mut compiling = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a C compiler");
    let written = compiling.stdin.take().map(|mut stdin| stdin.write_all(text.as_bytes()));
    written.is_some_and(|written| written.is_ok()) && compiling.wait().is_ok_and(|status| status.success())
}

fn words(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

fn bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let tensor = tensor.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::F32 => bytemuck::cast_slice(&tensor.to_vec1::<f32>()?).to_vec(),
        DType::F64 => bytemuck::cast_slice(&tensor.to_vec1::<f64>()?).to_vec(),
        DType::U32 => bytemuck::cast_slice(&tensor.to_vec1::<u32>()?).to_vec(),
        DType::U8 => tensor.to_vec1::<u8>()?,
        // The upper half of the f32 of the same value.
        _ => {
            let wide = tensor.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            wide.iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_ne_bytes()).collect()
        }
    })
}
