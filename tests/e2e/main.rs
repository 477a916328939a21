//! The real binary, over HTTP and on the command line, as those who run it meet it.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail their test")]

mod commands;
mod faults;
mod images;
mod load;
mod operations;
mod refusals;
mod server;
mod stores;
mod strangers;
mod synthesis;
mod traces;
#[path = "../../crates/remote/tests/support/mod.rs"]
mod web;
