//! A kernel's PTX as C: a statement for each instruction, a union for each register.
//!
//! What a kernel computes is what its instructions say, to the last bit but for approximations (`ex2.approx` and others),
//! which are exact here.

use std::{collections::HashMap, fmt::Write as _};

use crate::ptx::{Entry, Statement, bytes_of};

const PRELUDE: &str = include_str!("prelude.c");

/// The C of a kernel, with a function `run` that runs a grid of it.
///
/// # Errors
/// When it has an instruction that is not known here.
pub fn translate(entry: &Entry) -> Result<String, String> {
    let mut body =
        Body { entry, registers: HashMap::new(), keeps: entry.waits(), pauses: 0, out: String::new() };
    for statement in &entry.statements {
        match statement {
            Statement::Label(name) => writeln!(body.out, "{}:;", label(name)).expect("memory"),
            Statement::Instruction { guard, opcode, operands } => {
                let opcode: Vec<&str> = opcode.iter().map(String::as_str).collect();
                let c = body.instruction(&opcode, operands).map_err(|what| {
                    format!("{}: `{} {}`: {what}", entry.name, opcode.join("."), operands.join(", "))
                })?;
                match guard {
                    Some((register, inverse)) => {
                        let register = body.register(register)?;
                        let not = if *inverse { "!" } else { "" };
                        writeln!(body.out, "if ({not}{register}.u8) {{ {c} }}")
                    }
                    None => writeln!(body.out, "{c}"),
                }
                .expect("memory");
            }
        }
    }
    let registers = body.registers.len();
    let kept = if body.keeps { registers } else { 0 };
    let locals: String = (kept..registers).map(|index| format!("reg R{index} = {{0}};\n")).collect();
    Ok(format!(
        "#define SHARED_BYTES {}\n#define KEPT_REGISTERS {kept}\n#define LOCAL_BYTES {}\n{PRELUDE}\n\
         static int kernel(struct block *b, struct thread *t) {{\n{locals}\
         switch (t->resume) {{\ncase 0:;\n{}}}\nreturn ENDED;\n}}\n",
        entry.shared_bytes,
        entry.local_bytes.next_multiple_of(16),
        body.out
    ))
}

struct Body<'a> {
    entry: &'a Entry,
    registers: HashMap<String, usize>,
    /// Registers outlive a pause.
    keeps: bool,
    pauses: usize,
    out: String,
}

type Text = Result<String, String>;

/// Where the block's shared memory begins.
const SHARED: &str = "(uint64_t)b->shared";

impl Body<'_> {
    fn register(&mut self, name: &str) -> Text {
        if !is_numbered(name) && !self.entry.registers.iter().any(|declared| declared == name) {
            return Err(format!("{name} is no register"));
        }
        let next = self.registers.len();
        let index = *self.registers.entry(name.to_owned()).or_insert(next);
        Ok(if self.keeps { format!("t->r[{index}]") } else { format!("R{index}") })
    }

    /// What is read from an operand as C's `kind`: `u32`, `f32`, `f16` and so on.
    fn value(&mut self, operand: &str, kind: &str) -> Text {
        if let Some(inverse) = operand.strip_prefix('!') {
            return Ok(format!("(!{})", self.value(inverse, kind)?));
        }
        if let Some(special) = special(operand) {
            return Ok(special);
        }
        if let Some(bits) = operand.strip_prefix("0f").or(operand.strip_prefix("0F")) {
            return Ok(format!("f32_bits(0x{bits}u)"));
        }
        if let Some(bits) = operand.strip_prefix("0d").or(operand.strip_prefix("0D")) {
            return Ok(format!("f64_bits(0x{bits}ull)"));
        }
        if operand.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let literal = operand.trim_end_matches('U');
            return Ok(match literal {
                "-9223372036854775808" => "INT64_MIN".to_owned(),
                literal => format!(
                    "({}){literal}{}",
                    c_type(kind),
                    if literal.starts_with('-') { "ll" } else { "ull" }
                ),
            });
        }
        if let Some(offset) = self.entry.shared.get(operand) {
            return Ok(format!("{offset}ull"));
        }
        if let Some(offset) = self.entry.local.get(operand) {
            return Ok(format!("((uint64_t)t->local + {offset})"));
        }
        if operand.starts_with('%') || self.entry.registers.iter().any(|declared| declared == operand) {
            let register = self.register(operand)?;
            return Ok(match kind {
                "f16" => format!("from_f16({register}.u16)"),
                "bf16" => format!("from_bf16({register}.u16)"),
                kind => format!("{register}.{}", field(kind)?),
            });
        }
        // A variable of the module, of which there are none here. What an assertion says is in one, and nobody reads it.
        if !operand.starts_with("$str") && !operand.starts_with("__unnamed_") {
            eprintln!(
                "cuda-on-cpu: kernel {}: `{operand}` of its module is not there; 0 for it",
                self.entry.name
            );
        }
        Ok("0".to_owned())
    }

    fn assign(&mut self, operand: &str, kind: &str, value: &str) -> Text {
        if operand == "_" {
            return Ok(format!("(void)({value});"));
        }
        let register = self.register(operand)?;
        Ok(match kind {
            "pred" => format!("{register}.u8 = !!({value});"),
            "f16" => format!("{register}.u16 = to_f16({value});"),
            "bf16" => format!("{register}.u16 = to_bf16({value});"),
            kind => format!("{register}.{} = {value};", field(kind)?),
        })
    }

    fn binary(&mut self, operands: &[String], kind: &str, form: &str) -> Text {
        let mut c = form.to_owned();
        for (place, operand) in ["$a", "$b", "$c"].iter().zip(&operands[1..]) {
            c = c.replace(place, &self.value(operand, kind)?);
        }
        self.assign(&operands[0], kind, &c)
    }

    /// The memory at an operand such as `[%rd1+8]`.
    fn memory(&mut self, space: &str, operand: &str, kind: &str, index: u64, of: u64) -> Text {
        let inner = operand.trim_start_matches('[').trim_end_matches(']');
        let (base, offset) = match inner.split_once('+') {
            Some((base, offset)) => (base, offset.parse::<i64>().map_err(|_| "an odd offset")?),
            None => (inner, 0),
        };
        let bytes = bytes_of(kind).ok_or("an unknown type")?;
        let offset = offset + (index * bytes) as i64;
        // A vector is aligned as a whole.
        let align = if index == 0 { bytes * of } else { bytes };
        let kind = c_type(kind);
        Ok(match space {
            "param" => {
                let parameter = self.entry.parameters.iter().find(|parameter| parameter.name == base);
                let at = parameter.ok_or("an unknown parameter")?.offset as i64 + offset;
                format!("(*(const {kind} *)(b->parameters + {at}))")
            }
            "shared" => {
                let base = self.address(base, "u32")?;
                format!("SHARED({kind}, {base} + {offset}ll, {align})")
            }
            "global" | "local" | "generic" => {
                let base = self.address(base, "u64")?;
                format!("AT({kind}, {base} + {offset}ll, {align})")
            }
            _ => return Err("an unknown space".to_owned()),
        })
    }

    /// Shared addresses are 32 bits or 64; of both the lower half is all.
    fn address(&mut self, base: &str, kind: &str) -> Text {
        self.value(base, kind)
    }

    fn load_or_store(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let kind = opcode[opcode.len() - 1];
        let space = ["param", "shared", "global", "local"].into_iter().find(|space| opcode.contains(space));
        let (load, space) = (opcode[0] == "ld", space.unwrap_or("generic"));
        let (registers, memory) =
            if load { (&operands[0], &operands[1]) } else { (&operands[1], &operands[0]) };
        let registers = elements(registers);
        let mut c = String::new();
        for (index, register) in registers.iter().enumerate() {
            let at = self.memory(space, memory, kind, index as u64, registers.len() as u64)?;
            c += &match (load, bits(kind)) {
                // Narrow numbers are widened by their own sign.
                (true, kind) => {
                    self.assign(register, if kind.starts_with('s') { "s64" } else { wide(kind) }, &at)?
                }
                (false, kind) => format!("{at} = {};", self.value(register, kind)?),
            };
        }
        Ok(c)
    }

    fn convert(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let kinds: Vec<&str> = opcode[1..].iter().copied().filter(|part| bytes_of(part).is_some()).collect();
        let [to, from] = kinds[..] else { return Err("conversions of pairs are not known".to_owned()) };
        let value = self.value(&operands[1], from)?;
        let is_real = |kind: &str| kind.contains('f');
        let has = |part: &str| opcode.contains(&part);
        let real = if from == "f64" || to == "f64" { "" } else { "f" };
        let whole = |value: &str| match () {
            () if has("rni") => format!("rint{real}({value})"),
            () if has("rzi") => format!("trunc{real}({value})"),
            () if has("rmi") => format!("floor{real}({value})"),
            () if has("rpi") => format!("ceil{real}({value})"),
            () => value.to_owned(),
        };
        let to_whole = ["rni", "rzi", "rmi", "rpi"].into_iter().any(has);
        let bits = 8 * bytes_of(to).unwrap_or(8);
        let nan = if from == "f64" || bits == 64 { 1u64 << (bits - 1) } else { 0 };
        let c = match (is_real(from), is_real(to)) {
            (_, true) if has("rz") || has("rm") || has("rp") => return Err("rounding not known".to_owned()),
            (false, _) if has("sat") => return Err("saturation not known".to_owned()),
            (true, false) if !to_whole => return Err("a conversion that says no rounding".to_owned()),
            (true, true) if has("sat") => format!("saturated({})", whole(&value)),
            (true, true) => whole(&value),
            (true, false) => format!("to_{to}({}, {nan}ull)", whole(&value)),
            // As f64, which a narrower type is rounded from once.
            (false, true) => format!("({}){value}", if to == "f32" { "float" } else { "double" }),
            (false, false) => format!("({}){value}", c_type(to)),
        };
        let kind = if to.starts_with('s') {
            "s64"
        } else if is_real(to) {
            to
        } else {
            wide(to)
        };
        self.assign(&operands[0], kind, &c)
    }

    fn set_predicate(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let kind = opcode[opcode.len() - 1];
        let (a, b) = (self.value(&operands[1], kind)?, self.value(&operands[2], kind)?);
        let mut c = comparison(opcode[1], &a, &b)?;
        if let Some(with) = operands.get(3) {
            let (with, by) = (self.value(with, "pred")?, opcode[2]);
            c = match by {
                "and" => format!("({c}) && {with}"),
                "or" => format!("({c}) || {with}"),
                "xor" => format!("({c}) != {with}"),
                _ => return Err("an unknown combination".to_owned()),
            };
        }
        match operands[0].split_once('|') {
            Some((one, other)) => {
                Ok(self.assign(one, "pred", &c)? + &self.assign(other, "pred", &format!("!({c})"))?)
            }
            None => self.assign(&operands[0], "pred", &c),
        }
    }

    fn pause(&mut self, how: &str) -> String {
        self.pauses += 1;
        let pause = self.pauses;
        format!("t->resume = {pause}; return {how}; case {pause}:;")
    }

    fn arithmetic(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let kind = opcode[opcode.len() - 1];
        let real = kind.contains('f');
        let mode = ["rm", "rp", "rz"].into_iter().find(|mode| opcode.contains(mode));
        if let Some(mode) = mode.filter(|_| real) {
            let mode = match mode {
                "rm" => "FE_DOWNWARD",
                "rp" => "FE_UPWARD",
                _ => "FE_TOWARDZERO",
            };
            let what = ["add", "mul", "fma"].iter().position(|name| *name == opcode[0]);
            let what = what.filter(|_| kind == "f32").ok_or("rounding not known")?;
            let third = if what == 2 { "$c" } else { "0" };
            return self.binary(operands, kind, &format!("rounded_f32({mode}, {what}, $a, $b, {third})"));
        }
        if let Some(kind) = kind.strip_suffix("x2") {
            return self.pair(opcode[0], kind, operands);
        }
        let f = if kind == "f64" { "" } else { "f" };
        let form = match opcode[0] {
            "add" => "$a + $b".to_owned(),
            "sub" => "$a - $b".to_owned(),
            "mul" if real => "$a * $b".to_owned(),
            "mul" | "mad" => return self.product(opcode, operands),
            "fma" if kind != "f32" => "fma($a, $b, $c)".to_owned(), // a narrower type is rounded from f64
            "fma" => "fmaf($a, $b, $c)".to_owned(),
            "div" if !real => "$b == 0 ? -1 : $a / $b".to_owned(),
            "div" => "$a / $b".to_owned(),
            "rem" => "$b == 0 ? $a : $a % $b".to_owned(),
            "neg" => "-$a".to_owned(),
            "abs" if real => format!("fabs{f}($a)"),
            "abs" => "$a < 0 ? -$a : $a".to_owned(),
            "min" | "max" if opcode.contains(&"NaN") => format!("{}_nan($a, $b)", opcode[0]),
            "min" | "max" if real => format!("f{}{f}($a, $b)", opcode[0]),
            "min" => "$a < $b ? $a : $b".to_owned(),
            "max" => "$a > $b ? $a : $b".to_owned(),
            "copysign" => format!("copysign{f}($b, $a)"), // the sign comes from the first
            "rcp" => "1 / $a".to_owned(),
            "sqrt" => format!("sqrt{f}($a)"),
            "rsqrt" => format!("1 / sqrt{f}($a)"),
            "ex2" => format!("exp2{f}($a)"),
            "lg2" => format!("log2{f}($a)"),
            "sin" | "cos" | "tanh" => format!("{}{f}($a)", opcode[0]),
            "popc" => "__builtin_popcountll($a)".to_owned(),
            "clz" => {
                format!("$a == 0 ? {0} : __builtin_clzll($a) - (64 - {0})", 8 * bytes_of(kind).unwrap_or(8))
            }
            _ => return Err("not known".to_owned()),
        };
        self.binary(operands, kind, &form)
    }

    /// The same for the lower and the upper half of registers.
    fn pair(&mut self, name: &str, kind: &str, operands: &[String]) -> Text {
        let form = match name {
            "add" => "$a + $b",
            "sub" => "$a - $b",
            "mul" => "$a * $b",
            "fma" => "fma($a, $b, $c)",
            _ => return Err("not known".to_owned()),
        };
        let registers =
            operands.iter().map(|operand| self.register(operand)).collect::<Result<Vec<_>, _>>()?;
        let half = |shift: u32| {
            let value = |register: &String| format!("from_{kind}((uint16_t)({register}.u32 >> {shift}))");
            let replace = |c: String, (place, register)| c.replace(place, &value(register));
            let sum = ["$a", "$b", "$c"].into_iter().zip(&registers[1..]).fold(form.to_owned(), replace);
            format!("(uint32_t)to_{kind}({sum}) << {shift}")
        };
        Ok(format!("{}.u32 = {} | {};", registers[0], half(0), half(16)))
    }

    fn product(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let kind = opcode[opcode.len() - 1];
        let (letter, bits) = kind.split_at(1);
        let double = format!("{letter}{}", 2 * bits.parse::<u32>().map_err(|_| "an odd type")?);
        let (wide_type, width) = if bits == "64" {
            (if letter == "s" { "__int128".to_owned() } else { "unsigned __int128".to_owned() }, kind)
        } else {
            (c_type(&double).to_owned(), double.as_str())
        };
        let (a, b) = (self.value(&operands[1], kind)?, self.value(&operands[2], kind)?);
        let product = format!("({wide_type}){a} * ({wide_type}){b}");
        let (product, kind) = match opcode[1] {
            "lo" => (format!("({})({product})", c_type(kind)), kind),
            "hi" => (format!("({})(({product}) >> {bits})", c_type(kind)), kind),
            "wide" => (product, width),
            _ => return Err("not known".to_owned()),
        };
        let sum = match operands.get(3) {
            Some(third) => format!("{product} + {}", self.value(third, kind)?),
            None => product,
        };
        self.assign(&operands[0], kind, &sum)
    }

    fn bitwise(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let kind = opcode[opcode.len() - 1];
        let sign = if kind == "pred" { "!$a" } else { "~$a" };
        let form = match opcode[0] {
            "and" => "$a & $b",
            "or" => "$a | $b",
            "xor" => "$a ^ $b",
            "not" => sign,
            _ => return self.shift(opcode, operands),
        };
        self.binary(operands, kind, form)
    }

    /// Shifts by a type's bits and more leave nothing but signs.
    fn shift(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let kind = opcode[opcode.len() - 1];
        let bits = 8 * bytes_of(kind).ok_or("an unknown type")?;
        let (a, by) = (self.value(&operands[1], kind)?, self.value(&operands[2], "u32")?);
        let c = match (opcode[0], kind.starts_with('s')) {
            ("shl", _) => format!("{by} >= {bits} ? 0 : {a} << {by}"),
            (_, true) => format!("{a} >> ({by} >= {bits} ? {bits} - 1 : {by})"),
            (_, false) => format!("{by} >= {bits} ? 0 : {a} >> {by}"),
        };
        self.assign(&operands[0], kind, &c)
    }

    fn bit_field(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let kind = opcode[opcode.len() - 1];
        let (a, b) = (self.value(&operands[1], kind)?, self.value(&operands[2], kind)?);
        let (from, len) = (self.value(&operands[3], "u32")?, self.value(&operands[4], "u32")?);
        let mask = format!("(({len} >= 64 ? ~0ull : (1ull << {len}) - 1) << {from})");
        self.assign(&operands[0], kind, &format!("({b} & ~{mask}) | (((uint64_t){a} << {from}) & {mask})"))
    }

    fn copy(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let kind = opcode[opcode.len() - 1];
        let (to, from) = (elements(&operands[0]), elements(&operands[1]));
        let part = |count: usize| 8 * bytes_of(kind).unwrap_or(8) / count as u64;
        if to.len() > 1 {
            let (value, bits) = (self.value(&operands[1], kind)?, part(to.len()));
            let mut c = String::new();
            for (index, register) in to.iter().enumerate() {
                c += &self.assign(
                    register,
                    &format!("u{bits}"),
                    &format!("{value} >> {}", index as u64 * bits),
                )?;
            }
            return Ok(c);
        }
        if from.len() > 1 {
            let bits = part(from.len());
            let mut values = Vec::new();
            for (index, register) in from.iter().enumerate() {
                let value = self.value(register, &format!("u{bits}"))?;
                values.push(format!("(uint64_t){value} << {}", index as u64 * bits));
            }
            return self.assign(&operands[0], kind, &values.join(" | "));
        }
        // Types tell nothing of what is copied but its size; literals of f32 lie in registers of 32 bits.
        if let Some(bits) = operands[1].strip_prefix("0f").or(operands[1].strip_prefix("0F")) {
            return self.assign(&operands[0], "u32", &format!("0x{bits}u"));
        }
        let kind = if kind == "f64" && operands[1].starts_with("0d") { kind } else { wide(bits(kind)) };
        let value = self.value(&operands[1], kind)?;
        self.assign(&operands[0], kind, &value)
    }

    fn exchange(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let mode = match opcode[2] {
            "up" => 'u',
            "down" => 'd',
            "bfly" => 'b',
            "idx" => 'i',
            _ => return Err("not known".to_owned()),
        };
        let value = self.value(&operands[1], "u32")?;
        let send = format!("t->sent[t->turn++ & 1] = {value};");
        let pause = self.pause("AT_EXCHANGE");
        let (by, control) = (self.value(&operands[2], "u32")?, self.value(&operands[3], "u32")?);
        let (to, there) = match operands[0].split_once('|') {
            Some((to, there)) => {
                let is_there = format!("is_there(t, '{mode}', {by}, {control})");
                (to, self.assign(there, "pred", &is_there)?)
            }
            None => (operands[0].as_str(), String::new()),
        };
        let received = self.assign(to, "u32", &format!("received(b, t, '{mode}', {by}, {control})"))?;
        Ok(send + &pause + &there + &received)
    }

    fn atomic(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        let kind = opcode[opcode.len() - 1];
        if !opcode.contains(&"add") || kind.ends_with("16") {
            return Err("not known".to_owned());
        }
        // A block's threads run one after the other, and a grid's blocks do.
        let at = self.memory("global", &operands[1], kind, 0, 1)?;
        let old = self.assign(&operands[0], kind, &at)?;
        Ok(format!("{old} {at} += {};", self.value(&operands[2], kind)?))
    }

    fn instruction(&mut self, opcode: &[&str], operands: &[String]) -> Text {
        check(opcode)?;
        match opcode[0] {
            "ld" | "st" if opcode.get(1) == Some(&"param") && opcode[0] == "st" => Ok(String::new()), // of an assertion
            "ld" | "st" => self.load_or_store(opcode, operands),
            "cvta" if opcode.contains(&"shared") => {
                let value = self.value(&operands[1], "u64")?;
                let by = if opcode.contains(&"to") { format!("- {SHARED}") } else { format!("+ {SHARED}") };
                self.assign(&operands[0], "u64", &format!("{value} {by}"))
            }
            "cvta" => {
                let value = self.value(&operands[1], "u64")?;
                self.assign(&operands[0], "u64", &value)
            }
            "mov" => self.copy(opcode, operands),
            "cvt" => self.convert(opcode, operands),
            "setp" => self.set_predicate(opcode, operands),
            "selp" => {
                let kind = wide(bits(opcode[opcode.len() - 1]));
                let kind = if operands[1..3].iter().any(|o| o.starts_with("0f") || o.starts_with("0F")) {
                    "f32"
                } else {
                    kind
                };
                let kind = if operands[1..3].iter().any(|o| o.starts_with("0d") || o.starts_with("0D")) {
                    "f64"
                } else {
                    kind
                };
                let (a, b) = (self.value(&operands[1], kind)?, self.value(&operands[2], kind)?);
                let which = self.value(&operands[3], "pred")?;
                self.assign(&operands[0], kind, &format!("{which} ? {a} : {b}"))
            }
            "bra" => Ok(format!("goto {};", label(&operands[0]))),
            "ret" | "exit" => Ok("return ENDED;".to_owned()),
            "trap" => Ok("return fault(\"trap\");".to_owned()),
            "call" if operands.iter().any(|operand| operand == "__assertfail") => {
                Ok("return fault(\"an assertion of the kernel\");".to_owned())
            }
            "bar" | "barrier" if opcode.contains(&"sync") && operands == ["0"] => {
                Ok(self.pause("AT_BARRIER"))
            }
            "bar" | "barrier" => Err("only a barrier of all threads is known".to_owned()),
            "shfl" => self.exchange(opcode, operands),
            "atom" => self.atomic(opcode, operands),
            "membar" | "fence" | "prefetch" => Ok(String::new()),
            "and" | "or" | "xor" | "not" | "shl" | "shr" => self.bitwise(opcode, operands),
            "bfi" => self.bit_field(opcode, operands),
            _ => self.arithmetic(opcode, operands),
        }
    }
}

/// Whether a name is one of registers that are declared together, `%r17`, and not of a special one.
fn is_numbered(name: &str) -> bool {
    let Some(name) = name.strip_prefix('%') else { return false };
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let special = ["clock", "envreg", "pm"].contains(&letters);
    !special
        && !letters.is_empty()
        && letters.len() < name.len()
        && letters.bytes().all(|c| c.is_ascii_lowercase())
}

/// Refuses an instruction with a modifier that is not known here: it may ask for something else. Types come last.
fn check(opcode: &[&str]) -> Result<(), String> {
    let (known, types): (&[&str], usize) = match opcode[0] {
        "membar" | "fence" | "prefetch" => return Ok(()),
        "ld" | "st" => (LOADS, 1),
        "cvta" => (&["to", "global", "shared", "local"], 1),
        "cvt" => (&["rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", "sat", "ftz"], 2),
        "setp" => (COMPARISONS, 1),
        "bra" | "ret" | "call" => (&["uni"], 0),
        "exit" | "trap" => (&[], 0),
        "bar" | "barrier" => (&["cta", "sync", "aligned"], 0),
        "shfl" => (&["sync", "up", "down", "bfly", "idx"], 1),
        "atom" => {
            (&["global", "add", "relaxed", "acquire", "release", "acq_rel", "cta", "gpu", "sys", "noftz"], 1)
        }
        "add" | "sub" | "fma" => (&["rn", "rz", "rm", "rp", "ftz"], 1),
        "mul" => (&["rn", "rz", "rm", "rp", "ftz", "lo", "hi", "wide"], 1),
        "mad" => (&["lo", "hi", "wide"], 1),
        "min" | "max" => (&["ftz", "NaN"], 1),
        "div" => (&["rn", "approx", "full", "ftz"], 1),
        "rcp" | "sqrt" | "rsqrt" | "ex2" | "lg2" | "sin" | "cos" | "tanh" => (&["rn", "approx", "ftz"], 1),
        "neg" | "abs" => (&["ftz"], 1),
        "mov" | "selp" | "and" | "or" | "xor" | "not" | "shl" | "shr" | "bfi" | "rem" | "copysign"
        | "popc" | "clz" => (&[], 1),
        _ => return Err("not known".to_owned()),
    };
    let (modifiers, kinds) =
        opcode[1..].split_at_checked((opcode.len() - 1).saturating_sub(types)).unwrap_or_default();
    let is_hint = |part: &str| known == LOADS && (part.starts_with("L1::") || part.starts_with("L2::"));
    if let Some(odd) = modifiers.iter().find(|part| !known.contains(part) && !is_hint(part)) {
        return Err(format!("`.{odd}` is not known"));
    }
    let pairs = ["add", "sub", "mul", "fma"].contains(&opcode[0]);
    let is_type = |kind: &&str| bytes_of(kind).is_some() || pairs && ["f16x2", "bf16x2"].contains(kind);
    if kinds.len() != types || !kinds.iter().all(is_type) {
        return Err("an unknown type".to_owned());
    }
    Ok(())
}

const LOADS: &[&str] = &[
    "param", "shared", "global", "local", "nc", "v2", "v4", "volatile", "weak", "relaxed", "acquire",
    "release", "cta", "gpu", "sys", "ca", "cg", "cs", "lu", "cv", "wb", "wt",
];

const COMPARISONS: &[&str] = &[
    "eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu", "geu",
    "num", "nan", "and", "or", "xor", "ftz",
];

fn label(name: &str) -> String {
    name.replace('$', "S_")
}

fn elements(operand: &str) -> Vec<String> {
    operand.trim_matches(['{', '}']).split(',').map(str::to_owned).collect()
}

fn special(operand: &str) -> Option<String> {
    let (name, axis) = operand.split_once('.').unwrap_or((operand, "x"));
    let axis = ["x", "y", "z"].iter().position(|name| *name == axis)?;
    Some(match name {
        "%tid" => format!("t->id[{axis}]"),
        "%ctaid" => format!("b->id[{axis}]"),
        "%ntid" => format!("b->shape[{axis}]"),
        "%nctaid" => format!("b->grid[{axis}]"),
        "WARP_SZ" => "32".to_owned(),
        "%laneid" => "t->lane".to_owned(),
        _ => return None,
    })
}

fn comparison(how: &str, a: &str, b: &str) -> Text {
    let ordered = match how {
        "eq" => "==",
        "ne" => return Ok(format!("({a} < {b} || {a} > {b})")), // false where one is no number
        "lt" | "lo" => "<",
        "le" | "ls" => "<=",
        "gt" | "hi" => ">",
        "ge" | "hs" => ">=",
        "nan" => return Ok(format!("({a} != {a} || {b} != {b})")),
        "num" => return Ok(format!("({a} == {a} && {b} == {b})")),
        // True where one is no number.
        "equ" => return Ok(format!("!({a} < {b} || {a} > {b})")),
        "neu" => "!=",
        "ltu" => return Ok(format!("!({a} >= {b})")),
        "leu" => return Ok(format!("!({a} > {b})")),
        "gtu" => return Ok(format!("!({a} <= {b})")),
        "geu" => return Ok(format!("!({a} < {b})")),
        _ => return Err("an unknown comparison".to_owned()),
    };
    Ok(format!("({a} {ordered} {b})"))
}

/// A union's field.
fn field(kind: &str) -> Result<&str, String> {
    match kind {
        "pred" | "b8" => Ok("u8"),
        "b16" => Ok("u16"),
        "b32" => Ok("u32"),
        "b64" => Ok("u64"),
        "u8" | "s8" | "u16" | "s16" | "u32" | "s32" | "u64" | "s64" | "f32" | "f64" => Ok(kind),
        _ => Err("an unknown type".to_owned()),
    }
}

/// The same as bits, for what is only moved.
fn bits(kind: &str) -> &str {
    match kind {
        "f16" | "bf16" => "b16",
        kind => kind,
    }
}

/// A register holds a narrow number as a wide one.
fn wide(kind: &str) -> &str {
    match kind {
        "u8" | "b8" | "u16" | "b16" | "u32" | "b32" => "u64",
        kind => kind,
    }
}

fn c_type(kind: &str) -> &'static str {
    match kind {
        "s8" => "int8_t",
        "u8" | "b8" | "pred" => "uint8_t",
        "s16" => "int16_t",
        "u16" | "b16" | "f16" | "bf16" => "uint16_t",
        "s32" => "int32_t",
        "u32" | "b32" => "uint32_t",
        "s64" => "int64_t",
        "f32" => "float",
        "f64" => "double",
        _ => "uint64_t",
    }
}
