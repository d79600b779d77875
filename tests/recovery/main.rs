//! Recovery from a wrong clock, from expired credentials, and from the region of another bucket.

#[path = "../common/mod.rs"]
mod common;

mod corrections;
mod random_responses;
mod redirects;
mod untrusted_responses;
