//! Where two values of a kind differ, by the names that `config.json` has for their members.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

/// A member that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The member's own name, without those it lies in.
    pub name: String,
    /// What the one has, as a person reads it.
    pub one: String,
    /// What the other has.
    pub other: String,
}

/// The members of `one` and `other` that differ, at any depth.
pub fn differences<T: Serialize>(one: &T, other: &T) -> Vec<Difference> {
    let [one, other] = [one, other].map(|value| serde_json::to_value(value).unwrap_or_default());
    let mut found = Vec::new();
    walk(&mut found, "", &one, &other);
    found
}

/// A value as a person reads it.
pub fn as_text(value: &impl Serialize) -> String {
    match serde_json::to_value(value).unwrap_or_default() {
        Value::String(text) => text,
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

fn walk(found: &mut Vec<Difference>, name: &str, one: &Value, other: &Value) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let of =
                |object: &Map<String, Value>, name: &String| object.get(name).cloned().unwrap_or_default();
            for member in names {
                walk(found, member, &of(one, member), &of(other, member));
            }
        }
        _ if one != other => {
            found.push(Difference { name: name.to_owned(), one: as_text(one), other: as_text(other) });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_named_wherever_they_lie() {
        let one = json!({ "same": 1, "deep": { "rate": 0.5, "mode": "hinge" }, "gone": true });
        let other = json!({ "same": 1, "deep": { "rate": 0.25, "mode": "hinge" } });
        let told: Vec<_> = differences(&one, &other)
            .into_iter()
            .map(|Difference { name, one, other }| format!("{name} {one} {other}"))
            .collect();
        assert_eq!(told, ["rate 0.5 0.25", "gone true none"]);
    }
}
