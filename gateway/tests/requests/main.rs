//! Requests through the gateway: routes, credentials, limits and logs.

#[path = "../support/mod.rs"]
mod support;

mod authentication;
mod aws_credentials;
mod end_to_end;
mod error_formats;
mod explained;
mod form_uploads;
mod logs;
mod presigned;
mod request_ids;
mod routes;
mod s3_clients;
mod scopes;
mod signature_settings;
#[cfg(feature = "sigv4a")]
mod sigv4a;
mod trust;
