//! Complaints of an origin that a client can remedy by itself: its clock is wrong, or its credentials have expired.
//!
//! A response may quote the client, pass on the response of another service, or lie. So only the service's own
//! error code counts, in the place where the service puts it, together with the beginning of the message that
//! belongs to the code. If a response has two codes or two messages that differ, neither counts.

use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};
use http::{HeaderMap, StatusCode, header, response::Parts};

use super::error_body::{ErrorBody, Protocol};
use crate::{
    doctor::bare,
    sigv4::service_rules::{fronts_applications, service_rules},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The time of signing is too far from the origin's time.
    Clock,
    /// The credentials have expired.
    Credentials,
    /// The time of signing or the credentials: the service says the same of both.
    ClockOrCredentials,
}

struct Known {
    protocols: &'static [Protocol],
    codes: &'static [&'static str],
    /// Beginnings of the message.
    messages: &'static [&'static str],
    complaint: Complaint,
}

/// Amazon S3 API Reference, "Error responses"; Amazon EC2 API Reference, "Error codes"; IAM User Guide,
/// "Troubleshoot Signature Version 4 requests"; STS API Reference, "Common errors".
///
/// Codes that also stand for other causes are left out, such as `AuthFailure`, by which EC2 rejects requests from
/// the future and unknown keys alike.
const KNOWN: [Known; 7] = [
    Known {
        protocols: &[Protocol::Json, Protocol::Query],
        codes: &["InvalidSignatureException"],
        messages: &["Signature expired: ", "Signature not yet current: "],
        complaint: Complaint::Clock,
    },
    Known {
        protocols: &[Protocol::Query],
        codes: &["SignatureDoesNotMatch"],
        messages: &["Signature expired: ", "Signature not yet current: "],
        complaint: Complaint::Clock,
    },
    Known {
        protocols: &[Protocol::S3],
        codes: &["RequestTimeTooSkewed"],
        messages: &["The difference between the request time and the "],
        complaint: Complaint::Clock,
    },
    Known {
        protocols: &[Protocol::Ec2],
        codes: &["RequestExpired"],
        messages: &["Request has expired"],
        complaint: Complaint::ClockOrCredentials,
    },
    Known {
        protocols: &[Protocol::Json, Protocol::Query],
        codes: &["ExpiredToken", "ExpiredTokenException"],
        messages: &["The security token included in the request is expired"],
        complaint: Complaint::Credentials,
    },
    Known {
        protocols: &[Protocol::S3],
        codes: &["ExpiredToken"],
        messages: &[
            "The provided token has expired",
            "The security token included in the request is expired",
        ],
        complaint: Complaint::Credentials,
    },
    Known {
        protocols: &[Protocol::S3],
        codes: &["TokenRefreshRequired"],
        messages: &["The provided token must be refreshed"],
        complaint: Complaint::Credentials,
    },
];

/// A presigned URL that has expired or is not yet valid: Amazon S3 API Reference, "Error responses". S3 uses the
/// code for missing permissions, too.
const PRESIGNED: Known = Known {
    protocols: &[Protocol::S3],
    codes: &["AccessDenied"],
    messages: &["Request has expired", "Request is not yet valid"],
    complaint: Complaint::Clock,
};

impl Complaint {
    /// Returns true if the body may hold a complaint, so that it has to be read.
    pub(super) fn is_possible(head: &Parts, service: &str) -> bool {
        if !matches!(head.status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN) {
            return false;
        }
        match error_type(&head.headers) {
            Ok(Some(code)) => KNOWN
                .iter()
                .any(|known| known.is_of(Protocol::Json) && known.codes.contains(&code)),
            Ok(None) => !fronts_applications(service),
            Err(Ambiguous) => false,
        }
    }

    /// Reads the whole body of a response in which a complaint [is possible](Complaint::is_possible).
    ///
    /// `is_presigned` is true if the signature is in the query.
    pub(super) fn read(
        headers: &HeaderMap,
        body: &[u8],
        service: &str,
        is_presigned: bool,
    ) -> Option<Self> {
        let code = error_type(headers).ok()?;
        let body = std::str::from_utf8(body).ok()?;
        let error = ErrorBody::read(code, body)?;
        let protocol = spoken(error.protocol, service)?;
        let presigned = is_presigned.then_some(&PRESIGNED);
        let known = KNOWN.iter().chain(presigned).find(|known| {
            known.is_of(protocol)
                && known.codes.contains(&&*error.code)
                && known
                    .messages
                    .iter()
                    .any(|start| error.message.starts_with(start))
        });
        known.map(|known| known.complaint)
    }
}

impl Known {
    fn is_of(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }
}

/// Returns the protocol whose errors a body has that is written in `form`; `None` if the service does not use it.
fn spoken(form: Protocol, service: &str) -> Option<Protocol> {
    let is_s3 = service_rules(service).s3_family;
    match form {
        Protocol::S3 => is_s3.then_some(form),
        // S3 Control is signed as S3, and writes the errors of S3 in this form.
        Protocol::Query if is_s3 => Some(Protocol::S3),
        Protocol::Ec2 => (service == "ec2").then_some(form),
        Protocol::Query | Protocol::Json => (!is_s3).then_some(form),
    }
}

/// The header is there more than once, or is not text.
#[derive(Debug, PartialEq)]
struct Ambiguous;

/// Returns the code in `x-amzn-errortype`.
fn error_type(headers: &HeaderMap) -> Result<Option<&str>, Ambiguous> {
    let mut values = headers.get_all("x-amzn-errortype").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(code), None) => Ok(Some(bare(code))),
        _ => Err(Ambiguous),
    }
}

/// Returns the origin's time, unless a cache may have stored the response (RFC 9111, section 5.1).
pub(super) fn origin_time(headers: &HeaderMap) -> Option<SystemTime> {
    let mut dates = headers.get_all(header::DATE).iter();
    let (Some(date), None) = (dates.next(), dates.next()) else {
        return None;
    };
    if headers.contains_key(header::AGE) {
        return None;
    }
    let date = DateTime::from_str(date.to_str().ok()?, Format::HttpDate).ok()?;
    SystemTime::try_from(date).ok()
}

#[cfg(test)]
mod tests;
