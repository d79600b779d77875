//! Explains a rejected signature from a saved exchange, for `--explain` and for the status page's workbench.

mod curl;
mod exchange;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};
use tower_sigv4::doctor::{Diagnosis, Rejection, SignedRequest, diagnose};

use self::exchange::Exchange;

/// Longest prefix of a response's body that is parsed; the error stands at its start.
const MAX_BODY_LEN: usize = 64 * 1024;
/// Time limit of the comparison; lines after it count as changed.
const DIFF_TIMEOUT: Duration = Duration::from_millis(200);

const UNSENT: &str =
    "No response given, so this only shows what was signed, according to the request's head.";
const RESPONSE_ONLY: &str = "Based on the response alone; the output of curl -v (curl -v ... >FILE 2>&1) allows a more \
                             exact diagnosis.";

/// Maximum length of a saved response, in bytes.
pub(crate) const MAX_SAVED_LEN: u64 = 1024 * 1024;

/// Diagnosis of a saved exchange: the output of `curl -v` or `curl -i`, the body of a response, or a request (raw or
/// as a curl command) with or without its response.
pub(crate) struct Explanation {
    /// `None` without a response.
    diagnosis: Option<Diagnosis>,
    note: Option<String>,
    signed: Option<SigningStrings>,
    derived: Option<SigningStrings>,
}

/// Strings that a signature is computed from, with session tokens redacted.
struct SigningStrings {
    canonical_request: String,
    string_to_sign: Option<String>,
}

impl SigningStrings {
    fn to_json(&self) -> Value {
        json!({
            "canonical_request": self.canonical_request,
            "string_to_sign": self.string_to_sign,
        })
    }
}

impl Explanation {
    pub(crate) fn parse(saved: &str) -> Result<Self, String> {
        let exchange = Exchange::parse(saved)?;
        let has_response = exchange.has_response();
        let request = exchange
            .request
            .as_ref()
            .map(|(head, payload)| SignedRequest::from_parts(head, *payload))
            .transpose();
        let signed_request = request.as_ref().ok().and_then(Option::as_ref);
        let signed = signed_request.map(|known| SigningStrings {
            canonical_request: known.canonical_request(),
            string_to_sign: known.string_to_sign().map(str::to_owned),
        });
        if exchange.request.is_some() && !has_response {
            request.map_err(|error| error.to_string())?;
            return Ok(Self {
                diagnosis: None,
                note: Some(UNSENT.to_owned()),
                signed,
                derived: None,
            });
        }
        let (status, headers) = exchange
            .response
            .unwrap_or((StatusCode::FORBIDDEN, HeaderMap::new()));
        let body = exchange.body.as_bytes();
        let rejection =
            Rejection::from_response(status, &headers, &body[..body.len().min(MAX_BODY_LEN)]);
        let diagnosis = diagnose(&rejection, signed_request).ok_or_else(|| {
            format!(
                "the response, with status {status}, does not mention a signature; provide the output of curl -v, or \
                 a request with its response"
            )
        })?;
        let note = match request {
            Ok(Some(_)) => None,
            Ok(None) => Some(RESPONSE_ONLY.to_owned()),
            Err(error) => Some(format!("Based on the response alone, because {error}.")),
        };
        let derived = rejection
            .canonical_request()
            .map(|canonical_request| SigningStrings {
                canonical_request,
                string_to_sign: rejection.string_to_sign().map(str::to_owned),
            });
        Ok(Self {
            diagnosis: Some(diagnosis),
            note,
            signed,
            derived,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        let diagnosis = self.diagnosis.as_ref().map(|diagnosis| {
            json!({
                "cause": diagnosis.cause().name(),
                "summary": diagnosis.summary(),
                "remedy": diagnosis.remedy(),
            })
        });
        json!({
            "diagnosis": diagnosis,
            "note": self.note,
            "signed": self.signed.as_ref().map(SigningStrings::to_json),
            "derived": self.derived.as_ref().map(SigningStrings::to_json),
            "lines": self.diff(),
        })
    }

    /// Compares the canonical requests by line. Each line is tagged `same`, `signed` or `derived`.
    fn diff(&self) -> Option<Vec<(&'static str, String)>> {
        let signed: Vec<_> = self.signed.as_ref()?.canonical_request.lines().collect();
        let derived: Vec<_> = self.derived.as_ref()?.canonical_request.lines().collect();
        let diff = TextDiff::configure()
            .timeout(DIFF_TIMEOUT)
            .diff_slices(&signed, &derived);
        let tagged = diff.iter_all_changes().map(|change| {
            let tag = match change.tag() {
                ChangeTag::Equal => "same",
                ChangeTag::Delete => "signed",
                ChangeTag::Insert => "derived",
            };
            (tag, change.value().to_owned())
        });
        Some(tagged.collect())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(diagnosis) = &self.diagnosis {
            writeln!(f, "cause  {}", diagnosis.cause())?;
            writeln!(f, "reason {}", diagnosis.summary())?;
            writeln!(f, "remedy {}", diagnosis.remedy())?;
            if let Some(note) = &self.note {
                writeln!(f, "\n{note}")?;
            }
            for difference in diagnosis.differences() {
                writeln!(f, "\n{}", difference.part)?;
                writeln!(f, "  signed   {}", difference.signed)?;
                writeln!(f, "  derived  {}", difference.derived)?;
            }
        } else if let (Some(note), Some(signed)) = (&self.note, &self.signed) {
            writeln!(
                f,
                "{note}\n\nCanonical request\n{}",
                signed.canonical_request
            )?;
            if let Some(string_to_sign) = &signed.string_to_sign {
                writeln!(f, "\nString to sign\n{string_to_sign}")?;
            }
        }
        Ok(())
    }
}
