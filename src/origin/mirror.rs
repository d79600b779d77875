//! Bodies and signatures in the form that the client chose.

use std::time::{Duration, UNIX_EPOCH};

use http::request::Parts;

use super::{
    body_plan::{BodyPlan, ClientExpiry, Comparison, LargeBody, Receiver, Sending},
    client_payload::ClientPayload,
    wire_form,
};
use crate::{
    error::{Error, truncated},
    sigv4::{
        ChunkSize, Payload,
        authorization::{pairs, signature_parameter, version_2_parameter},
        aws_chunk::Framing,
        scope::Timestamp,
    },
};

/// Form of the signature that replaces a presigned URL in [`PayloadMode::Mirror`](super::PayloadMode::Mirror).
///
/// The client's URL has to be valid in both cases: an expired one is an error of kind
/// [`Expired`](crate::ErrorKind::Expired), and nothing is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MirrorPresigned {
    /// In headers; the body of a request to the S3 family is unsigned, as in the URL.
    ///
    /// The default: the origin's URL is no secret then, which its logs would keep with the session token, and the
    /// lifetime of the URL does not depend on that of the credentials.
    #[default]
    Header,
    /// In the query, for the rest of the URL's lifetime or that of the credentials.
    ///
    /// For an origin that looks for the parameters of a presigned URL.
    Query,
}

/// Plans a body in the form of the client's own.
pub(super) fn plan(
    head: &Parts,
    presigned: MirrorPresigned,
    origin: Receiver<'_>,
) -> Result<BodyPlan, Error> {
    let expiry = expiry(head, presigned)?;
    let receiver = Receiver {
        in_query: origin.in_query || expiry.is_some_and(|url| url.in_query),
        ..origin
    };
    let plan = match ClientPayload::read(head, receiver.rules.s3_family)? {
        ClientPayload::Undeclared => undeclared(&receiver).into(),
        ClientPayload::Whole {
            payload,
            is_verified,
        } => whole(payload, is_verified, &receiver).into(),
        ClientPayload::Chunks(client) => BodyPlan {
            sending: chunks(client.framing, &receiver),
            client: Some(client),
            presigned: None,
        },
    };
    Ok(BodyPlan {
        presigned: expiry,
        ..plan
    })
}

fn undeclared(receiver: &Receiver<'_>) -> Sending {
    let rules = receiver.rules;
    if rules.requires_unsigned_payload {
        return Sending::Stream(Payload::Unsigned);
    }
    if receiver.accepts_signed_chunks() && receiver.hop.is_aws {
        let large = LargeBody::Chunk(ChunkSize::default(), Framing::Signed(None));
        return Sending::Large(large, receiver.spool.cloned());
    }
    // Other servers may store `aws-chunked` as a coding of an object that its client never framed.
    if rules.s3_family && receiver.hop.is_tls && receiver.spool.is_none() {
        return Sending::Large(LargeBody::Unsigned, None);
    }
    receiver.collect()
}

fn whole(declared: Payload, is_verified: bool, receiver: &Receiver<'_>) -> Sending {
    let signed = match declared {
        _ if receiver.rules.requires_unsigned_payload => Payload::Unsigned,
        Payload::Unsigned if !receiver.rules.s3_family => return receiver.collect(),
        accepted => accepted,
    };
    Sending::Compare(Comparison {
        declared,
        is_verified,
        signed,
        spool: receiver.spool.cloned(),
    })
}

fn chunks(framing: Framing, receiver: &Receiver<'_>) -> Sending {
    let size = ChunkSize::default();
    if receiver.accepts_signed_chunks()
        || receiver.accepts_unsigned_chunks() && !framing.is_signed()
    {
        return Sending::Chunk(size, framing);
    }
    // Chunks are not signed for several regions; TLS protects the body in their place.
    let unsigned = receiver.accepts_unsigned_chunks() && receiver.hop.is_tls;
    match framing.checksum() {
        Some(checksum) if unsigned => Sending::Chunk(size, Framing::Unsigned(checksum)),
        None if unsigned || receiver.rules.requires_unsigned_payload => {
            Sending::Stream(Payload::Unsigned)
        }
        _ => receiver.collect(),
    }
}

/// Reads the expiry of a presigned URL of either version; `None` for a request without one.
fn expiry(head: &Parts, presigned: MirrorPresigned) -> Result<Option<ClientExpiry>, Error> {
    let query = head.uri.query().unwrap_or_default();
    if !wire_form::is_presigned(query) {
        return Ok(None);
    }
    let version_4 = |name: &str| value_of(query, |pair| signature_parameter(pair) == Some(name));
    let at = if wire_form::is_presigned_in_version_4(query) {
        let (date, expires) = (version_4("X-Amz-Date"), version_4("X-Amz-Expires"));
        let start = date
            .and_then(|text| Timestamp::parse(text.as_bytes()))
            .ok_or_else(|| invalid("X-Amz-Date", date, "a time such as 20150830T123600Z"))?;
        seconds(expires)
            .and_then(|lifetime| start.system_time().checked_add(lifetime))
            .ok_or_else(|| invalid("X-Amz-Expires", expires, "a number of seconds"))?
    } else {
        let expires = value_of(query, |pair| version_2_parameter(pair) == Some("Expires"));
        seconds(expires)
            .and_then(|since_epoch| UNIX_EPOCH.checked_add(since_epoch))
            .ok_or_else(|| invalid("Expires", expires, "a number of seconds since 1970"))?
    };
    Ok(Some(ClientExpiry {
        at,
        in_query: presigned == MirrorPresigned::Query,
    }))
}

/// Returns the value of a parameter that the query has once.
fn value_of(query: &str, is_wanted: impl Fn(&str) -> bool) -> Option<&str> {
    let mut found = pairs(query).filter(|pair| is_wanted(pair));
    let only = found.next().filter(|_| found.next().is_none())?;
    Some(only.split_once('=').map_or("", |(_, value)| value))
}

fn seconds(value: Option<&str>) -> Option<Duration> {
    let text = value?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten()?;
    Some(Duration::from_secs(number))
}

fn invalid(name: &str, value: Option<&str>, expected: &str) -> Error {
    let shown = truncated(value.unwrap_or_default());
    Error::request(format!(
        "the presigned URL has {name} {shown:?}; send {expected}, once"
    ))
}
