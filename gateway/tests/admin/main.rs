//! The admin port.

#[path = "../support/mod.rs"]
mod support;

mod endpoints;
mod status_page;
