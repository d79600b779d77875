use std::fmt;

/// Why an origin refused a request.
///
/// `Display` writes the [name](Cause::name).
///
/// ```
/// use tower_sigv4::doctor::Cause;
///
/// assert_eq!(Cause::HostChanged.to_string(), "host-changed");
/// assert!(Cause::ALL.contains(&Cause::ClockSkew));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The origin received another host than was signed.
    HostChanged,
    /// The origin received another method than was signed.
    MethodChanged,
    /// The path was encoded once more or once less by the time the origin derived it.
    PathEncoding,
    /// The path that was signed lacks the stage in front of it, or names none that there is.
    StageMissing,
    /// The path was changed in another way.
    PathChanged,
    /// The parameters of the query stand in another order.
    QueryOrder,
    /// The parameters of the query are encoded in another way.
    QueryEncoding,
    /// The query has more parameters, or fewer, or other values.
    QueryChanged,
    /// A header that was signed did not arrive.
    HeaderDropped,
    /// A header that was signed arrived with another value.
    HeaderChanged,
    /// A header that has to be signed was added behind the signer.
    HeaderNotSigned,
    /// The origin received another body than was signed.
    BodyChanged,
    /// The origin takes no signature that says this of the payload.
    PayloadKind,
    /// The signature came in front of the signed headers in another form, or there are two.
    AuthorizationChanged,
    /// The request arrived without a signature.
    NotSigned,
    /// There is no such route or method; API Gateway answers that as if a signature were missing.
    RouteMissing,
    /// The clocks of signer and origin differ too much.
    ClockSkew,
    /// The presigned URL has expired, or is not yet valid.
    UrlExpired,
    /// The request was signed for another region or day.
    WrongRegion,
    /// The request was signed for another service.
    WrongService,
    /// Both sides derived the same texts, so that the secret is not that of the access key id.
    WrongSecret,
    /// The origin knows no such access key id.
    UnknownKey,
    /// The key is a temporary one, and its session token is missing.
    TokenMissing,
    /// The session token is not that of the key.
    WrongToken,
    /// The credentials have expired.
    TokenExpired,
    /// A policy does not allow the request, to a caller that is known or to one that is not.
    NotAllowed,
    /// The signature does not match, and the origin does not say what it derived.
    Mismatch,
}

impl Cause {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::HostChanged,
        Self::MethodChanged,
        Self::PathEncoding,
        Self::StageMissing,
        Self::PathChanged,
        Self::QueryOrder,
        Self::QueryEncoding,
        Self::QueryChanged,
        Self::HeaderDropped,
        Self::HeaderChanged,
        Self::HeaderNotSigned,
        Self::BodyChanged,
        Self::PayloadKind,
        Self::AuthorizationChanged,
        Self::NotSigned,
        Self::RouteMissing,
        Self::ClockSkew,
        Self::UrlExpired,
        Self::WrongRegion,
        Self::WrongService,
        Self::WrongSecret,
        Self::UnknownKey,
        Self::TokenMissing,
        Self::WrongToken,
        Self::TokenExpired,
        Self::NotAllowed,
        Self::Mismatch,
    ];

    /// The name, as a metric's label would have it: `host-changed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        self.words().1
    }

    /// The name and the remedy.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::HostChanged => (
                "host-changed",
                "sign for the host that the origin sees: give Origin its own URL, or set with_signed_host; \
                 let nothing behind the signer rewrite the host",
            ),
            Self::MethodChanged => (
                "method-changed",
                "let nothing behind the signer change the method, or sign behind it",
            ),
            Self::PathEncoding => (
                "path-encoding",
                "let nothing behind the signer decode or encode the path, and send S3 a plus as %2B; if it is \
                 neither, the service forms it in another way: set SigningSettings::with_path_form",
            ),
            Self::StageMissing => (
                "stage-missing",
                "put the stage into the origin's URL, as in https://abc123.execute-api.us-east-1.amazonaws.com/prod; \
                 behind a custom domain leave it out. If the stage is there, look for an API key that the method \
                 asks for, for a web ACL, for a private API that is called by another name, and for an endpoint \
                 that is disabled",
            ),
            Self::PathChanged => (
                "path-changed",
                "let nothing behind the signer rewrite the path: put prefixes into the origin's URL or the rule",
            ),
            Self::QueryOrder => (
                "query-order",
                "let nothing behind the signer sort the query, or send it sorted: WireForm::Canonical",
            ),
            Self::QueryEncoding => (
                "query-encoding",
                "let nothing behind the signer decode or encode the query, or send it in the form it arrives \
                 in: WireForm::Canonical",
            ),
            Self::QueryChanged => (
                "query-changed",
                "let nothing behind the signer add or drop parameters, or sign behind it",
            ),
            Self::HeaderDropped => (
                "header-dropped",
                "let every proxy behind the signer pass it on, or do not sign it: SigningSettings::with_signed_headers",
            ),
            Self::HeaderChanged => (
                "header-changed",
                "let nothing behind the signer change it, or do not sign it: SigningSettings::with_signed_headers",
            ),
            Self::HeaderNotSigned => (
                "header-not-signed",
                "let nothing behind the signer add it: the origin takes no x-amz-* header that is not signed",
            ),
            Self::BodyChanged => (
                "body-changed",
                "let nothing behind the signer change the body (compression, another charset, a rewritten \
                 document), or sign behind it",
            ),
            Self::PayloadKind => (
                "payload-kind",
                "have the payload hashed and its hash sent: PayloadMode::Buffer, with_payload_header(true); \
                 VPC Lattice alone wants PayloadMode::Unsigned",
            ),
            Self::AuthorizationChanged => (
                "authorization-changed",
                "let nothing behind the signer touch authorization or sign again: sign once, and last",
            ),
            Self::NotSigned => (
                "not-signed",
                "let every proxy behind the signer pass authorization on, or presign; if nothing signs, put \
                 SigningLayer before the client, with SigningBehavior::Always",
            ),
            Self::RouteMissing => (
                "route-missing",
                "compare method and path with the routes that are deployed, the stage in front of them included; \
                 behind a custom domain the path begins with its mapping and has no stage",
            ),
            Self::ClockSkew => (
                "clock-skew",
                "set this machine's clock (NTP); if it is right, the request was sent long after it was \
                 signed: put retries and queues outside the signer",
            ),
            Self::UrlExpired => (
                "url-expired",
                "presign for longer, up to 604,800 seconds, or anew for each use, and set this machine's clock",
            ),
            Self::WrongRegion => (
                "wrong-region",
                "sign for the region of the endpoint, which Origin::infer takes from its host; if it is the day, \
                 date the scope and x-amz-date by one and the same time",
            ),
            Self::WrongService => (
                "wrong-service",
                "sign for the name of the service, which Origin::infer takes from its host",
            ),
            Self::WrongSecret => (
                "wrong-secret",
                "take access key id and secret access key from one and the same place; look for a cut-off or \
                 doubled character and for a variable that another one overrides",
            ),
            Self::UnknownKey => (
                "unknown-key",
                "look which account and partition the access key is of, and whether it is active; a temporary \
                 one needs its session token",
            ),
            Self::TokenMissing => (
                "token-missing",
                "give the credentials their session token: with the access key ids that begin with ASIA comes one",
            ),
            Self::WrongToken => (
                "wrong-token",
                "take key and session token from one and the same answer of the provider, whole",
            ),
            Self::TokenExpired => (
                "token-expired",
                "give SigningLayer a provider that refreshes, not credentials that were fetched once; \
                 CredentialsCache::invalidate fetches new ones",
            ),
            Self::NotAllowed => (
                "not-allowed",
                "allow the action in the policies of the caller and of the resource; if they do, see whether \
                 authorization reaches the origin",
            ),
            Self::Mismatch => (
                "mismatch",
                "look for a proxy behind the signer that changes host, path, query, signed headers or body, then \
                 at the secret; to see where it differs, send the same request to a VerifyLayer of your own, with \
                 VerifySettings::with_explain(true)",
            ),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cause_is_listed_once_under_a_name_of_its_own() {
        let names: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        assert_eq!(names.len(), Cause::ALL.len());
        let order = Cause::ALL.iter().map(|cause| *cause as usize);
        assert!(
            order.eq(0..Cause::ALL.len()),
            "the order of the declaration, none left out"
        );
    }
}
