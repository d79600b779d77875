//! `Signing` as a tower service, among other layers.

#[path = "../common/mod.rs"]
mod common;

mod contract;
mod error_responses;
mod responses;
mod tower_http_layers;
mod upgrade;
