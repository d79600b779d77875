//! Authorization of verified callers: the sections `[[caller]]`.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod escapes;
mod legal;
mod limits;
mod matrix;
mod mistakes;
mod origin;
mod rejections;
mod touches;
