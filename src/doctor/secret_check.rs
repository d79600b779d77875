//! Check of a client's signature with its secret access key.

use aws_credential_types::Credentials;
use sha2::{Digest, Sha256};

use super::{
    canonical_parser::CanonicalParts,
    client_forms::{ClientForm, EditedRequest, SentHead},
};
use crate::sigv4::{
    encode::ct_eq,
    key::SigningKey,
    scope::{Scope, Timestamp},
    signature::sign,
};

/// Result of checking a signature with a secret access key.
pub(super) enum SecretCheck {
    /// The secret made the signature from AWS's canonical request.
    Aws,
    /// The secret made the signature from another canonical request.
    Client {
        canonical_request: String,
        forms: Vec<ClientForm>,
    },
    /// The secret did not make the signature in any computed form.
    Unknown { skips_forms: bool },
}

/// Signature to check, with the time and scope that it was made for.
pub(super) struct ClientSignature<'a> {
    pub(super) hex: &'a str,
    pub(super) time: &'a Timestamp,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl ClientSignature<'_> {
    /// Finds the form of the canonical request from which this secret made the signature.
    ///
    /// `payloads` are the signed payload and that of the origin, if known.
    pub(super) fn check(
        &self,
        head: &SentHead,
        aws: &CanonicalParts<'_>,
        payloads: &[&str],
        secret: &Credentials,
    ) -> SecretCheck {
        self.find(head, aws, payloads, &self.key(secret))
    }

    /// Returns `true` if this secret made the signature from this canonical request.
    pub(super) fn is_made_from(&self, canonical_request: &str, secret: &Credentials) -> bool {
        self.is_made_with(&self.key(secret), canonical_request)
    }

    fn key(&self, secret: &Credentials) -> SigningKey {
        let scope = Scope {
            time: self.time,
            region: self.region,
            service: self.service,
        };
        SigningKey::derive(secret, scope)
    }

    fn is_made_with(&self, key: &SigningKey, canonical_request: &str) -> bool {
        let hash = Sha256::digest(canonical_request.as_bytes()).into();
        ct_eq(&sign(key, self.time, &hash), self.hex.as_bytes())
    }

    fn find(
        &self,
        head: &SentHead,
        aws: &CanonicalParts<'_>,
        payloads: &[&str],
        key: &SigningKey,
    ) -> SecretCheck {
        let mut tried: Vec<EditedRequest> = Vec::new();
        for edits in head.all_edits() {
            let form = head.edited(aws, &edits);
            if tried.contains(&form) {
                continue;
            }
            for payload in payloads {
                let canonical_request = form.canonical_request(aws, payload);
                if !self.is_made_with(key, &canonical_request) {
                    continue;
                }
                if tried.is_empty() {
                    return SecretCheck::Aws;
                }
                let forms = head.differences(aws, &edits);
                let known = head.known_forms(aws);
                let named = forms.into_iter().map(|unnamed| {
                    let same = known
                        .iter()
                        .find(|other| other.part == unnamed.part && other.client == unnamed.client);
                    let signers = same.map_or_else(Vec::new, |other| other.signers.clone());
                    ClientForm { signers, ..unnamed }
                });
                return SecretCheck::Client {
                    forms: named.collect(),
                    canonical_request,
                };
            }
            tried.push(form);
        }
        SecretCheck::Unknown {
            skips_forms: head.is_too_long(),
        }
    }
}
