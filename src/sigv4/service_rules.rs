//! What services do differently, in one table.

use std::time::Duration;

/// The rules of a service, as far as they are its own.
pub(crate) struct ServiceRules {
    /// Signing names; none stands for all others.
    names: &'static [&'static str],
    /// True for the services that speak the protocol of S3: a path is a key, bodies may come in chunks,
    /// `range` is signed.
    pub(crate) s3_family: bool,
    /// True for a service that refuses what comes without `x-amz-content-sha256`, but for presigned URLs.
    pub(crate) requires_payload_header: bool,
    /// True for a service that refuses a signature over `content-length`.
    pub(crate) rejects_signed_length: bool,
    pub(crate) path_form: PathForm,
    pub(crate) session_token: SessionToken,
    /// True for a service that takes no payload but `UNSIGNED-PAYLOAD`.
    pub(crate) requires_unsigned_payload: bool,
    /// How far the time of signing may lie from the server's.
    pub(crate) clock_window: Duration,
}

/// How a service derives the canonical path from the one it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathForm {
    /// The path is decoded and encoded once, but for its slashes; nothing is folded. The S3 family's
    /// form: to S3 a path is a key, in which `%2F` is a slash.
    Once,
    /// Dot segments and empty segments are folded, then each segment is decoded and encoded once.
    OnceFolded,
    /// The path is encoded as received, its escapes too; nothing is folded.
    Twice,
    /// Dot segments and empty segments are folded and the path is encoded as received, its escapes
    /// too. The form of all services but the S3 family.
    TwiceFolded,
}

impl PathForm {
    pub(crate) fn folds(self) -> bool {
        matches!(self, Self::OnceFolded | Self::TwiceFolded)
    }

    /// What a `%2F` becomes where a path is decoded and encoded anew.
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

/// The header that carries the session token, and whether the signature covers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionToken {
    /// The token is signed; what all services but a few want.
    #[default]
    Signed,
    /// The token is added after signing; what AWS IoT wants.
    Unsigned,
    /// The token is signed, and goes into `x-amz-s3session-token` in the place of `x-amz-security-token`, or into
    /// `X-Amz-S3session-Token` in a query: for credentials that `CreateSession` of S3 Express has returned.
    ///
    /// It is the default of the service `s3express`. Other temporary credentials, those of a role for example, need
    /// [`Signed`](SessionToken::Signed) there: for `CreateSession` itself, `CopyObject` and `HeadBucket`, and
    /// for the Regional endpoint (`s3express-control`), whose host [`infer`](crate::SigningSettings::infer)
    /// recognizes. The Amazon S3 User Guide, "Authorizing Zonal endpoint API operations with CreateSession".
    S3Session,
}

impl SessionToken {
    /// The parameter of a presigned URL that carries the token.
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
    /// True if a verifier can treat requests to both services alike. It accepts a token in either header.
    pub(crate) fn verifies_like(&self, other: &Self) -> bool {
        self.s3_family == other.s3_family
            && self.requires_payload_header == other.requires_payload_header
            && self.rejects_signed_length == other.rejects_signed_length
            && self.path_form == other.path_form
            && self.session_token.is_signed() == other.session_token.is_signed()
            && self.requires_unsigned_payload == other.requires_unsigned_payload
            && self.clock_window == other.clock_window
    }
}

/// The rules for a signing name.
pub(crate) fn service_rules(service: &str) -> &'static ServiceRules {
    let [named @ .., others] = &SERVICES;
    named
        .iter()
        .find(|rules| rules.names.contains(&service))
        .unwrap_or(others)
}

/// Returns true for a service that passes on the responses of a customer's application.
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
            other => panic!("no words for {other:?}"),
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
            other => panic!("no words for {other:?}"),
        };
        let token = match rules.session_token {
            SessionToken::Signed => "signed",
            SessionToken::Unsigned => "added after signing",
            SessionToken::S3Session => "signed, as `x-amz-s3session-token`",
        };
        let payload = match (rules.requires_unsigned_payload, rules.s3_family) {
            (true, _) => "none but `UNSIGNED-PAYLOAD`",
            (_, true) => "hash, chunks or `UNSIGNED-PAYLOAD`",
            (_, false) => "hash",
        };
        let minutes = rules.clock_window.as_secs() / 60;
        format!(
            "/// | {names} | {encoded} | {folded} | {headers} | {token} | {payload} | {minutes} minutes |\n"
        )
    }

    #[test]
    fn the_documents_print_the_table() {
        let documents = include_str!("settings.rs");
        for rules in &SERVICES {
            assert!(documents.contains(&row(rules)), "{}", row(rules));
        }
        let rows = documents
            .lines()
            .filter(|line| line.ends_with(" minutes |"))
            .count();
        assert_eq!(rows, SERVICES.len());
    }

    #[test]
    fn services_whose_requests_are_verified_alike_differ_in_the_header_of_the_token_alone() {
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
    fn each_name_has_its_rules_and_all_others_the_last_ones() {
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
