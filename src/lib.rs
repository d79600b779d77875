//! x
mod clock;
pub mod credentials;
mod error;
pub mod sigv4;
pub use clock::Clock;
pub use error::{BoxError, Error, ErrorKind};
