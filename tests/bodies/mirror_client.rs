//! Requests as clients of S3 send them, with keys that nobody knows.

use bytes::Bytes;
use http::{Request, Uri};
use http_body::SizeHint;
use tower_sigv4::sigv4::{Checksum, PayloadHash};

use crate::common::{ScriptedBody, Step};

/// An access key ID that no request to an origin may contain.
pub(crate) const CLIENT_KEY: &str = "AKIDOFCLIENT";

/// A request without its body's frames.
#[derive(Clone, Debug)]
pub(crate) struct ClientRequest {
    pub(crate) name: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) query: String,
    /// Bytes on the wire.
    pub(crate) encoded: Vec<u8>,
    /// Checksum in the trailer.
    pub(crate) checksum: Option<Checksum>,
}

/// Signatures between the chunks of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    Unsigned,
    Hmac,
    Ecdsa,
}

impl Lines {
    fn signature(self) -> String {
        match self {
            Self::Unsigned => String::new(),
            Self::Hmac => "ab".repeat(32),
            // An ECDSA signature in DER has up to 72 bytes; clients pad it.
            Self::Ecdsa => format!("{:*<144}", "3045".repeat(35)),
        }
    }

    fn extension(self) -> String {
        match self {
            Self::Unsigned => String::new(),
            Self::Hmac | Self::Ecdsa => format!(";chunk-signature={}", self.signature()),
        }
    }

    fn content_sha256(self, has_trailer: bool) -> String {
        let kind = match self {
            Self::Unsigned => "STREAMING-UNSIGNED-PAYLOAD",
            Self::Hmac => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::Ecdsa => "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        };
        let suffix = if has_trailer { "-TRAILER" } else { "" };
        format!("{kind}{suffix}")
    }
}

/// Frames data in chunks of `size` bytes.
pub(crate) fn frame(
    data: &[u8],
    size: usize,
    lines: Lines,
    trailer: Option<(Checksum, &str)>,
) -> Vec<u8> {
    let extension = lines.extension();
    let mut encoded = Vec::new();
    for chunk in data.chunks(size) {
        encoded.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
        encoded.extend(chunk);
        encoded.extend(b"\r\n");
    }
    encoded.extend(format!("0{extension}\r\n").bytes());
    if let Some((checksum, value)) = trailer {
        encoded.extend(format!("{}:{value}\r\n", checksum.header_name()).bytes());
        if lines != Lines::Unsigned {
            encoded.extend(format!("x-amz-trailer-signature:{}\r\n", lines.signature()).bytes());
        }
    }
    encoded.extend(b"\r\n");
    encoded
}

pub(crate) fn whole(name: &'static str, data: &[u8], declared: Option<String>) -> ClientRequest {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={CLIENT_KEY}/20150830/us-east-1/s3/aws4_request, \
         SignedHeaders=host, Signature={}",
        "cd".repeat(32)
    );
    let mut headers = vec![("x-amz-meta-a", "1".to_owned())];
    if let Some(value) = declared {
        headers.push(("x-amz-content-sha256", value));
        headers.push(("x-amz-date", "20150830T123600Z".to_owned()));
        headers.push(("x-amz-security-token", format!("token-{CLIENT_KEY}")));
        headers.push(("authorization", authorization));
    }
    ClientRequest {
        name,
        headers,
        query: String::new(),
        encoded: data.to_vec(),
        checksum: None,
    }
}

pub(crate) fn hashed(data: &[u8]) -> ClientRequest {
    whole("hash", data, Some(PayloadHash::of(data).to_string()))
}

pub(crate) fn unsigned(data: &[u8]) -> ClientRequest {
    whole("unsigned", data, Some("UNSIGNED-PAYLOAD".to_owned()))
}

/// A request that is not signed, as curl sends it.
pub(crate) fn plain(data: &[u8]) -> ClientRequest {
    whole("plain", data, None)
}

pub(crate) fn chunked(
    name: &'static str,
    data: &[u8],
    lines: Lines,
    checksum: Option<Checksum>,
) -> ClientRequest {
    let value = checksum.map(|algorithm| algorithm.of(data));
    let trailer = checksum.zip(value.as_deref());
    let mut request = whole(name, &[], Some(lines.content_sha256(checksum.is_some())));
    request.encoded = frame(data, 8 * 1024, lines, trailer);
    request.checksum = checksum;
    request
        .headers
        .push(("x-amz-decoded-content-length", data.len().to_string()));
    request
        .headers
        .push(("content-encoding", "aws-chunked".to_owned()));
    if let Some(algorithm) = checksum {
        let name = algorithm.header_name();
        request.headers.push(("x-amz-trailer", name.to_owned()));
        let short = name.trim_start_matches("x-amz-checksum-").to_uppercase();
        request
            .headers
            .push(("x-amz-sdk-checksum-algorithm", short));
    }
    request
}

/// A URL that is presigned in version 4 for an hour.
pub(crate) fn presigned(data: &[u8]) -> ClientRequest {
    let mut request = whole("presigned", data, None);
    request.query = format!(
        "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={CLIENT_KEY}%2F20150830%2Fus-east-1%2Fs3%2F\
         aws4_request&X-Amz-Date=20150830T120000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host\
         &X-Amz-Signature={}",
        "ef".repeat(32)
    );
    request
}

/// A URL that is presigned in version 2 until an hour after the time of the tests.
pub(crate) fn presigned_in_version_2(data: &[u8]) -> ClientRequest {
    let mut request = whole("presigned in version 2", data, None);
    request.query = format!(
        "&AWSAccessKeyId={CLIENT_KEY}&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D&Expires=1440941760"
    );
    request
}

/// A request in each form.
pub(crate) fn all(data: &[u8]) -> Vec<ClientRequest> {
    vec![
        hashed(data),
        unsigned(data),
        chunked(
            "unsigned trailer",
            data,
            Lines::Unsigned,
            Some(Checksum::Crc32),
        ),
        chunked("signed chunks", data, Lines::Hmac, None),
        chunked(
            "signed trailer",
            data,
            Lines::Hmac,
            Some(Checksum::Crc64Nvme),
        ),
        chunked("chunks of SigV4a", data, Lines::Ecdsa, None),
        chunked(
            "trailer of SigV4a",
            data,
            Lines::Ecdsa,
            Some(Checksum::Sha256),
        ),
        presigned(data),
        presigned_in_version_2(data),
        plain(data),
    ]
}

impl ClientRequest {
    /// Replaces the value of a header.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    /// Builds the request with a body in frames of `frame_len` bytes.
    pub(crate) fn build(&self, frame_len: usize) -> Request<ScriptedBody> {
        let all = Bytes::from(self.encoded.clone());
        let steps: Vec<_> = (0..all.len())
            .step_by(frame_len)
            .flat_map(|at| {
                let end = all.len().min(at + frame_len);
                [Step::Data(all.slice(at..end)), Step::Yield]
            })
            .collect();
        self.with_steps(steps, all.len() as u64)
    }

    /// Builds the request with any body of this declared length.
    pub(crate) fn with_steps(
        &self,
        steps: impl IntoIterator<Item = Step>,
        len: u64,
    ) -> Request<ScriptedBody> {
        let uri: Uri = format!("https://gateway.example.com/bucket/key?a=1{}", self.query)
            .parse()
            .expect("a URI");
        let mut request = Request::put(uri);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
            .body(ScriptedBody::new(steps).with_size(SizeHint::with_exact(len)))
            .expect("a request")
    }
}

pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}
