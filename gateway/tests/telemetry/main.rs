//! Traces and metrics, as a collector receives them.
#![cfg(feature = "otlp")]

#[path = "../support/mod.rs"]
mod support;

mod collector;
mod context;
mod export;
mod metrics;
mod spans;
