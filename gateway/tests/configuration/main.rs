//! Configuration files, their schema, and the errors of a first start.

#[path = "../support/mod.rs"]
mod support;

mod check;
mod includes;
mod schema;
mod secrets;
mod startup;
#[cfg(unix)]
mod system_limits;
