//! A request as one JSON object, read where it lies: what is kept beside the body is small, whatever the body is.

use std::{fmt, ops::Range};

use serde::de::{Deserializer as _, Error, MapAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    http::problem::Problem,
    synthesis::{OptionValue, OptionsError, SynthesisOptions, is_deep, unquoted},
};

/// Names of files, in the order of [`Members::files`].
pub const FILES: [&str; 3] = ["mask", "style", "instances"];

/// The members of an object.
#[derive(Default)]
pub struct Members {
    /// Where the JSON text of each file is; none for one that is not there or `null`.
    pub files: [Option<Range<usize>>; 3],
    /// The options.
    pub options: Map<String, Value>,
}

/// Reads the object `text`, whose files are left as text. `options` are those that are known already; `place` names the
/// object in messages; a list has at most `most` numbers.
///
/// # Errors
/// When it is no JSON object, or a member is unknown or there twice.
pub fn read(
    text: &[u8],
    place: &str,
    files: bool,
    options: Map<String, Value>,
    most: usize,
) -> Result<Members, Problem> {
    if is_deep(text) {
        return Err(Problem::malformed(format!(
            "{place} is nested too deeply; send its members as documented"
        )));
    }
    let mut refusal = None;
    let start = text.as_ptr().addr();
    let members = Members { files: [None, None, None], options };
    let visitor = MembersVisitor { start, files, most, members, refusal: &mut refusal };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = deserializer.deserialize_map(visitor).and_then(|members| deserializer.end().map(|()| members));
    read.map_err(|error| {
        refusal.unwrap_or_else(|| Problem::malformed(format!("{place} is no JSON object: {error}")))
    })
}

struct MembersVisitor<'a> {
    /// The address of the text's first byte.
    start: usize,
    /// Whether there may be files.
    files: bool,
    most: usize,
    members: Members,
    /// Why reading ended, where it is not the text's form.
    refusal: &'a mut Option<Problem>,
}

impl<'de> Visitor<'de> for MembersVisitor<'_> {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<Members, A::Error> {
        let mut seen = [false; 3];
        while let Some(name) = object.next_key::<&RawValue>()? {
            let name = unquoted(name).map_err(A::Error::custom)?;
            match FILES.iter().position(|file| self.files && *file == name) {
                Some(file) => {
                    let value: &RawValue = object.next_value()?;
                    if std::mem::replace(&mut seen[file], true) {
                        *self.refusal = Some(sent_twice(&name));
                        return Err(A::Error::custom("a file twice"));
                    }
                    self.members.files[file] = self.range(value);
                }
                None => {
                    if !SynthesisOptions::is_known(&name) {
                        *self.refusal = Some(OptionsError::Unknown(name).into());
                        return Err(A::Error::custom("an unknown member"));
                    }
                    let value = OptionValue { most: self.most }.of(object.next_value()?);
                    let value = value.map_err(A::Error::custom)?;
                    if let Err(error) =
                        SynthesisOptions::add(&mut self.members.options, &name, value, self.most)
                    {
                        *self.refusal = Some(error.into());
                        return Err(A::Error::custom("an option twice"));
                    }
                }
            }
        }
        Ok(self.members)
    }
}

impl MembersVisitor<'_> {
    /// Where a value lies in the text; none for `null` and for the empty text of a field that was left empty.
    fn range(&self, value: &RawValue) -> Option<Range<usize>> {
        let text = value.get();
        let from = text.as_ptr().addr() - self.start;
        (!matches!(text, "null" | "\"\"")).then_some(from..from + text.len())
    }
}

/// The refusal of a file that is there twice.
pub fn sent_twice(name: &str) -> Problem {
    Problem::malformed(format!("`{name}` is sent twice; send it once"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Result<Members, Problem> {
        read(text.as_bytes(), "the body", true, Map::new(), 4)
    }

    #[test]
    fn files_are_found_where_they_lie_and_options_are_read() {
        let text = r#" {"seed": 7, "mask" : "aGk=", "style": null, "latent": [1, 2, 3, 4, 5, 6]} "#;
        let members = members(text).ok().unwrap();
        assert_eq!(members.files[0].clone().map(|range| &text[range]), Some(r#""aGk=""#));
        assert_eq!(members.files[1..], [None, None]);
        assert_eq!(members.options["seed"], 7);
        assert_eq!(
            members.options["latent"],
            serde_json::json!([1, 2, 3, 4, 5]),
            "one too many shows that there are"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("[1]", "the body is no JSON object"),
            ("{\"seed\": 1", "the body is no JSON object"),
            ("{} {}", "the body is no JSON object"),
            ("{\"mask\": \"\", \"mask\": \"\"}", "`mask` is sent twice"),
            ("{\"seed\": 1, \"seed\": 2}", "given twice"),
            ("{\"sede\": [1, 2}", "unknown option `sede`"),
        ] {
            let problem = format!("{:?}", members(text).err().unwrap());
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }
}
