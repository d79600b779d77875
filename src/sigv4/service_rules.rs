//! A table of the rules in which services differ.

use std::time::Duration;

/// Rules in which a service differs from others.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct ServiceRules {
    /// Signing names; empty for the rules of all other services.
    names: &'static [&'static str],
    /// The service speaks the protocol of S3: a path is a key, bodies may be chunked, `range` is signed.
    pub(crate) s3_family: bool,
    /// The service requires `x-amz-content-sha256`, except in presigned requests.
    pub(crate) requires_payload_header: bool,
    /// The service rejects a signature that covers `content-length`.
    pub(crate) rejects_signed_length: bool,
    pub(crate) path_form: PathForm,
    pub(crate) session_token: SessionToken,
    /// The service accepts only `UNSIGNED-PAYLOAD`.
    pub(crate) requires_unsigned_payload: bool,
    /// Maximum difference between the time of signing and the server's.
    pub(crate) clock_window: Duration,
}

/// Derivation of the canonical path from the path that a service receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathForm {
    /// The path is decoded and encoded once, except its slashes, and not folded. Used by the S3 family, where a
    /// path is a key, `%2F` in it is a slash, and `+` is a space.
    Once,
    /// Dot segments and empty segments are removed, then each segment is decoded and encoded once.
    OnceFolded,
    /// The path is encoded as received, including its escapes, and not folded.
    Twice,
    /// Dot segments and empty segments are removed, then the path is encoded as received, including its escapes.
    /// Used by all services except the S3 family.
    TwiceFolded,
}

impl PathForm {
    pub(crate) fn folds(self) -> bool {
        matches!(self, Self::OnceFolded | Self::TwiceFolded)
    }

    /// Returns the canonical form of `%2F` in a path that is decoded and encoded.
    pub(crate) fn escaped_slash(self) -> &'static str {
        match self {
            Self::Once => "/",
            Self::OnceFolded | Self::Twice | Self::TwiceFolded => "%2F",
        }
    }

    pub(crate) fn encodes_twice(self) -> bool {
        matches!(self, Self::Twice | Self::TwiceFolded)
    }
}

/// Header of the session token, and whether the signature covers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionToken {
    /// The token is signed. Used by most services.
    #[default]
    Signed,
    /// The token is added after signing. Used by AWS IoT.
    Unsigned,
    /// The token is signed, in `x-amz-s3session-token` rather than `x-amz-security-token`, or in
    /// `X-Amz-S3session-Token` of a query: for credentials that `CreateSession` of S3 Express returned.
    ///
    /// It is the default of the service `s3express`. Other temporary credentials, such as those of a role, need
    /// [`Signed`](SessionToken::Signed) there: for `CreateSession` itself, `CopyObject` and `HeadBucket`, and
    /// for the Regional endpoint (`s3express-control`), whose host [`infer`](crate::SigningSettings::infer)
    /// recognizes. See the Amazon S3 User Guide, "Authorizing Zonal endpoint API operations with CreateSession".
    S3Session,
}

impl SessionToken {
    /// Returns the parameter of a presigned URL that holds the token.
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Self::Signed | Self::Unsigned => "X-Amz-Security-Token",
            Self::S3Session => "X-Amz-S3session-Token",
        }
    }

    pub(crate) fn is_signed(self) -> bool {
        self != Self::Unsigned
    }
}

const OTHERS: ServiceRules = ServiceRules {
    names: &[],
    s3_family: false,
    requires_payload_header: false,
    rejects_signed_length: false,
    path_form: PathForm::TwiceFolded,
    session_token: SessionToken::Signed,
    requires_unsigned_payload: false,
    clock_window: Duration::from_secs(5 * 60),
};

// Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)".
const S3: ServiceRules = ServiceRules {
    names: &["s3", "s3-outposts", "s3-object-lambda"],
    s3_family: true,
    requires_payload_header: true,
    path_form: PathForm::Once,
    clock_window: Duration::from_secs(15 * 60),
    ..OTHERS
};

static SERVICES: [ServiceRules; 6] = [
    S3,
    // Amazon S3 User Guide, "Authorizing Zonal endpoint API operations with CreateSession".
    ServiceRules {
        names: &["s3express"],
        session_token: SessionToken::S3Session,
        ..S3
    },
    // AWS IoT Core Developer Guide, "MQTT over WebSocket": the token is added to the signed URL.
    ServiceRules {
        names: &["iotdevicegateway"],
        session_token: SessionToken::Unsigned,
        ..OTHERS
    },
    // Amazon VPC Lattice User Guide, "SigV4 authenticated requests": payload signing is not supported.
    ServiceRules {
        names: &["vpc-lattice-svcs"],
        requires_payload_header: true,
        requires_unsigned_payload: true,
        ..OTHERS
    },
    // Amazon OpenSearch Service Developer Guide, on Serverless: "Signing HTTP requests with other clients".
    ServiceRules {
        names: &["aoss"],
        requires_payload_header: true,
        rejects_signed_length: true,
        ..OTHERS
    },
    OTHERS,
];

impl ServiceRules {
    /// Returns `true` if a verifier treats requests to both services alike. It accepts a token in either header.
    pub(crate) fn verifies_like(&self, other: &Self) -> bool {
        let token = self.session_token;
        let comparable = Self {
            names: self.names,
            session_token: token,
            ..*other
        };
        *self == comparable && token.is_signed() == other.session_token.is_signed()
    }
}

/// Returns the rules for a signing name.
pub(crate) fn service_rules(service: &str) -> &'static ServiceRules {
    let [named @ .., others] = &SERVICES;
    named
        .iter()
        .find(|rules| rules.names.contains(&service))
        .unwrap_or(others)
}

/// Returns `true` for a service that forwards responses of a customer's application.
pub(crate) fn fronts_applications(service: &str) -> bool {
    matches!(
        service,
        "appsync" | "execute-api" | "lambda" | "vpc-lattice-svcs"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rules: &ServiceRules) -> String {
        let names: Vec<_> = rules.names.iter().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() {
            "all others".to_owned()
        } else {
            names.join(", ")
        };
        let (encoded, folded) = match rules.path_form {
            PathForm::Once => ("once", "kept"),
            PathForm::TwiceFolded => ("twice", "folded"),
            other => panic!("no description of {other:?}"),
        };
        let headers = match (
            rules.requires_payload_header,
            rules.s3_family,
            rules.rejects_signed_length,
        ) {
            (true, true, false) => "`x-amz-content-sha256` required, `range` signed",
            (true, false, true) => "`x-amz-content-sha256` required, `content-length` not signed",
            (true, false, false) => "`x-amz-content-sha256` required",
            (false, false, false) => "no rules",
            other => panic!("no description of {other:?}"),
        };
        let token = match rules.session_token {
            SessionToken::Signed => "signed",
            SessionToken::Unsigned => "added after signing",
            SessionToken::S3Session => "signed, as `x-amz-s3session-token`",
        };
        let payload = match (rules.requires_unsigned_payload, rules.s3_family) {
            (true, _) => "only `UNSIGNED-PAYLOAD`",
            (_, true) => "hash, chunks or `UNSIGNED-PAYLOAD`",
            (_, false) => "hash",
        };
        let minutes = rules.clock_window.as_secs() / 60;
        format!(
            "/// | {names} | {encoded} | {folded} | {headers} | {token} | {payload} | {minutes} minutes |\n"
        )
    }

    #[test]
    fn documentation_contains_the_table() {
        let documentation = include_str!("settings.rs");
        for rules in &SERVICES {
            assert!(documentation.contains(&row(rules)), "{}", row(rules));
        }
        let rows = documentation
            .lines()
            .filter(|line| line.ends_with(" minutes |"))
            .count();
        assert_eq!(rows, SERVICES.len());
    }

    #[test]
    fn only_services_of_the_s3_family_verify_alike() {
        assert!(service_rules("s3").verifies_like(service_rules("s3express")));
        for (at, one) in SERVICES.iter().enumerate() {
            for (other_at, other) in SERVICES.iter().enumerate() {
                let alike = at == other_at || (one.s3_family && other.s3_family);
                assert_eq!(
                    one.verifies_like(other),
                    alike,
                    "{:?} {:?}",
                    one.names,
                    other.names
                );
            }
        }
    }

    #[test]
    fn unknown_services_have_the_default_rules() {
        for rules in &SERVICES {
            for name in rules.names {
                assert!(std::ptr::eq(service_rules(name), rules), "{name}");
            }
        }
        for name in [
            "execute-api",
            "es",
            "s3tables",
            "S3",
            "",
            "iot",
            "vpc-lattice",
        ] {
            assert!(service_rules(name).names.is_empty(), "{name}");
        }
    }
}
