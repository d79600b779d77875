//! Diagnosis of signatures that do not match.

use http::HeaderName;

use super::{
    Cause, ClientForm, Diagnosis, Rejection, SignedRequest,
    canonical_parser::CanonicalParts,
    compare::{compare, quoted, quoted_path},
    secret_check::SecretCheck,
};

const SIGNED_AGAIN: &str =
    "the origin received another signature than the one sent: another component signs again";

const MADE_BY_GIVEN_SECRET: &str = "the given secret access key made this signature from the canonical request that the origin derived, so the origin \
     has another one for the access key ID";

const SENT_AS_SIGNED: &str = "the given secret access key made this signature from the request as it was sent, so the request was changed on the \
     way, or the origin has another secret for the access key ID";

/// Remedies if the given secret made the signature, so that a check of it shows no more.
const SECRET_IS_OF_CLIENT: &[&str] = &[
    "compare this secret with the one that the server has for the access key ID: [[verify.key]] if it is a gateway",
    "look for a truncated or doubled character there, and for an environment variable that overrides another source",
];

/// The same, if the request may have been changed.
const SECRET_IS_OF_CLIENT_OR_CHANGED: &[&str] = &[
    SECRET_IS_OF_CLIENT[0],
    "if they are the same, look for a proxy that changes host, path, query, signed headers or body, and remove \
     x-forwarded-host, from which some servers derive the host",
];

/// Remedies if a secret is given, but the signed payload is unknown.
const BODY_UNKNOWN: &[&str] = &[
    "to check the secret access key, provide the body too: as a raw request (the head, an empty line and the body), or \
     as the curl command with the headers of the signature",
    "look for a proxy that changes host, path, query, signed headers or body",
];

/// Remedies if the given secret did not make the signature.
const SECRET_CHECKED: &[&str] = &[
    "compare the given secret with the one that the client uses, which an environment variable or a profile may override",
    "if they are the same, sign with a current version of the client or with an SDK of AWS",
];

/// The same, if only the payload that the origin received is known.
const SECRET_CHECKED_WITHOUT_BODY: &[&str] = &[BODY_UNKNOWN[0], BODY_UNKNOWN[1], SECRET_CHECKED[0]];

/// Diagnoses a signature that does not match.
pub(super) fn mismatch(rejection: &Rejection, request: Option<&SignedRequest>) -> Diagnosis {
    let missing = rejection.quoted_before(" is signed and not present");
    if let Some(name) = missing.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        && request.is_none_or(|signed| signed.covers(&name))
    {
        let summary = format!("header {name} was signed but did not reach the origin");
        return Diagnosis::new(Cause::HeaderDropped, summary);
    }
    let derived = rejection
        .canonical_request
        .as_deref()
        .and_then(CanonicalParts::parse);
    let Some(own) = request else {
        return Diagnosis::new(Cause::Mismatch, derived_summary(derived.as_ref()));
    };
    let differs = |received: &Option<String>, sent: Option<&String>| {
        let both = received.as_ref().zip(sent);
        both.is_some_and(|(received_text, sent_text)| received_text != sent_text)
    };
    if differs(
        &rejection.access_key_id,
        Some(&own.access_key_id).filter(|id| !id.is_empty()),
    ) || differs(&rejection.signature_provided, own.signature.as_ref())
    {
        return Diagnosis::new(Cause::AuthorizationChanged, SIGNED_AGAIN);
    }
    let ours = own.string_to_sign.as_deref();
    let theirs = rejection.string_to_sign.as_deref();
    let normalized = |text: Option<&str>| text.map(|lines| lines.trim_end().replace('\r', ""));
    let is_same = ours.is_some() && normalized(ours) == normalized(theirs);
    let scope = theirs
        .and_then(|text| text.split('\n').nth(2))
        .map(str::trim_end);
    let has_other_scope = scope.is_some_and(|derived_scope| derived_scope != own.scope());
    if own.is_derived() {
        // An origin may show the canonical request alone, and a head alone lacks the payload.
        let payload = match (ours, &derived) {
            (None, Some(parts)) => parts.payload,
            _ => "",
        };
        let sent = format!("{}{payload}", own.canonical_request);
        let shows_same = (theirs.is_none() || ours.is_none() && !has_other_scope)
            && normalized(Some(&sent)) == normalized(rejection.canonical_request.as_deref());
        if let Some(diagnosis) = client_mismatch(own, derived.as_ref(), is_same || shows_same) {
            return diagnosis;
        }
    } else if let Some(diagnosis) = logged_mismatch(own, is_same, derived.is_some()) {
        return diagnosis;
    }
    let signed = CanonicalParts::parse(&own.canonical_request);
    let differences = signed
        .zip(derived.as_ref())
        .map_or_else(Vec::new, |(own_parts, origin_parts)| {
            compare(&own_parts, origin_parts, &own.service)
        });
    if let Some(first) = differences.first() {
        return Diagnosis::new(first.cause, first.summary.clone()).with_differences(differences);
    }
    if has_other_scope {
        return Diagnosis::new(Cause::AuthorizationChanged, SIGNED_AGAIN);
    }
    if derived.is_some() && own.has_token && ours.is_some() && theirs.is_some() {
        // A verifier may redact the token, so that only the hash differs.
        let summary = "the session token was changed on the way";
        return Diagnosis::new(Cause::HeaderChanged, summary);
    }
    if derived.is_some() && ours.is_none() {
        let summary = "the origin derived the same head, so the body or the secret access key is wrong, or the \
                       client canonicalised differently";
        return Diagnosis::new(Cause::SecretOrClient, summary).with_client_forms(own.known_forms());
    }
    let summary = if own.traits.has_forwarded_host {
        "the signature does not match, the origin does not show what it derived, and the request has \
         x-forwarded-host, from which some servers derive the host"
            .to_owned()
    } else {
        derived_summary(None)
    };
    let forms = own.known_forms();
    if own.has_unchecked_secret() {
        let unchecked = format!(
            "{summary}; the given secret access key was not checked, since the body of the request is unknown"
        );
        return Diagnosis::new(Cause::Mismatch, unchecked)
            .with_remedies(BODY_UNKNOWN)
            .with_client_forms(forms);
    }
    Diagnosis::new(Cause::Mismatch, summary).with_client_forms(forms)
}

/// Diagnoses a request whose canonical request is the text that was signed.
///
/// `is_same` is `true` if the origin derived the same. Returns `None` if the comparison with the origin decides.
fn logged_mismatch(own: &SignedRequest, is_same: bool, is_shown: bool) -> Option<Diagnosis> {
    let summary = match own.is_made_by_secret() {
        Some(true) => return secret_of_client(is_same, is_shown),
        Some(false) if is_same || !is_shown => {
            "the client did not make this signature with the given secret access key, but with another one"
        }
        None if is_same => {
            "the origin derived exactly what was signed, so the secret access key does not belong to the \
             access key ID, unless the signature itself was changed"
        }
        Some(_) | None => return None,
    };
    Some(Diagnosis::new(Cause::WrongSecret, summary))
}

/// Diagnoses a signature that the given secret made. Returns `None` if the comparison with the origin decides.
fn secret_of_client(is_same: bool, is_shown: bool) -> Option<Diagnosis> {
    if is_same {
        let diagnosis = Diagnosis::new(Cause::WrongSecret, MADE_BY_GIVEN_SECRET);
        return Some(diagnosis.with_remedies(SECRET_IS_OF_CLIENT));
    }
    let diagnosis = Diagnosis::new(Cause::Mismatch, SENT_AS_SIGNED);
    (!is_shown).then(|| diagnosis.with_remedies(SECRET_IS_OF_CLIENT_OR_CHANGED))
}

/// Describes the canonical request of the origin.
fn derived_summary(derived: Option<&CanonicalParts<'_>>) -> String {
    match derived {
        Some(parts) => format!(
            "the signature does not match the request that the origin received: {} {} for host {}, signed \
             headers {}, payload {}",
            quoted(parts.method),
            quoted_path(parts.path),
            quoted(parts.header("host").unwrap_or_default()),
            quoted(parts.signed_headers),
            quoted(parts.payload),
        ),
        None => {
            "the signature does not match, and the origin does not show what it derived".to_owned()
        }
    }
}

/// Diagnoses a request whose canonical request was derived from its head, so that the client may have signed another.
///
/// `is_same` is `true` if the origin derived the same. Returns `None` if the comparison with the origin decides.
fn client_mismatch(
    own: &SignedRequest,
    derived: Option<&CanonicalParts<'_>>,
    is_same: bool,
) -> Option<Diagnosis> {
    let check = own.check_secret(derived.map(|parts| parts.payload));
    match check {
        Some(SecretCheck::Client {
            canonical_request,
            forms,
        }) => {
            let diagnosis = Diagnosis::new(Cause::ClientForm, form_summary(&forms))
                .with_client_request(&canonical_request)
                .with_client_forms(forms);
            Some(diagnosis)
        }
        Some(SecretCheck::Aws) => secret_of_client(is_same, derived.is_some()),
        Some(unknown @ SecretCheck::Unknown { .. }) if is_same || derived.is_none() => {
            let is_body_unknown = own.string_to_sign.is_none();
            let summary = if matches!(unknown, SecretCheck::Unknown { skips_forms: true }) {
                "the given secret did not make this signature from AWS's form, and the target is too long to compute \
                 the forms of clients: the client signed with another secret, or in another form"
            } else if is_body_unknown {
                "the given secret did not make this signature from AWS's or a known client's form with the payload \
                 that the origin received: the body was changed on the way, or the client signed with another secret, \
                 or in another form"
            } else {
                "the given secret did not make this signature from AWS's or a known client's form: the client signed \
                 with another secret, or in another form"
            };
            let remedies = if is_body_unknown {
                SECRET_CHECKED_WITHOUT_BODY
            } else {
                SECRET_CHECKED
            };
            let diagnosis = Diagnosis::new(Cause::SecretOrClient, summary)
                .with_remedies(remedies)
                .with_client_forms(own.known_forms());
            Some(diagnosis)
        }
        None if is_same && own.string_to_sign.is_some() => {
            let summary = "either the secret access key is wrong, or the client canonicalised differently: the origin \
                           derived the request as it was sent";
            let diagnosis = Diagnosis::new(Cause::SecretOrClient, summary);
            Some(diagnosis.with_client_forms(own.known_forms()))
        }
        Some(SecretCheck::Unknown { .. }) | None => None,
    }
}

/// Describes the first form, and counts the others.
fn form_summary(forms: &[ClientForm]) -> String {
    let Some((first, others)) = forms.split_first() else {
        return "the client canonicalised the request in another form than AWS".to_owned();
    };
    let ClientForm {
        part,
        client,
        aws,
        signers,
    } = first;
    let known = match signers.as_slice() {
        [] => String::new(),
        names => format!(", as {} does", names.join(" or ")),
    };
    let more = if others.is_empty() {
        ""
    } else {
        "; other parts differ too"
    };
    format!("the client signed {client} where AWS derives {aws}, in the {part}{known}{more}")
}
