use http::{HeaderName, header::HOST, request::Parts};

use super::{Rejection, RejectionKind as Kind, VerifySettings, rejection::truncated};
use crate::{
    origin::connection_options,
    sigv4::{
        SessionToken,
        authorization::{SignedHeaderNames, is_same_cgi_variable, reads_as_hyphen},
        is_vendor_header,
        signed_headers::X_AMZ_SECURITY_TOKEN,
    },
};

/// Rejects a request with an unsigned header that must be signed, or without a header that is signed.
pub(super) fn check(
    head: &Parts,
    names: &SignedHeaderNames<'_>,
    settings: &VerifySettings,
    presigned: bool,
) -> Result<(), Rejection> {
    if names.len() > head.headers.keys_len() {
        return Err(Kind::SignedHeaderMissing.rejection("more headers are signed than are present"));
    }
    let mut found = 0;
    let mut lookalikes = names.lookalikes();
    for name in head.headers.keys() {
        if names.covers(name.as_str()) {
            found += 1;
        } else if must_be_signed(name, settings, presigned) {
            return Err(not_signed(name, "is present and not signed"));
        } else if lookalikes.contains(name.as_str()) {
            let problem = "is not signed, and a server may read it as a header that is";
            return Err(not_signed(name, problem));
        }
    }
    if !names.covers("host") {
        return Err(not_signed(&HOST, "is not signed"));
    }
    if found < names.len() {
        let missing = names.iter().find(|name| !head.headers.contains_key(**name));
        return Err(Kind::SignedHeaderMissing.rejection(format!(
            "{:?} is signed and not present",
            truncated(missing.unwrap_or(&""))
        )));
    }
    // A proxy behind this server removes the headers that `connection` names (RFC 9110, section 7.6.1).
    if connection_options(&head.headers).any(|option| names.covers_ignoring_case(option)) {
        return Err(Kind::Target
            .rejection("connection names a signed header, which the next proxy would remove"));
    }
    Ok(())
}

#[cold]
fn not_signed(name: &HeaderName, problem: &str) -> Rejection {
    Kind::HeaderNotSigned
        .rejection(format!("{} {problem}", truncated(name.as_str())))
        .with_header_not_signed(name.as_str())
}

/// Returns `true` for a header that must be signed if present, and for one that a server may read as such a
/// header: `x_amz_acl`, `content_type`.
fn must_be_signed(name: &HeaderName, settings: &VerifySettings, presigned: bool) -> bool {
    if *name == X_AMZ_SECURITY_TOKEN && settings.session_token == SessionToken::Unsigned {
        return false;
    }
    let text = name.as_str();
    let is_required = |required: &HeaderName| is_same_cgi_variable(required.as_str(), text);
    // A server behind this one may read a vendor's header, by which the holder of a presigned URL could copy an object
    // that its signer has not named.
    let is_operation = is_amz(text) || settings.s3_family && is_vendor_header(text);
    is_operation && !settings.unsigned_headers.contains(name)
        || settings.requires(presigned, is_required)
        || imitates_framing(text)
}

/// Returns `true` for `x-amz-*`, and for names that a server may read as such.
fn is_amz(name: &str) -> bool {
    let is_hyphen = |byte: u8| byte == b'-' || reads_as_hyphen(byte);
    match *name.as_bytes() {
        [b'x', first, b'a', b'm', b'z', second, ..] => is_hyphen(first) && is_hyphen(second),
        _ => false,
    }
}

/// Returns `true` for `content_length` and the like: a server that reads them as the real header may truncate a
/// verified body. The real headers need no signature, since the connection's framing follows them.
pub(super) fn imitates_framing(name: &str) -> bool {
    ["content-length", "transfer-encoding"]
        .into_iter()
        .any(|framing| is_same_cgi_variable(framing, name) && framing != name)
}
