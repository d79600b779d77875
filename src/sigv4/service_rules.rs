//! What services do differently, in one table.

use std::time::Duration;

use super::{PathForm, SessionToken};

/// The rules of a service, as far as they are its own.
pub(crate) struct Preset {
    /// Signing names; none stands for all others.
    names: &'static [&'static str],
    /// True for the services that speak the protocol of S3: a path is a key, bodies may come in chunks,
    /// `range` is signed.
    pub(crate) s3_family: bool,
    /// True for a service that refuses what comes without `x-amz-content-sha256`, but for presigned URLs.
    pub(crate) payload_header: bool,
    /// True for a service that refuses a signature over `content-length`.
    pub(crate) unsigned_length: bool,
    pub(crate) path_form: PathForm,
    pub(crate) session_token: SessionToken,
    /// True for a service that takes no payload but `UNSIGNED-PAYLOAD`.
    pub(crate) unsigned_payload: bool,
    /// How far the time of signing may lie from the server's.
    pub(crate) clock_window: Duration,
}

const OTHERS: Preset = Preset {
    names: &[],
    s3_family: false,
    payload_header: false,
    unsigned_length: false,
    path_form: PathForm::TwiceFolded,
    session_token: SessionToken::Signed,
    unsigned_payload: false,
    clock_window: Duration::from_secs(5 * 60),
};

// Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)".
const S3: Preset = Preset {
    names: &["s3", "s3-outposts", "s3-object-lambda"],
    s3_family: true,
    payload_header: true,
    path_form: PathForm::Once,
    clock_window: Duration::from_secs(15 * 60),
    ..OTHERS
};

static PRESETS: [Preset; 6] = [
    S3,
    // Amazon S3 User Guide, "Authorizing Zonal endpoint API operations with CreateSession".
    Preset {
        names: &["s3express"],
        session_token: SessionToken::S3Session,
        ..S3
    },
    // AWS IoT Core Developer Guide, "MQTT over WebSocket": the token is added to the signed URL.
    Preset {
        names: &["iotdevicegateway"],
        session_token: SessionToken::Unsigned,
        ..OTHERS
    },
    // Amazon VPC Lattice User Guide, "SigV4 authenticated requests": payload signing is not supported.
    Preset {
        names: &["vpc-lattice-svcs"],
        payload_header: true,
        unsigned_payload: true,
        ..OTHERS
    },
    // Amazon OpenSearch Service Developer Guide, on Serverless: "Signing HTTP requests with other clients".
    Preset {
        names: &["aoss"],
        payload_header: true,
        unsigned_length: true,
        ..OTHERS
    },
    OTHERS,
];

impl Preset {
    /// True if a verifier can treat requests to both services alike. It accepts a token in either header.
    pub(crate) fn is_verified_as(&self, other: &Self) -> bool {
        self.s3_family == other.s3_family
            && self.payload_header == other.payload_header
            && self.unsigned_length == other.unsigned_length
            && self.path_form == other.path_form
            && self.session_token.is_signed() == other.session_token.is_signed()
            && self.unsigned_payload == other.unsigned_payload
            && self.clock_window == other.clock_window
    }
}

/// The rules for a signing name.
pub(crate) fn preset(service: &str) -> &'static Preset {
    let [named @ .., others] = &PRESETS;
    named
        .iter()
        .find(|preset| preset.names.contains(&service))
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

    fn row(preset: &Preset) -> String {
        let names: Vec<_> = preset
            .names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let names = if names.is_empty() {
            "all others".to_owned()
        } else {
            names.join(", ")
        };
        let (encoded, folded) = match preset.path_form {
            PathForm::Once => ("once", "kept"),
            PathForm::TwiceFolded => ("twice", "folded"),
            other => panic!("no words for {other:?}"),
        };
        let headers = match (
            preset.payload_header,
            preset.s3_family,
            preset.unsigned_length,
        ) {
            (true, true, false) => "`x-amz-content-sha256` required, `range` signed",
            (true, false, true) => "`x-amz-content-sha256` required, `content-length` not signed",
            (true, false, false) => "`x-amz-content-sha256` required",
            (false, false, false) => "no rules",
            other => panic!("no words for {other:?}"),
        };
        let token = match preset.session_token {
            SessionToken::Signed => "signed",
            SessionToken::Unsigned => "added after signing",
            SessionToken::S3Session => "signed, as `x-amz-s3session-token`",
        };
        let payload = match (preset.unsigned_payload, preset.s3_family) {
            (true, _) => "none but `UNSIGNED-PAYLOAD`",
            (_, true) => "hash, chunks or `UNSIGNED-PAYLOAD`",
            (_, false) => "hash",
        };
        let minutes = preset.clock_window.as_secs() / 60;
        format!(
            "/// | {names} | {encoded} | {folded} | {headers} | {token} | {payload} | {minutes} minutes |\n"
        )
    }

    #[test]
    fn the_documents_print_the_table() {
        let documents = include_str!("settings.rs");
        for preset in &PRESETS {
            assert!(documents.contains(&row(preset)), "{}", row(preset));
        }
        let rows = documents
            .lines()
            .filter(|line| line.ends_with(" minutes |"))
            .count();
        assert_eq!(rows, PRESETS.len());
    }

    #[test]
    fn services_whose_requests_are_verified_alike_differ_in_the_header_of_the_token_alone() {
        assert!(preset("s3").is_verified_as(preset("s3express")));
        for (at, one) in PRESETS.iter().enumerate() {
            for (other_at, other) in PRESETS.iter().enumerate() {
                let alike = at == other_at || (one.s3_family && other.s3_family);
                assert_eq!(
                    one.is_verified_as(other),
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
        for preset_of in &PRESETS {
            for name in preset_of.names {
                assert!(std::ptr::eq(preset(name), preset_of), "{name}");
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
            assert!(preset(name).names.is_empty(), "{name}");
        }
    }
}
