//! Versions 4 and 4a.

use std::path::Path;

use tower_sigv4::{SigningSettings, verify::VerifySettings};

use super::Context;

/// A part of the suite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Version {
    V4,
    #[cfg(feature = "sigv4a")]
    V4a,
}

pub(super) const VERSIONS: &[Version] = &[
    Version::V4,
    #[cfg(feature = "sigv4a")]
    Version::V4a,
];

impl Version {
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            #[cfg(feature = "sigv4a")]
            Self::V4a => "v4a",
        }
    }

    pub(super) fn sign_for(self, context: &Context) -> SigningSettings {
        let settings = match self {
            Self::V4 => SigningSettings::new(&context.service, &context.region),
            #[cfg(feature = "sigv4a")]
            Self::V4a => tower_sigv4::sigv4::RegionSet::new(&context.region)
                .and_then(|regions| SigningSettings::multi_region(&context.service, regions)),
        };
        settings.expect("a scope")
    }

    pub(super) fn accepted(self, settings: VerifySettings) -> VerifySettings {
        match self {
            Self::V4 => settings,
            #[cfg(feature = "sigv4a")]
            Self::V4a => settings.with_sigv4a(true),
        }
    }

    /// Checks our signature and that of the suite. Signatures of SigV4 are equal; those of SigV4a are verified with the
    /// public key of the suite.
    pub(super) fn check_signatures(self, case: &Path, text: &str, ours: &str, theirs: &str) {
        match self {
            Self::V4 => {
                assert!(text.starts_with("AWS4-HMAC-SHA256\n"), "{text}");
                assert_eq!(ours, theirs, "{}", case.display());
            }
            #[cfg(feature = "sigv4a")]
            Self::V4a => {
                for signature in [ours, theirs] {
                    assert!(
                        is_signature(case, text, signature),
                        "{}: {signature}",
                        case.display()
                    );
                }
                assert!(
                    !is_signature(case, &format!("{text} "), ours),
                    "{}",
                    case.display()
                );
            }
        }
    }
}

/// Verifies a signature with `public-key.json`, without code of this crate.
#[cfg(feature = "sigv4a")]
fn is_signature(case: &Path, text: &str, signature: &str) -> bool {
    use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};

    let bytes = |hex: &str| -> Vec<u8> {
        let digits: Vec<_> = hex
            .chars()
            .map(|digit| digit.to_digit(16).expect("hex"))
            .collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect()
    };
    let key: serde_json::Value =
        serde_json::from_str(&super::cases::read(case, "public-key.json")).expect("JSON");
    let [x, y] = ["X", "Y"].map(|name| bytes(key[name].as_str().expect("a coordinate")));
    let key = VerifyingKey::from_sec1_bytes(&[vec![4], x, y].concat()).expect("a point");
    let signature = Signature::from_der(&bytes(signature)).expect("in DER");
    key.verify(text.as_bytes(), &signature).is_ok()
}
