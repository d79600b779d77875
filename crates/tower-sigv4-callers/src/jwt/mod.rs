//! Verification of JSON Web Tokens: [`JwtLayer`] and its settings.
//!
//! A request must have one token (RFC 7519) of a configured issuer, such as a Cognito user pool or any other OpenID
//! Connect provider. A token that is not provably valid is rejected.
//!
//! # Checks
//!
//! A token must be in compact form (RFC 7515, section 7.1), at most [8 KiB](JwtSettings::with_max_token_size) large,
//! and:
//!
//! - signed with an asymmetric [`Algorithm`] and with a key of its issuer that is meant for it;
//! - of an accepted [type](JwtSettings::with_token_types);
//! - for one of the [audiences](JwtSettings::add_audience) or [clients](JwtSettings::add_client_id);
//! - not expired (`exp` is required), and not from the future (`nbf` and `iat`);
//! - with a subject (`sub`), and with the [required claims](JwtSettings::add_required_claim).
//!
//! Keys in the token's header (`jwk`, `jku`, `x5c`, `x5u`) are ignored. Tokens with `crit`, with repeated members, with
//! padding, or with another encoding of the same bytes are rejected (RFC 8725).
//!
//! # Keys
//!
//! The keys of an issuer (RFC 7517) are fetched over `https` when the first token needs them. They are cached for as
//! long as the provider's `cache-control` says, between 1 minute and 24 hours, or else for an hour. A request in the
//! last fifth of that time starts the next fetch; it does not wait for it. If the provider fails, the old keys serve
//! for [another day](JwtSettings::with_stale_if_error). A token with an unknown key causes a fetch, but at most one in
//! [30 seconds](JwtSettings::with_refresh_interval).
//!
//! Keys of RSA with less than 2048 bits, keys for encryption, private keys and keys of other types are ignored.
//!
//! # Errors
//!
//! Error responses are JSON with a `message`, and `www-authenticate` (RFC 6750, section 3). The status is 401, or 400
//! for several tokens. It is 503 if there are no keys.
//!
//! # Choice of libraries
//!
//! `ring` verifies the signatures, as it does for rustls. `jsonwebtoken` 12 needs a cryptography provider for the whole
//! process, which is the choice of an application and not of a library. It also accepts repeated members.

mod algorithm;
mod claims;
mod fetch;
mod future;
mod jwks;
mod key_cache;
mod key_source;
mod key_status;
mod layer;
mod pending_token;
mod rejection;
mod service;
mod settings;
mod strict_json;
mod token;
mod verified_token;
mod verifier;

pub(crate) use self::key_source::{public_part, secure_url};
pub use self::{
    algorithm::Algorithm,
    future::ResponseFuture,
    key_status::KeyStatus,
    layer::JwtLayer,
    rejection::{Rejection, RejectionKind},
    service::VerifyJwt,
    settings::JwtSettings,
    verified_token::VerifiedToken,
    verifier::JwtVerifier,
};
