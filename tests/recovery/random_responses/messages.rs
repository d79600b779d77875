//! Parts of real error messages.

use fastrand::Rng;

use super::generator::Protocol;

pub(super) const SERVICES: [&str; 6] = ["execute-api", "s3", "dynamodb", "sts", "es", "ec2"];

pub(super) const CODES: [&str; 12] = [
    "InvalidSignatureException",
    "ExpiredTokenException",
    "ExpiredToken",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "TokenRefreshRequired",
    "AccessDenied",
    "ValidationException",
    "ThrottlingException",
    "invalidsignatureexception",
    "",
];

pub(super) const PHRASES: [&str; 7] = [
    "Signature expired: 20150830T083600Z is now earlier than 20150830T123100Z (20150830T123600Z - 5 min.)",
    "Signature not yet current: 20150830T163600Z is still later than 20150830T124100Z",
    "The security token included in the request is expired",
    "The provided token has expired.",
    "The difference between the request time and the current time is too large.",
    "Request has expired.",
    "The provided token must be refreshed.",
];

pub(super) const JSON_CODES: [&str; 6] = ["__type", "__type", "code", "Code", "type", "reason"];

pub(super) const JSON_MESSAGES: [&str; 5] =
    ["message", "message", "Message", "errorMessage", "cause"];

/// Pairs of each protocol, from AWS's documentation and not from the library's table.
pub(super) fn is_pair(protocol: Protocol, code: &str, message: &str) -> bool {
    let phrase = |number: usize| message.starts_with(PHRASES[number].trim_end_matches('.'));
    let clock = phrase(0) || phrase(1);
    match (protocol, code) {
        (Protocol::Json | Protocol::Query, "InvalidSignatureException") => clock,
        (Protocol::Query, "SignatureDoesNotMatch") => clock,
        (Protocol::Json | Protocol::Query, "ExpiredToken" | "ExpiredTokenException") => phrase(2),
        (Protocol::S3, "ExpiredToken") => phrase(2) || phrase(3),
        (Protocol::S3, "RequestTimeTooSkewed") => phrase(4),
        (Protocol::S3, "TokenRefreshRequired") => phrase(6),
        (Protocol::Ec2, "RequestExpired") => phrase(5),
        _ => false,
    }
}

pub(super) fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

pub(super) fn code(rng: &mut Rng) -> String {
    let namespace = pick(rng, &["", "", "", "com.amazon.coral.service#", "a:b#"]);
    format!("{namespace}{}", pick(rng, &CODES))
}

pub(super) fn message(rng: &mut Rng) -> String {
    let before = pick(
        rng,
        &["", "", "", " ", "Value '", "Unknown key: ", "\u{a0}", "("],
    );
    format!("{before}{}", pick(rng, &PHRASES))
}
