//! x
pub use aws_credential_types::Credentials;
