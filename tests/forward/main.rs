//! Heads of requests as origins receive them.

#[path = "../common/mod.rs"]
mod common;

mod as_signed;
mod buckets;
mod forwarded_headers;
mod heads;
mod limits;
mod nested_router;
mod uri_origin;
mod wire;
