use std::fmt;

/// Declares the causes, each with its name and its remedies.
macro_rules! causes {
    ($($(#[$doc:meta])* $cause:ident: $name:literal, [$($remedy:literal,)*],)*) => {
        /// Cause of a rejected signature.
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
            $($(#[$doc])* $cause,)*
        }

        impl Cause {
            /// All causes.
            pub const ALL: &'static [Self] = &[$(Self::$cause),*];

            /// Returns the name, for example as a metric's label: `host-changed`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$cause => $name,)*
                }
            }

            /// Returns the remedies, the most likely one first.
            #[must_use]
            pub fn remedies(self) -> &'static [&'static str] {
                match self {
                    $(Self::$cause => &[$($remedy,)*],)*
                }
            }
        }
    };
}

causes! {
    /// The origin received another host than the signed one.
    HostChanged: "host-changed", [
        "sign for the host that the origin sees: use its own URL in Origin or with_signed_host, and let no proxy \
         rewrite the host",
    ],
    /// The origin received another method than the signed one.
    MethodChanged: "method-changed", [
        "do not change the method after signing, or sign after the change",
    ],
    /// The origin derived a path with other percent-encoding than the signed one.
    PathEncoding: "path-encoding", [
        "do not decode or encode the path after signing, and send a plus to S3 as %2B",
        "if the service encodes paths in another way, set SigningSettings::with_path_form",
    ],
    /// The signed path lacks the stage of the API, or names one that does not exist.
    StageMissing: "stage-missing", [
        "add the stage to the origin's URL, as in https://abc123.execute-api.us-east-1.amazonaws.com/prod, or remove \
         it behind a custom domain",
        "if the stage is right, check for a required API key, a web ACL, a private API that is called by another \
         name, and a disabled endpoint",
    ],
    /// The path was changed in another way.
    PathChanged: "path-changed", [
        "do not rewrite the path after signing: put prefixes into the origin's URL or the rule",
    ],
    /// The query parameters were reordered.
    QueryOrder: "query-order", [
        "do not sort the query after signing, or send it sorted with WireForm::Canonical",
    ],
    /// The query has other percent-encoding than the signed one.
    QueryEncoding: "query-encoding", [
        "do not decode or encode the query after signing, or send its canonical form with WireForm::Canonical",
    ],
    /// A query parameter was added, removed or changed.
    QueryChanged: "query-changed", [
        "do not add or remove query parameters after signing, or sign after the change",
    ],
    /// A signed header did not reach the origin.
    HeaderDropped: "header-dropped", [
        "make every proxy pass the header on, or leave it unsigned with SigningSettings::with_signed_headers",
    ],
    /// A signed header reached the origin with another value.
    HeaderChanged: "header-changed", [
        "do not change the header after signing, or leave it unsigned with SigningSettings::with_signed_headers",
    ],
    /// A signed header has a value that is not ASCII.
    HeaderNotAscii: "header-not-ascii", [
        "encode the value as ASCII before signing: by RFC 2047, as S3 returns it, or percent-encoded",
    ],
    /// A header that has to be signed was added after signing.
    HeaderNotSigned: "header-not-signed", [
        "do not add the header after signing, or sign it: S3 accepts no unsigned x-amz-* header, and some other \
         servers no unsigned content-type",
        "curl -d adds content-type and does not sign it, so name it with -H 'content-type: ...', which curl signs",
        "if the server is a VerifyLayer, VerifySettings::with_required_headers([]) accepts an unsigned content-type",
    ],
    /// The origin received another body than the signed one.
    BodyChanged: "body-changed", [
        "do not change the body after signing (compression, charset, JSON serialized again), or sign after the change",
    ],
    /// CloudFront signed the request without the hash of its body.
    BodyHashMissing: "body-hash-missing", [
        "let the client send the SHA-256 of the body in x-amz-content-sha256: origin access control of CloudFront \
         does not compute it",
    ],
    /// The origin does not accept this kind of payload, such as `UNSIGNED-PAYLOAD`.
    PayloadKind: "payload-kind", [
        "sign and send the payload's hash with PayloadMode::Buffer and with_payload_header(true)",
        "VPC Lattice alone requires PayloadMode::Unsigned",
    ],
    /// The signature or its list of signed headers was changed, or the request has two signatures.
    AuthorizationChanged: "authorization-changed", [
        "do not change authorization or sign again after the layer: sign once, and last",
    ],
    /// The request has a signature of version 2.
    SignatureVersion: "signature-version", [
        "switch the client to version 4: signature_version=\"s3v4\" in the Config of boto3, aws configure set \
         default.s3.signature_version s3v4, signatureVersion: \"v4\" in version 2 of the SDK for JavaScript, \
         --aws-sigv4 in curl",
    ],
    /// The request arrived without a signature.
    NotSigned: "not-signed", [
        "make every proxy pass authorization on, or presign",
        "if no component signs, add SigningLayer with SigningBehavior::Always",
    ],
    /// The API has no such route or method; API Gateway responds as if the signature were missing.
    RouteMissing: "route-missing", [
        "compare method and path, including the stage, with the deployed routes",
        "behind a custom domain the path starts with its mapping and has no stage",
    ],
    /// The signing time is too far from the origin's clock.
    ClockSkew: "clock-skew", [
        "synchronize this machine's clock (NTP)",
        "if it is right, the request waited after signing: put retries and queues outside the signer",
    ],
    /// The presigned URL has expired or is not yet valid.
    UrlExpired: "url-expired", [
        "presign for longer, up to 604,800 seconds, or for each use, and synchronize this machine's clock",
    ],
    /// The request was signed for another region or day.
    WrongRegion: "wrong-region", [
        "sign for the region of the endpoint, which Origin::infer reads from the host",
        "if the day is wrong, use the same time for the scope and x-amz-date",
    ],
    /// The request was signed for another service.
    WrongService: "wrong-service", [
        "sign for the signing name of the service, which Origin::infer reads from the host",
    ],
    /// A gateway does not sign for the service or region of the client's own signature.
    ScopeNotAllowed: "scope-not-allowed", [
        "let the client sign for the host that it calls and for a listed service and region, or add them with \
         AsSigned::with_services and AsSigned::with_regions",
    ],
    /// A gateway does not read the bucket in the host of the request.
    BucketHost: "bucket-host", [
        "set the client to path-style addressing, or add a rule for the hosts of buckets with OriginRule::with_host",
    ],
    /// Both sides derived the same string to sign, so the secret key does not belong to the access key ID.
    WrongSecret: "wrong-secret", [
        "use an access key ID and a secret access key of the same pair",
        "look for a truncated or doubled character and for an environment variable that overrides another source",
    ],
    /// The client signed another canonical request than AWS derives from the request as it was sent.
    ClientForm: "client-form", [
        "sign with a current version of the client or with an SDK of AWS",
        "until then, send what both derive alike: parameters sorted and as name=value, other characters than A-Z a-z \
         0-9 - . _ ~ percent-encoded, no double slash, one value for each header",
    ],
    /// The origin derived the request as it was sent. The secret is wrong, or the client signed another canonical
    /// request.
    SecretOrClient: "secret-or-client", [
        "check the signature with the secret access key, which stays on this machine: sigv4-gateway --explain FILE \
         --secret-env AWS_SECRET_ACCESS_KEY, or SignedRequest::with_secret_access_key",
    ],
    /// The origin does not know the access key ID.
    UnknownKey: "unknown-key", [
        "check the account and partition of the access key and that it is active",
        "a temporary key needs its session token",
    ],
    /// The credentials are temporary, and their session token is missing.
    TokenMissing: "token-missing", [
        "set AWS_SESSION_TOKEN too: access key IDs starting with ASIA are temporary",
    ],
    /// The session token does not belong to the access key.
    WrongToken: "wrong-token", [
        "use the key and the complete session token of the same response of the provider",
    ],
    /// The credentials have expired.
    TokenExpired: "token-expired", [
        "give SigningLayer a provider that refreshes credentials, or load new ones with CredentialsCache::invalidate",
    ],
    /// A policy does not allow the request.
    NotAllowed: "not-allowed", [
        "allow the action in the policies of the caller and of the resource",
        "if they allow it, check that authorization reaches the origin",
    ],
    /// The signature does not match, and the origin does not show what it derived.
    Mismatch: "mismatch", [
        "look for a proxy that changes host, path, query, signed headers or body, then check the secret",
        "to see the difference, send the same request to a VerifyLayer of your own with \
         VerifySettings::with_explain(true)",
        "if the request has x-forwarded-host, remove it with Origin::with_forwarded, since some servers derive the host \
         from it",
    ],
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
    fn all_causes_are_listed_in_order_with_unique_names() {
        let names: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        assert_eq!(names.len(), Cause::ALL.len());
        let order = Cause::ALL.iter().map(|cause| *cause as usize);
        assert!(
            order.eq(0..Cause::ALL.len()),
            "the order of the declaration, without gaps"
        );
    }
}
