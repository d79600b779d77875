//! Tower middleware that authenticates the callers of a service.

mod error;
mod http_client;
pub mod jwt;
mod response_body;

pub use self::{
    error::Error,
    http_client::{BoxError, HttpClient},
    response_body::ResponseBody,
};
