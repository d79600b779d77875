//! Recovery from a wrong clock and from expired credentials.

#[path = "../common/mod.rs"]
mod common;

mod claims;
mod corrections;
mod random_responses;
