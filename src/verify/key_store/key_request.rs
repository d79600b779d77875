use std::{borrow::Cow, fmt, sync::OnceLock};

use percent_encoding::percent_decode_str;

/// Maximum length of a session token, in bytes. Tokens of STS have a few hundred, and AWS names no limit.
pub(in crate::verify) const MAX_SESSION_TOKEN: usize = 8 * 1024;

/// Description of a request whose key is looked up.
///
/// Nothing is proven yet: anyone can send any ID and any token. The token has at most 8 KiB.
///
/// A [`Verifier`](crate::verify::Verifier) creates it; [`KeyRequest::new`] is for tests of a [`KeyStore`](super::KeyStore).
///
/// ```
/// use tower_sigv4::verify::KeyRequest;
///
/// let request = KeyRequest::new("ASIAEXAMPLE", "s3", "eu-west-1").with_session_token("token");
/// assert_eq!(request.session_token(), Some("token"));
/// assert!(!format!("{request:?}").contains("\"token\""));
/// ```
#[derive(Clone)]
#[must_use]
pub struct KeyRequest<'a> {
    access_key_id: Cow<'a, str>,
    service: Cow<'a, str>,
    region: Cow<'a, str>,
    is_presigned: bool,
    token: Token<'a>,
    /// The token of a query, decoded when it is read for the first time.
    decoded_token: OnceLock<String>,
}

#[derive(Clone)]
enum Token<'a> {
    Text(Cow<'a, str>),
    Received(RequestToken<'a>),
}

/// Session token of a request, as received.
#[derive(Clone, Copy)]
pub(in crate::verify) enum RequestToken<'a> {
    None,
    Header(&'a [u8]),
    /// Percent-encoded.
    Query(&'a str),
}

impl RequestToken<'_> {
    /// Returns `true` if the token has more bytes than `limit`.
    pub(in crate::verify) fn exceeds(self, limit: usize) -> bool {
        match self {
            RequestToken::None => false,
            RequestToken::Header(bytes) => bytes.len() > limit,
            RequestToken::Query(encoded) => {
                encoded.len() > limit && percent_decode_str(encoded).nth(limit).is_some()
            }
        }
    }
}

impl<'a> KeyRequest<'a> {
    /// Creates the description of a request without a session token, signed in a header.
    pub fn new(
        access_key_id: impl Into<Cow<'a, str>>,
        service: impl Into<Cow<'a, str>>,
        region: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            service: service.into(),
            region: region.into(),
            is_presigned: false,
            token: Token::Received(RequestToken::None),
            decoded_token: OnceLock::new(),
        }
    }

    /// Sets the session token.
    pub fn with_session_token(mut self, token: impl Into<Cow<'a, str>>) -> Self {
        self.token = Token::Text(token.into());
        self
    }

    /// Sets whether the signature is in the query.
    pub fn with_presigned(mut self, is_presigned: bool) -> Self {
        self.is_presigned = is_presigned;
        self
    }

    pub(in crate::verify) fn with_received_token(mut self, token: RequestToken<'a>) -> Self {
        self.token = Token::Received(token);
        self
    }

    /// Returns the access key ID.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Returns the session token, if the request has one. It may be empty.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        // Invalid UTF-8 becomes U+FFFD. It cannot match the token of a key, since the bytes received are compared.
        let decode = |bytes: Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
        match &self.token {
            Token::Text(text) => Some(text),
            Token::Received(RequestToken::None) => None,
            Token::Received(RequestToken::Header(bytes)) => Some(match str::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) => self.decoded_token.get_or_init(|| decode((*bytes).into())),
            }),
            Token::Received(RequestToken::Query(encoded)) => {
                let decoded = || decode(percent_decode_str(encoded).into());
                Some(self.decoded_token.get_or_init(decoded))
            }
        }
    }

    /// Returns the signing name of the service in the credential scope. It is one of the accepted services.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns the region of the credential scope, or the region set of a SigV4a signature: `us-east-1,eu-*`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns `true` if the signature is in the query.
    #[must_use]
    pub fn is_presigned(&self) -> bool {
        self.is_presigned
    }

    /// Copies what is borrowed, for a lookup that outlives the call.
    pub fn into_owned(self) -> KeyRequest<'static> {
        let token = self.session_token().map(str::to_owned);
        KeyRequest {
            access_key_id: Cow::Owned(self.access_key_id.into_owned()),
            service: Cow::Owned(self.service.into_owned()),
            region: Cow::Owned(self.region.into_owned()),
            is_presigned: self.is_presigned,
            token: token.map_or(Token::Received(RequestToken::None), |text| {
                Token::Text(Cow::Owned(text))
            }),
            decoded_token: OnceLock::new(),
        }
    }
}

impl fmt::Debug for KeyRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRequest")
            .field("access_key_id", &self.access_key_id)
            .field("session_token", &self.session_token().map(|_| "[redacted]"))
            .field("service", &self.service)
            .field("region", &self.region)
            .field("is_presigned", &self.is_presigned)
            .finish()
    }
}
