use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

#[cfg(feature = "sigv4a")]
use super::region_set;
use super::{
    KeyRequest, Rejection, RejectionKind as Kind, VerifyServices, VerifySettings,
    declared_payload::{DeclaredPayload, SigningHeaders, declared_payload},
    key_store::{MAX_SESSION_TOKEN, RequestToken},
    rejection::truncated,
    request_checks, signed_headers, signing_time,
};
use crate::sigv4::{
    PathForm, SessionToken,
    authorization::{Authorization, ParseError, SignatureValue},
    encode,
    scope::{Scope, Timestamp},
};

/// A request whose authorization is well-formed and meets the settings.
///
/// Returned by [`Verifier::parse`](super::Verifier::parse). Nothing is proven yet: anyone can send any access
/// key ID.
pub struct ParsedRequest<'a> {
    pub(super) head: &'a Parts,
    pub(super) authorization: Authorization<'a>,
    /// Region of the scope, or the region set.
    pub(super) region: Cow<'a, str>,
    pub(super) time: Timestamp,
    pub(super) payload: DeclaredPayload,
    pub(super) now: SystemTime,
    pub(super) rules: Rules,
    session_token: RequestToken<'a>,
}

/// Rules of the service that a request is signed for.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Position in [`VerifyServices`].
    pub(super) position: usize,
    pub(super) path_form: PathForm,
    pub(super) session_token: SessionToken,
    pub(super) explain: bool,
}

impl<'a> ParsedRequest<'a> {
    pub(super) fn parse(
        head: &'a Parts,
        services: &VerifyServices,
        now: SystemTime,
    ) -> Result<Self, Rejection> {
        let accepts_4a = services.iter().any(|settings| settings.sigv4a);
        let authorization = Authorization::parse(head, accepts_4a).map_err(Rejection::from)?;
        let headers = SigningHeaders::parse(&head.headers)?;
        let (position, settings) =
            find_settings(authorization.service, authorization.terminator, services)?;
        if authorization.hmac().is_none() && !settings.sigv4a {
            return Err(ParseError::UnsupportedAlgorithm.into());
        }
        let region = match authorization.signature {
            SignatureValue::Hmac(_) => {
                check_region(authorization.region, &settings.regions)?;
                Cow::Borrowed(authorization.region)
            }
            #[cfg(feature = "sigv4a")]
            SignatureValue::Ecdsa(_) => {
                Cow::Owned(region_set::parse(head, &authorization, settings)?)
            }
        };
        let time = signing_time::parse(head, headers.date, &authorization)?;
        signing_time::check_window(&authorization, &time, settings.clock_window, now)?;
        request_checks::check_target(head, settings.path_form)?;
        request_checks::check_host(&head.uri, headers.host)?;
        let presigned = authorization.presigned.is_some();
        signed_headers::check(head, &authorization.signed_headers, settings, presigned)?;
        let payload = declared_payload(head, &headers, &authorization, settings)?;
        let session_token = session_token(&headers, &authorization)?;
        Ok(Self {
            head,
            authorization,
            region,
            time,
            payload,
            now,
            rules: Rules {
                position,
                path_form: settings.path_form,
                session_token: settings.session_token,
                explain: settings.explain,
            },
            session_token,
        })
    }

    /// Returns the access key ID of the request.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.authorization.access_key_id
    }

    /// Returns what a [`KeyStore`](super::KeyStore) sees of the request.
    pub fn key_request(&self) -> KeyRequest<'_> {
        KeyRequest::new(
            self.access_key_id(),
            self.authorization.service,
            &*self.region,
        )
        .with_presigned(self.authorization.presigned.is_some())
        .with_received_token(self.session_token)
    }

    /// Returns the expiry of a presigned URL, or `None` if the signature is in a header.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        let presigned = self.authorization.presigned.as_ref()?;
        let lifetime = Duration::from_secs(presigned.expires);
        Some(self.time.system_time() + lifetime)
    }

    /// Returns the scope that the signing key is derived for.
    pub(super) fn scope(&self) -> Scope<'_> {
        Scope {
            time: &self.time,
            region: self.authorization.region,
            service: self.authorization.service,
        }
    }

    /// Checks everything about a key that needs no signature.
    pub(super) fn check_key(&self, key: &Credentials) -> Result<(), Rejection> {
        check_key(key, self.access_key_id(), self.now, self.has_token_of(key))
    }

    /// Returns `true` if the session tokens of request and key are equal, or both have none.
    fn has_token_of(&self, key: &Credentials) -> bool {
        let expected = key.session_token().unwrap_or_default().as_bytes();
        match &self.session_token {
            RequestToken::None => expected.is_empty(),
            RequestToken::Header(token) => !expected.is_empty() && encode::ct_eq(token, expected),
            RequestToken::Query(token) => {
                // In blocks, so that the decoded token needs no allocation.
                let mut decoded = percent_decode_str(token);
                let mut equal = !expected.is_empty();
                for block in expected.chunks(64) {
                    let given: SmallVec<[u8; 64]> = decoded.by_ref().take(block.len()).collect();
                    equal &= encode::ct_eq(&given, block);
                }
                equal && decoded.next().is_none()
            }
        }
    }
}

/// Checks a key that was looked up for a request.
pub(super) fn check_key(
    key: &Credentials,
    access_key_id: &str,
    now: SystemTime,
    has_token: bool,
) -> Result<(), Rejection> {
    let reject = |kind: Kind, message: &'static str| Err(kind.rejection(message));
    if key.access_key_id() != access_key_id || key.secret_access_key().is_empty() {
        return reject(
            Kind::LookupFailed,
            "the key lookup returned a key with another id, or without a secret",
        );
    }
    if key.expiry().is_some_and(|expiry| expiry <= now) {
        return reject(Kind::ExpiredKey, "the key has expired");
    }
    if !has_token {
        return reject(
            Kind::SessionToken,
            "the session token is not that of the key",
        );
    }
    Ok(())
}

/// Returns the settings for the service of a scope, and their position.
pub(super) fn find_settings<'s>(
    service: &str,
    terminator: &str,
    services: &'s VerifyServices,
) -> Result<(usize, &'s VerifySettings), Rejection> {
    if terminator != "aws4_request" {
        return Err(Kind::Scope.rejection("the credential's scope does not end in aws4_request"));
    }
    services.find(service).ok_or_else(|| {
        let names: Vec<_> = services.names().collect();
        Kind::Scope.rejection(format!(
            "the credential is scoped to service {:?}, not to {}; accept it with `VerifyServices::new`",
            truncated(service),
            names.join(" or "),
        ))
    })
}

pub(super) fn check_region(region: &str, accepted: &[String]) -> Result<(), Rejection> {
    if accepted.iter().any(|name| name == region) {
        return Ok(());
    }
    let rejection = Kind::Scope.rejection(format!(
        "the credential is scoped to region {:?}, not to {}; accept it with `VerifySettings::add_region`",
        truncated(region),
        accepted.join(" or "),
    ));
    Err(match accepted.first() {
        Some(expected) => rejection.with_wrong_region(region, expected),
        None => rejection,
    })
}

/// Finds the session token, which has another name for S3 Express.
fn session_token<'a>(
    headers: &SigningHeaders<'a>,
    authorization: &Authorization<'a>,
) -> Result<RequestToken<'a>, Rejection> {
    let duplicate = || Rejection::duplicate("x-amz-security-token");
    let header = match (headers.security_token, headers.s3session_token) {
        (token, _) if authorization.service != "s3express" => token,
        (Some(_), Some(_)) => return Err(duplicate()),
        (token, session) => token.or(session),
    };
    let token = match (header, &authorization.presigned) {
        (None, None) => RequestToken::None,
        (Some(value), None) => RequestToken::Header(value.as_bytes()),
        (None, Some(presigned)) => presigned
            .session_token
            .map_or(RequestToken::None, RequestToken::Query),
        (Some(_), Some(_)) => return Err(duplicate()),
    };
    if token.exceeds(MAX_SESSION_TOKEN) {
        return Err(Kind::SessionToken.rejection("the session token has more than 8192 bytes"));
    }
    Ok(token)
}

impl fmt::Debug for ParsedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParsedRequest")
            .field("access_key_id", &self.access_key_id())
            .field("region", &self.region)
            .field("service", &self.authorization.service)
            .field("signed_headers", &&*self.authorization.signed_headers)
            .finish_non_exhaustive()
    }
}
