//! PTX as text: a module's entries, their parameters and statements.

use std::collections::HashMap;

/// A module's entries by name.
pub struct Module {
    pub entries: HashMap<String, Entry>,
}

/// A kernel.
pub struct Entry {
    pub name: String,
    pub parameters: Vec<Parameter>,
    pub statements: Vec<Statement>,
    /// Variables in shared memory, with their offsets.
    pub shared: HashMap<String, u64>,
    pub shared_bytes: u64,
    /// Variables of each thread, with their offsets.
    pub local: HashMap<String, u64>,
    pub local_bytes: u64,
    /// Registers that are declared one by one, not as `%r<9>`.
    pub registers: Vec<String>,
}

/// A kernel's parameter and where it lies among the others.
pub struct Parameter {
    pub name: String,
    pub offset: usize,
    pub bytes: usize,
}

pub enum Statement {
    Label(String),
    Instruction {
        /// The predicate's register, and whether it has to be false.
        guard: Option<(String, bool)>,
        /// `setp`, `lt`, `f32`.
        opcode: Vec<String>,
        operands: Vec<String>,
    },
}

impl Module {
    /// Reads `text`.
    pub fn parse(text: &str) -> Self {
        let text = without_comments(text);
        let mut entries = HashMap::new();
        for part in text.split(".entry ").skip(1) {
            let entry = Entry::parse(part);
            entries.insert(entry.name.clone(), entry);
        }
        Self { entries }
    }
}

impl Entry {
    fn parse(text: &str) -> Self {
        let (name, rest) = text.split_once('(').expect("an entry has parameters");
        let (parameters, rest) = rest.split_once(')').expect("they end");
        let mut entry = Self {
            name: name.trim().to_owned(),
            parameters: parse_parameters(parameters),
            statements: Vec::new(),
            shared: HashMap::new(),
            shared_bytes: 0,
            local: HashMap::new(),
            local_bytes: 0,
            registers: Vec::new(),
        };
        let body = rest.split_once('{').expect("an entry has a body").1;
        let mut depth = 1;
        let mut statement = String::new();
        for c in body.chars() {
            let vector = c == '{' && !statement.trim().is_empty(); // `mov.b64 {%r1,%r2}, %rd1;`
            match c {
                '{' if !vector => depth += 1,
                '}' if !open_vector(&statement) => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                ':' if is_label(&statement) => {
                    entry.statements.push(Statement::Label(statement.trim().to_owned()));
                    statement.clear();
                }
                ';' => {
                    entry.statement(statement.trim());
                    statement.clear();
                }
                other => statement.push(other),
            }
        }
        entry
    }

    fn statement(&mut self, text: &str) {
        if let Some(variable) = text.strip_prefix(".shared ") {
            place(variable, &mut self.shared, &mut self.shared_bytes);
        } else if let Some(variable) = text.strip_prefix(".local ") {
            place(variable, &mut self.local, &mut self.local_bytes);
        } else if let Some(declared) = text.strip_prefix(".reg") {
            let names = declared.trim().split_once(char::is_whitespace).map_or("", |(_, names)| names);
            let names = names.split(',').map(str::trim).filter(|name| !name.ends_with('>'));
            self.registers.extend(names.map(str::to_owned));
        } else if !text.is_empty() && !text.starts_with('.') {
            self.statements.push(instruction(text));
        }
    }

    /// Whether threads wait for others.
    pub fn waits(&self) -> bool {
        let waits = |statement: &Statement| match statement {
            Statement::Label(_) => false,
            Statement::Instruction { opcode, .. } => {
                matches!(opcode[0].as_str(), "bar" | "barrier" | "shfl")
            }
        };
        self.statements.iter().any(waits)
    }
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn open_vector(statement: &str) -> bool {
    statement.matches('{').count() > statement.matches('}').count()
}

fn is_label(statement: &str) -> bool {
    let name = statement.trim();
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_$".contains(c))
}

/// `.param .align 2 .b8 name[2]`, one after the other.
fn parse_parameters(text: &str) -> Vec<Parameter> {
    let mut offset = 0u64;
    let parameter = |text: &str| {
        let (name, align, bytes) = variable(text.trim().trim_start_matches(".param "));
        offset = offset.next_multiple_of(align);
        let parameter = Parameter { name, offset: offset as usize, bytes: bytes as usize };
        offset += bytes;
        parameter
    };
    text.split(',').filter(|text| !text.trim().is_empty()).map(parameter).collect()
}

/// The name, alignment and size of `.align 4 .b8 name[128]`.
fn variable(text: &str) -> (String, u64, u64) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let last = words.last().expect("a variable has a name");
    let unit = words.iter().rev().find_map(|word| bytes_of(word.strip_prefix('.')?)).expect("and a type");
    let align = words.iter().position(|word| *word == ".align").map_or(unit, |at| number(words[at + 1]));
    let (name, count) = match last.split_once('[') {
        Some((name, count)) => (name, count.trim_end_matches(']')),
        None => (*last, "1"),
    };
    (name.to_owned(), align, unit * if count.is_empty() { 0 } else { number(count) })
}

fn place(text: &str, variables: &mut HashMap<String, u64>, end: &mut u64) {
    let (name, align, bytes) = variable(text);
    *end = end.next_multiple_of(align);
    variables.insert(name, *end);
    *end += bytes;
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// The size of a type such as `u32`.
pub fn bytes_of(name: &str) -> Option<u64> {
    Some(match name {
        "pred" | "b8" | "u8" | "s8" => 1,
        "b16" | "u16" | "s16" | "f16" | "bf16" => 2,
        "b32" | "u32" | "s32" | "f32" => 4,
        "b64" | "u64" | "s64" | "f64" => 8,
        _ => return None,
    })
}

fn instruction(text: &str) -> Statement {
    let (guard, text) = match text.strip_prefix('@') {
        Some(text) => {
            let (guard, rest) = text.split_once(char::is_whitespace).expect("a guard guards something");
            let inverse = guard.starts_with('!');
            (Some((guard.trim_start_matches('!').to_owned(), inverse)), rest.trim())
        }
        None => (None, text),
    };
    let (opcode, operands) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut list = vec![String::new()];
    let mut depth = 0;
    for c in operands.chars() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        match c {
            ',' if depth == 0 => list.push(String::new()),
            c if c.is_whitespace() => {}
            c => list.last_mut().expect("it has one").push(c),
        }
    }
    list.retain(|operand| !operand.is_empty());
    Statement::Instruction { guard, opcode: opcode.split('.').map(str::to_owned).collect(), operands: list }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_its_parameters_and_statements() {
        let module = Module::parse(
            ".visible .entry twice(\n .param .u8 a,\n .param .u64 b, .param .align 2 .b8 c[2]\n)\n{\n .reg .f32 %f<3>; .reg.b32 \t%lo, hi;\n
             .shared .align 8 .b8 here[12];\n // a comment; with {\n L_0:\n @!%p1 bra L_0;\n {mov.b64 {%r1, %r2}, %rd1;\n}
             ld.global.nc.v2.f32 {%f1, %f2}, [%rd1+8];\n bar.sync 0;\n ret;\n}\n",
        );
        let entry = &module.entries["twice"];
        let parameters: Vec<_> =
            entry.parameters.iter().map(|p| (p.name.as_str(), p.offset, p.bytes)).collect();
        assert_eq!(parameters, [("a", 0, 1), ("b", 8, 8), ("c", 16, 2)]);
        assert_eq!((entry.shared["here"], entry.shared_bytes, entry.waits()), (0, 12, true));
        assert!(matches!(&entry.statements[0], Statement::Label(name) if name == "L_0"));
        let Statement::Instruction { guard, opcode, operands } = &entry.statements[1] else { panic!() };
        assert_eq!(
            (guard.as_ref().unwrap(), opcode[0].as_str(), operands[0].as_str()),
            (&("%p1".to_owned(), true), "bra", "L_0")
        );
        let Statement::Instruction { opcode, operands, .. } = &entry.statements[2] else { panic!() };
        assert_eq!(
            (opcode.join("."), operands.join(" ")),
            ("mov.b64".to_owned(), "{%r1,%r2} %rd1".to_owned())
        );
        assert_eq!(
            (entry.statements.len(), &entry.registers[..]),
            (6, &["%lo".to_owned(), "hi".to_owned()][..])
        );
    }
}
