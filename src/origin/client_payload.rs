//! The payload of a request, as its client declares it.

use http::{HeaderMap, HeaderValue, request::Parts};

use super::{headers, wire_form};
use crate::{
    error::{Error, ErrorKind, truncated},
    sigv4::{
        Payload,
        authorization::{pairs, signature_parameter},
        aws_chunk::Framing,
        client_chunks::{ClientChecksum, ClientChunks},
        signed_headers::{X_AMZ_CONTENT_SHA256, X_AMZ_SDK_CHECKSUM_ALGORITHM},
        verified_payload::VerifiedPayload,
    },
};

/// Payload that a client declares.
pub(super) enum ClientPayload {
    /// Neither hash nor chunks.
    Undeclared,
    /// Sent as it is.
    Whole {
        payload: Payload,
        /// The body is compared with the hash already.
        is_verified: bool,
    },
    Chunks(ClientFraming),
}

/// Chunks of a client, which are removed before the body is sent in another form.
pub(crate) struct ClientFraming {
    pub(crate) framing: Framing,
    pub(crate) checksum: Option<ClientChecksum>,
    /// `None` if the chunks are decoded already.
    pub(crate) chunks: Option<ClientChunks>,
    /// Value of `x-amz-sdk-checksum-algorithm`, removed with chunks that are decoded already.
    sdk_algorithm: Option<HeaderValue>,
}

impl ClientPayload {
    /// Reads the declaration of a request to a service of the S3 family, or to another one.
    pub(super) fn read(head: &Parts, s3_family: bool) -> Result<Self, Error> {
        if let Some(framing) = ClientFraming::read(head)? {
            return Ok(Self::Chunks(framing));
        }
        let query = head.uri.query().unwrap_or_default();
        let Some(declared) = content_sha256(&head.headers)? else {
            return whole_of_query(query, s3_family);
        };
        let payload = Payload::parse(declared.as_bytes())
            .ok_or_else(|| invalid(&String::from_utf8_lossy(declared.as_bytes())))?;
        let verified = head.extensions.get::<VerifiedPayload>();
        let is_verified = match &payload {
            Payload::Hash(hash) => verified.is_some_and(|known| known.is_hash(hash)),
            Payload::Unsigned => false,
        };
        Ok(Self::Whole {
            payload,
            is_verified,
        })
    }
}

impl ClientFraming {
    /// Returns the chunks of a request; `None` if it has none.
    pub(super) fn read(head: &Parts) -> Result<Option<Self>, Error> {
        let declared = content_sha256(&head.headers)?;
        if let Some(streaming) = declared.filter(|value| headers::is_streaming(value)) {
            let chunks = ClientChunks::parse(streaming, &head.headers)?;
            return Ok(Some(Self {
                framing: chunks.framing,
                checksum: chunks.framing.checksum().map(ClientChecksum::new),
                chunks: Some(chunks),
                sdk_algorithm: None,
            }));
        }
        if headers::is_aws_chunked(&head.headers) {
            return Err(Error::new(
                ErrorKind::UnsupportedBody,
                "headers of aws-chunked are present, but x-amz-content-sha256 does not begin with STREAMING-; \
                 remove content-encoding: aws-chunked, x-amz-decoded-content-length and x-amz-trailer, or declare the \
                 chunks",
            ));
        }
        if declared.is_some() {
            return Ok(None);
        }
        let verified = head.extensions.get::<VerifiedPayload>();
        Ok(verified
            .and_then(VerifiedPayload::decoded_chunks)
            .map(|decoded| Self {
                framing: decoded.framing,
                checksum: decoded.checksum.clone(),
                chunks: None,
                sdk_algorithm: decoded.sdk_algorithm.clone(),
            }))
    }

    /// Changes a head from that of the chunks to that of the decoded body.
    pub(crate) fn remove_from(&self, head: &mut HeaderMap) {
        if let Some(chunks) = &self.chunks {
            headers::remove_chunk_framing(head, chunks.decoded_len);
        }
        if let Some(name) = &self.sdk_algorithm {
            head.insert(X_AMZ_SDK_CHECKSUM_ALGORITHM, name.clone());
        }
    }
}

/// Returns the value of `x-amz-content-sha256`, which must not be ambiguous.
fn content_sha256(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Error> {
    let mut values = headers.get_all(X_AMZ_CONTENT_SHA256).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Error::request(
            "x-amz-content-sha256 is given twice; send it once",
        )),
        (only, None) => Ok(only),
    }
}

/// Returns the payload that a presigned URL declares. Without a declaration it is the one that the service assumes.
fn whole_of_query(query: &str, s3_family: bool) -> Result<ClientPayload, Error> {
    let whole = |payload| ClientPayload::Whole {
        payload,
        is_verified: false,
    };
    let parameter = |name: &str| pairs(query).find(|pair| signature_parameter(pair) == Some(name));
    if let Some(pair) = parameter("X-Amz-Content-Sha256") {
        let value = pair.split_once('=').map_or("", |(_, value)| value);
        return Payload::parse(value.as_bytes())
            .map(whole)
            .ok_or_else(|| invalid(value));
    }
    Ok(if s3_family && wire_form::is_presigned(query) {
        whole(Payload::Unsigned)
    } else {
        ClientPayload::Undeclared
    })
}

fn invalid(value: &str) -> Error {
    Error::request(format!(
        "x-amz-content-sha256 {:?} is invalid; send the SHA-256 of the body in lower-case hex, or UNSIGNED-PAYLOAD",
        truncated(value),
    ))
}
