use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::base64;
use http::{Method, Request, header::HeaderName, request};

use super::Token;
use crate::{
    SigningSettings,
    error::{Error, ErrorKind},
    sigv4::{
        AllowList, Identity, PayloadHash, PresignExpiry, Signer, SigningParams, encode,
        scope::Timestamp,
    },
};

/// Lifetime of most tokens. Services reject a longer one.
pub(super) const MINUTES_15: Duration = Duration::from_secs(15 * 60);

const SCHEME: &str = "https://";

/// Region, credentials and time of a token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokenParams<'a> {
    /// The region of the database, cache or cluster, such as `us-east-1`.
    pub region: &'a str,
    /// The credentials that sign.
    pub identity: &'a Identity,
    /// The time of signing, truncated to seconds.
    pub time: SystemTime,
}

impl<'a> TokenParams<'a> {
    /// Creates parameters. `time` is the current time: a service rejects a token from the future.
    #[must_use]
    pub fn new(region: &'a str, identity: &'a Identity, time: SystemTime) -> Self {
        Self {
            region,
            identity,
            time,
        }
    }

    /// Returns the presigned URL of a request with an empty body, without its scheme.
    pub(super) fn presign(
        &self,
        service: &str,
        request: request::Builder,
        signed_header: Option<HeaderName>,
        lifetime: Duration,
    ) -> Result<String, Error> {
        self.check_credentials()?;
        let mut headers = AllowList::default();
        if let Some(name) = signed_header {
            headers = headers.add_header(name);
        }
        let settings = SigningSettings::new(service, self.region)?.with_signed_headers(headers);
        let invalid = |error| Error::config("the token's request is invalid").with_source(error);
        let (mut head, ()) = request.body(()).map_err(invalid)?.into_parts();
        // `Token::expires_at` reports credentials that expire before the URL.
        let params = SigningParams::new(&settings, self.identity, PayloadHash::EMPTY, self.time)
            .with_presign_expiry(PresignExpiry::Ignore);
        Signer::new().presign(&mut head, &params, lifetime)?;
        let mut url = head.uri.to_string();
        url.drain(..SCHEME.len());
        Ok(url)
    }

    /// Returns the token with the earlier of its own expiry and that of its credentials.
    pub(super) fn token(&self, text: String, lifetime: Duration) -> Result<Token, Error> {
        // The date of the URL is in whole seconds.
        let signed_at = UNIX_EPOCH + Duration::from_secs(Timestamp::seconds_of(self.time)?);
        let end = signed_at + lifetime;
        let expiry = self.identity.credentials().expiry();
        Ok(Token::new(text, expiry.map_or(end, |time| time.min(end))))
    }

    fn check_credentials(&self) -> Result<(), Error> {
        let expiry = self.identity.credentials().expiry();
        if expiry.is_some_and(|time| time <= self.time) {
            return Err(Error::new(
                ErrorKind::Credentials,
                "the credentials of the token have expired; load new ones",
            ));
        }
        Ok(())
    }
}

/// Starts a request for a host and a query, whose values are encoded here.
pub(super) fn request(method: Method, authority: &str, query: &[(&str, &str)]) -> request::Builder {
    let pairs: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", encode::encode_query(value.as_bytes())))
        .collect();
    let uri = [SCHEME, authority, "/?", &pairs.join("&")].concat();
    Request::builder().method(method).uri(uri)
}

/// Checks the name of a host, cache or cluster, which becomes the host of the signed request, and converts it to lower
/// case, as signatures contain hosts.
pub(super) fn host_name(kind: &str, name: &str) -> Result<String, Error> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if name.is_empty() || name.len() > 253 || !name.bytes().all(is_allowed) {
        return Err(Error::config(format!(
            "{kind} {name:?} is not a host name; give the name alone, without scheme, port and path"
        )));
    }
    Ok(name.to_ascii_lowercase())
}

/// Checks the name of a user.
pub(super) fn user_name(user: &str) -> Result<&str, Error> {
    if user.is_empty() {
        return Err(Error::config("the token's user is empty; name one"));
    }
    Ok(user)
}

/// Encodes text in base64 with the alphabet for URLs, without padding (RFC 4648, section 5).
pub(super) fn base64_url(text: &str) -> String {
    base64::encode(text)
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_")
}
