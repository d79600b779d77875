//! Tower middleware that authenticates the callers of a service.

mod http_client;

pub use self::http_client::{BoxError, HttpClient};
