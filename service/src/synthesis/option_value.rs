//! An option's value, from text that a stranger wrote: one word or number, or one list of numbers no longer than asked for.
//! Whatever the text is, what is kept of it is small.

use std::fmt;

use serde::de::{Deserializer as _, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

use crate::text::shortened;

/// The longest word that is kept, in characters: no option's value and no name is as long.
const LONGEST_WORD: usize = 1000;
/// The longest JSON text of a word that is unescaped, in bytes: twelve for each character, if they are all escaped in two halves.
const LONGEST_QUOTED: usize = 12 * LONGEST_WORD;

/// Up to here, every whole number is an f64.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads a value whose list, if it is one, has at most so many elements.
#[derive(Clone, Copy, Debug)]
pub struct OptionValue {
    /// Elements of the longest list that is kept. One more is kept where there are more.
    pub most: usize,
}

impl OptionValue {
    /// A word, or the beginning of one that is too long to be any.
    pub fn word(text: &str) -> String {
        shortened(text, LONGEST_WORD).into_owned()
    }

    /// Reads a value that is all of a text.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn read(self, text: &str) -> Result<Value, serde_json::Error> {
        if is_deep(text.as_bytes()) {
            return Err(serde_json::Error::custom("it is nested too deeply"));
        }
        self.of(serde_json::from_str(text)?)
    }

    /// Reads a value from where it lies in a text. No option is an object, and no list has lists: they are left empty.
    ///
    /// # Errors
    /// When it is a number that none can hold.
    pub fn of(self, value: &RawValue) -> Result<Value, serde_json::Error> {
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'[') => serde_json::Deserializer::from_str(text).deserialize_seq(self),
            _ => element(value),
        }
    }
}

/// Brackets within brackets that nothing needs here.
const DEEP: usize = 32;

/// Whether brackets are nested deeper than any request needs. To skip them takes memory for each.
pub fn is_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match (in_string, byte) {
            _ if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEP {
            return true;
        }
    }
    false
}

/// A word or a number; of a list or an object nothing.
fn element(value: &RawValue) -> Result<Value, serde_json::Error> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'[') => Ok(Value::Array(Vec::new())),
        Some(b'{') => Ok(Value::Object(Map::new())),
        Some(b'"') => unquoted(value).map(Value::String),
        _ => serde_json::from_str(text).map(whole),
    }
}

/// A whole number that is written with a fraction, as 7.0, is the whole number.
fn whole(value: Value) -> Value {
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) if number.fract() == 0.0 && (0.0..MOST_EXACT).contains(&number) => {
            (number as u64).into()
        }
        _ => value,
    }
}

/// The text of a JSON string, or its beginning as it is written where it is too long to be any word.
///
/// # Errors
/// When it is no string.
pub fn unquoted(value: &RawValue) -> Result<String, serde_json::Error> {
    let text = value.get();
    match text.len() > LONGEST_QUOTED {
        // To unescape it would take as much memory again.
        true => Ok(OptionValue::word(text.trim_matches('"'))),
        false => serde_json::from_str::<String>(text).map(|text| OptionValue::word(&text)),
    }
}

impl<'de> Visitor<'de> for OptionValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    /// A list is read to its end, so that what follows it can be; past the most, nothing of it is kept.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() <= self.most {
            match list.next_element::<&RawValue>()? {
                Some(value) => kept.push(element(value).map_err(A::Error::custom)?),
                None => return Ok(Value::Array(kept)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        OptionValue { most: 3 }.read(text).unwrap()
    }

    #[test]
    fn what_an_option_can_be_is_read_as_it_is() {
        for text in ["null", "true", "-7", "18446744073709551615", "0.5", "\"ids\"", "[]", "[1,2.5,\"x\"]"] {
            assert_eq!(read(text), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        assert_eq!(read("7.0"), serde_json::json!(7));
        assert_eq!(read("[1.0, 2.5, 3e0]"), serde_json::json!([1, 2.5, 3]));
        assert_eq!(read("-7.0"), serde_json::json!(-7.0));
        assert_eq!(read("1e300"), serde_json::json!(1e300));
    }

    #[test]
    fn of_anything_else_little_is_kept() {
        assert_eq!(read("[1,2,3,4,5,6]"), serde_json::json!([1, 2, 3, 4]));
        assert_eq!(read(&format!("[{}1]", "0,".repeat(100_000))), serde_json::json!([0, 0, 0, 0]));
        assert_eq!(read("[[1,2,3],{\"a\":[1]},3]"), serde_json::json!([[], {}, 3]));
        assert_eq!(read("{\"a\":{\"b\":1},\"c\":2}"), serde_json::json!({}));
        assert_eq!(
            read(&format!("\"{}\"", "a".repeat(100_000))).as_str().map(str::len),
            Some(1000 + '…'.len_utf8())
        );
        let escaped = format!("\"{}\"", "\\n".repeat(100_000));
        assert_eq!(read(&escaped).as_str().map(|text| text.chars().count()), Some(1000 + 1));
        assert_eq!(read(&format!("[{escaped}]"))[0], read(&escaped));
        assert_eq!(read("\"\\ud83d\\ude00\\n\""), serde_json::json!("\u{1f600}\n"));
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(read(&nested(DEEP)), serde_json::json!([[]]));
        assert!(OptionValue { most: 3 }.read(&nested(DEEP + 1)).is_err());
        assert!(!is_deep(format!("[\"{}\\\"{}\"]", "[".repeat(99), "{".repeat(99)).as_bytes()), "it is text");
        assert!(OptionValue { most: 3 }.read("[1").is_err() && OptionValue { most: 3 }.read("1 2").is_err());
    }
}
