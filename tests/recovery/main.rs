//! Recovery from a wrong clock and from expired credentials.

#[path = "../common/mod.rs"]
mod common;

mod corrections;
mod random_responses;
mod untrusted_responses;
