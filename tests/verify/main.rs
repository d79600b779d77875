//! Verification of signed requests.

#[path = "../common/mod.rs"]
mod common;

mod agreement;
mod attacks;
mod chunks;
mod layer;
mod responses;
mod services;
