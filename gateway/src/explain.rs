//! Explains a rejected signature from a saved exchange, for `--explain` and for the status page's workbench.

mod color;
mod curl;
mod exchange;
#[cfg(test)]
mod format_tests;
mod har;
mod literal;
mod log;
pub(crate) mod remedies;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};
use tower_sigv4::{
    Error,
    doctor::{Cause, Diagnosis, Rejection, SignedRequest, diagnose},
};

use self::{color::Palette, exchange::Exchange};
use crate::error::chain;

/// Longest prefix of a response's body that is parsed; the error stands at its start.
const MAX_BODY_LEN: usize = 64 * 1024;
/// Time limit of the comparison; lines after it count as changed.
const DIFF_TIMEOUT: Duration = Duration::from_millis(200);

const UNSENT: &str =
    "No response given, so this only shows what was signed, according to the request's head.";
const RESPONSE_ONLY: &str = "Based on the response alone; the output of curl -v (curl -v ... >FILE 2>&1) allows a more \
                             exact diagnosis.";
const HAR_WITHOUT_AUTHORIZATION: &str = "Browsers omit authorization from a HAR file unless it is saved with sensitive \
                                         data.";
const HEAD_REASONS: &str = "the response has no body, so it does not state a reason; if the request was HEAD (curl -I), \
                            repeat the request with GET and curl -v, since no response to HEAD has a body. Known \
                            reasons: a URL that is presigned for GET, no s3:ListBucket for a key that does not exist, \
                            an expired token, a wrong clock";
const MALFORMED_REMEDY: &str =
    "send and save authorization and x-amz-date as the client made them, complete and unchanged";
const UNCHECKED: &str =
    "The given secret access key was not checked, since the request is unknown.";

/// Maximum length of an exchange that is sent to the status page, in bytes.
pub(crate) const MAX_SAVED_LEN: u64 = 1024 * 1024;
/// Maximum length of a file, in bytes. A browser saves all requests of a page.
pub(crate) const MAX_FILE_LEN: u64 = 256 * 1024 * 1024;

/// Secret access key to check signatures with.
pub(crate) struct KnownSecret {
    /// `None` if the caller says that it is the secret of the client.
    pub(crate) access_key_id: Option<String>,
    pub(crate) secret_access_key: String,
}

impl KnownSecret {
    fn belongs_to(&self, request: &SignedRequest) -> bool {
        self.access_key_id
            .as_ref()
            .is_none_or(|id| id == request.access_key_id())
    }
}

/// Diagnosis of a saved exchange: the output of `curl -v` or `curl -i`, a HAR file, a debug log of a client, the body of
/// a response, or a request (raw or as a curl command) with or without its response.
pub(crate) struct Explanation {
    /// `None` without a response.
    diagnosis: Option<Diagnosis>,
    /// Problem of the request's own signature, which explains that the origin rejects it.
    malformed: Option<String>,
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
    /// Parses the exchange, and checks its signature if the secret is known.
    pub(crate) fn parse(saved: &str, secret: Option<&KnownSecret>) -> Result<Self, String> {
        let is_har = har::is_har(saved);
        let exchange = if is_har {
            har::parse(saved)?
        } else if let Some(logged) = log::parse(saved) {
            logged?
        } else {
            Exchange::parse(saved)?
        };
        let request = signed_request(&exchange).map(|signed| {
            signed.map(
                |known| match secret.filter(|given| given.belongs_to(&known)) {
                    Some(given) => known.with_secret_access_key(&given.secret_access_key),
                    None => known,
                },
            )
        });
        let signed_request = request.as_ref().ok().and_then(Option::as_ref);
        let own = signed_request.map(|known| SigningStrings {
            canonical_request: known.canonical_request(),
            string_to_sign: known.string_to_sign().map(str::to_owned),
        });
        let has_request = exchange.request.is_some() || exchange.logged.is_some();
        if has_request && !exchange.has_response() {
            request.map_err(|error| chain(&error))?;
            return Ok(Self {
                diagnosis: None,
                malformed: None,
                note: joined([exchange.note, Some(UNSENT.to_owned())]),
                signed: own,
                derived: None,
            });
        }
        let carries_signature = exchange.carries_signature();
        let method = exchange.request.as_ref().map(|(head, _)| &head.method);
        let may_be_head = method.is_none_or(|name| name == Method::HEAD);
        let has_response = exchange.response.is_some();
        let (status, headers) = exchange
            .response
            .unwrap_or((StatusCode::FORBIDDEN, HeaderMap::new()));
        let body = exchange.body.as_bytes();
        let rejection =
            Rejection::from_response(status, &headers, &body[..body.len().min(MAX_BODY_LEN)]);
        let diagnosis = diagnose(&rejection, signed_request).ok_or_else(|| {
            let is_unexplained = matches!(
                status,
                StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN
            );
            let is_bodyless = has_response && exchange.body.trim().is_empty();
            if may_be_head && is_unexplained && is_bodyless {
                return HEAD_REASONS.to_owned();
            }
            let subject = if has_response {
                format!("the response, with status {status},")
            } else {
                "the text".to_owned()
            };
            format!(
                "{subject} does not mention a signature; provide the output of curl -v, or a request with its response"
            )
        })?;
        let problem = request.as_ref().err().filter(|_| {
            let cause = diagnosis.cause();
            carries_signature && matches!(cause, Cause::Mismatch | Cause::AuthorizationChanged)
        });
        let malformed = problem.map(|error| chain(error));
        let note = match request {
            Ok(Some(_)) => None,
            Ok(None) => Some(RESPONSE_ONLY.to_owned()),
            Err(error) => {
                let reason = format!("Based on the response alone, because {}.", chain(&error));
                Some(if is_har {
                    format!("{reason} {HAR_WITHOUT_AUTHORIZATION}")
                } else {
                    reason
                })
            }
        };
        let shown = rejection
            .canonical_request()
            .map(|canonical_request| SigningStrings {
                canonical_request,
                string_to_sign: rejection.string_to_sign().map(str::to_owned),
            });
        // The form of AWS explains that of the client, even if the origin shows nothing.
        let (signed, derived) = match diagnosis.client_canonical_request() {
            Some(client) => {
                let of_client = SigningStrings {
                    canonical_request: client.to_owned(),
                    string_to_sign: None,
                };
                (Some(of_client), shown.or(own))
            }
            None => (own, shown),
        };
        // That of the environment may belong to another client.
        let is_unchecked =
            note.is_some() && secret.is_some_and(|given| given.access_key_id.is_none());
        let unchecked = is_unchecked.then(|| UNCHECKED.to_owned());
        Ok(Self {
            diagnosis: Some(diagnosis),
            malformed,
            note: joined([exchange.note, note, unchecked]),
            signed,
            derived,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        let diagnosis = self.diagnosis.as_ref().map(|diagnosis| {
            json!({
                "cause": diagnosis.cause().name(),
                "summary": self.summary(diagnosis),
                "remedies": self.remedies(diagnosis),
                "client_forms": diagnosis.client_forms().iter().map(ToString::to_string).collect::<Vec<_>>(),
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

    fn summary(&self, diagnosis: &Diagnosis) -> String {
        let problem = self.malformed.iter().map(String::as_str);
        let all: Vec<_> = problem.chain([diagnosis.summary()]).collect();
        all.join("; ")
    }

    fn remedies(&self, diagnosis: &Diagnosis) -> Vec<&'static str> {
        let own = self.malformed.is_some().then_some(MALFORMED_REMEDY);
        own.into_iter()
            .chain(remedies::for_diagnosis(diagnosis).iter().copied())
            .collect()
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

fn joined<const N: usize>(notes: [Option<String>; N]) -> Option<String> {
    let all: Vec<_> = notes.into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

/// Reads the signed request: from the client's log, or from the head.
fn signed_request(exchange: &Exchange) -> Result<Option<SignedRequest>, Error> {
    if let Some(logged) = &exchange.logged {
        let request =
            SignedRequest::from_logged(&logged.canonical_request, &logged.string_to_sign)?;
        return Ok(Some(match &logged.signature {
            Some(signature) => request.with_logged_signature(signature),
            None => request,
        }));
    }
    let request = exchange.request.as_ref();
    request
        .map(|(head, payload)| SignedRequest::from_parts(head, *payload))
        .transpose()
}

impl Explanation {
    /// Returns the explanation with colors for a terminal.
    pub(crate) fn colored(&self) -> String {
        self.text(Palette::Colored)
    }

    fn text(&self, palette: Palette) -> String {
        let mut text = String::new();
        let written = match &self.diagnosis {
            Some(diagnosis) => self.write_diagnosis(&mut text, diagnosis, palette),
            None => self.write_signed(&mut text),
        };
        debug_assert!(written.is_ok(), "a string accepts each write");
        text
    }

    fn write_diagnosis(
        &self,
        out: &mut impl fmt::Write,
        diagnosis: &Diagnosis,
        palette: Palette,
    ) -> fmt::Result {
        writeln!(out, "cause  {}", diagnosis.cause())?;
        writeln!(out, "reason {}", self.summary(diagnosis))?;
        for (number, remedy) in self.remedies(diagnosis).iter().enumerate() {
            let label = if number == 0 { "remedy" } else { "      " };
            writeln!(out, "{label} {remedy}")?;
        }
        if let Some(note) = &self.note {
            writeln!(out, "\n{note}")?;
        }
        let forms = diagnosis.client_forms();
        if diagnosis.cause() == Cause::ClientForm {
            self.write_first_difference(out, palette)?;
        } else if !forms.is_empty() {
            writeln!(
                out,
                "\nParts of this request that known clients sign in another form"
            )?;
        }
        for form in forms {
            writeln!(out, "  {form}")?;
        }
        for difference in diagnosis.differences() {
            let [signed, derived] = palette.pair(&difference.signed, &difference.derived);
            writeln!(out, "\n{}", difference.part)?;
            writeln!(out, "  signed   {signed}")?;
            writeln!(out, "  derived  {derived}")?;
        }
        Ok(())
    }

    /// Writes the first line in which the client's canonical request differs from that of AWS.
    fn write_first_difference(&self, out: &mut impl fmt::Write, palette: Palette) -> fmt::Result {
        let (Some(signed), Some(derived)) = (&self.signed, &self.derived) else {
            return Ok(());
        };
        let mut lines = signed
            .canonical_request
            .lines()
            .zip(derived.canonical_request.lines());
        let Some((sent, expected)) = lines.find(|(sent, expected)| sent != expected) else {
            return Ok(());
        };
        // Quoted, since the text of a log could otherwise control the terminal.
        let [client, aws] = palette.pair(&format!("{sent:?}"), &format!("{expected:?}"));
        writeln!(out, "\nFirst line that differs")?;
        writeln!(out, "  client   {client}")?;
        writeln!(out, "  AWS      {aws}\n")
    }

    fn write_signed(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let (Some(note), Some(signed)) = (&self.note, &self.signed) else {
            return Ok(());
        };
        writeln!(
            out,
            "{note}\n\nCanonical request\n{}",
            signed.canonical_request
        )?;
        match &signed.string_to_sign {
            Some(string_to_sign) => writeln!(out, "\nString to sign\n{string_to_sign}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Palette::Plain))
    }
}
