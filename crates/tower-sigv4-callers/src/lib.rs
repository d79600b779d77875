#![doc = include_str!("../README.md")]
#![warn(clippy::shadow_reuse, clippy::shadow_same, clippy::shadow_unrelated)]

mod error;
mod http_client;
pub mod iam;
pub mod jwt;
mod loopback;
mod response_body;
mod verification;

pub use self::{
    error::Error,
    http_client::{BoxError, HttpClient},
    loopback::is_loopback,
    response_body::ResponseBody,
};

pub(crate) use self::jwt::{public_part, secure_url};
