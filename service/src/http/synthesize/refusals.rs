//! What a request with a mask can be refused with: one list for all operations that take one.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{Content, Ref, RefOr, Response, ResponseBuilder},
};

/// Statuses and what they mean. An operation that means more by one describes it after these.
const REFUSALS: [(&str, &str); 12] = [
    ("400", "Not an image, damaged, or not parseable"),
    ("401", "An API key is needed"),
    ("404", "There is no such model"),
    ("406", "No accepted type can be answered"),
    ("408", "The upload took too long"),
    ("413", "Too many bytes or pixels"),
    ("415", "A type that is not read here"),
    ("422", "The mask's size or labels, or the options, do not fit the model"),
    ("429", "The answer would be late, or this key sent too much; Retry-After says when to come back"),
    ("500", "The fault is the server's"),
    ("503", "The server is starting, stopping or busy; Retry-After says when to come back"),
    ("504", "The deadline passed"),
];

/// The refusals as the API's description has them.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let problem = || Content::new(Some(Ref::from_schema_name("ProblemBody")));
        let response = |(status, description): (&str, &str)| {
            let response = ResponseBuilder::new()
                .description(description)
                .content("application/problem+json", problem());
            (status.to_owned(), response.build().into())
        };
        REFUSALS.into_iter().map(response).collect()
    }
}
