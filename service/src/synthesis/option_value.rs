//! An option's value, from text that a stranger wrote: one word or number, or one list of numbers no longer than asked for.
//! Whatever the text is, what is kept of it is small.

use std::fmt;

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};

use crate::text::shortened;

/// The longest word that is kept, in characters: no option's value is as long.
const LONGEST_WORD: usize = 1000;

/// Up to here, every whole number is an f64.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads a value whose list, if it is one, has at most so many elements.
#[derive(Clone, Copy, Debug)]
pub struct OptionValue {
    /// Elements of the longest list that is kept. One more is kept where there are more.
    pub most: usize,
}

impl<'de> DeserializeSeed<'de> for OptionValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OptionValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word, a number or a list of numbers")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    /// A whole number written with a fraction, as 7.0, is the whole number.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && (0.0..MOST_EXACT).contains(&value) {
            return Ok((value as u64).into());
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Self::word(value).into())
    }

    /// A list is read to its end, so that what follows it can be; past the most, nothing of it is kept.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() <= self.most {
            match list.next_element_seed(Self { most: 0 })? {
                Some(value) => kept.push(value),
                None => return Ok(Value::Array(kept)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(kept))
    }

    /// No option is an object: what is in it is passed over.
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(serde_json::Map::new()))
    }
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
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = self.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}

/// A member's name, or the beginning of one that is too long to be any.
pub struct Name(pub String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(shortened(name, LONGEST_WORD).into_owned()))
            }
        }
        deserializer.deserialize_str(NameVisitor)
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
        assert_eq!(read("[[1,2,3],{\"a\":[1]},3]"), serde_json::json!([[1], {}, 3]));
        assert_eq!(read("{\"a\":{\"b\":1},\"c\":2}"), serde_json::json!({}));
        assert_eq!(
            read(&format!("\"{}\"", "a".repeat(100_000))).as_str().map(str::len),
            Some(1000 + '…'.len_utf8())
        );
        assert!(OptionValue { most: 3 }.read("[1").is_err() && OptionValue { most: 3 }.read("1 2").is_err());
    }
}
