use std::time::SystemTime;

use http::{Request, header::HOST, request::Parts};
use ring::digest::{SHA256, digest};
use tower_sigv4::verify::{RejectionKind as SignatureKind, Verifier};

use super::{IamSettings, Rejection, RejectionKind as Kind, endpoint::Endpoint};

/// Maximum length of a URL in bytes. One with a session token has about 2 KiB.
const MAX_URL: usize = 8 * 1024;

/// Maximum value of `X-Amz-Expires` in seconds. STS itself accepts a URL for 15 minutes.
const MAX_VALIDITY: u64 = 15 * 60;

/// Parameters of a presigned GetCallerIdentity, in the order in which they are sent. The last is optional.
const PARAMETERS: [&str; 9] = [
    "Action",
    "Version",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

/// A well-formed URL, written again from its parts. Nothing is proven yet: the signature may be anyone's.
pub(super) struct SignedUrl<'a> {
    pub(super) endpoint: &'a Endpoint,
    query: String,
    pub(super) expires_at: SystemTime,
}

impl<'a> SignedUrl<'a> {
    /// Parses the one accepted form, so that a host or a parameter cannot be read in two ways.
    pub(super) fn parse(
        url: &str,
        settings: &'a IamSettings,
        verifier: &Verifier,
        now: SystemTime,
    ) -> Result<Self, Rejection> {
        if url.len() > MAX_URL {
            return Err(Kind::Malformed.rejection("the URL of STS has more than 8192 bytes"));
        }
        let not_https = || Kind::Malformed.rejection("the URL of STS does not begin with https://");
        let rest = url.strip_prefix("https://").ok_or_else(not_https)?;
        let (authority, query) = rest
            .split_once("/?")
            .ok_or_else(|| Kind::Malformed.rejection("the URL of STS has a path, or no query"))?;
        let known = settings
            .endpoints
            .iter()
            .find(|known| known.host == authority);
        let endpoint = known.ok_or_else(|| {
            Kind::UnknownEndpoint.rejection("the URL is not one of an accepted endpoint of STS")
        })?;
        let rewritten = rewrite_query(query)?;
        let head = request_head(endpoint, settings, &rewritten)?;
        let expires_at = check_signature_parameters(&head, endpoint, verifier, now)?;
        Ok(Self {
            endpoint,
            query: rewritten,
            expires_at,
        })
    }

    /// Returns the path and the query of the request.
    pub(super) fn target(&self) -> String {
        format!("/?{}", self.query)
    }

    /// Returns a hash that identifies the URL.
    pub(super) fn digest(&self) -> [u8; 32] {
        let text = format!("{}{}", self.endpoint.host, self.target());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        bytes
    }
}

/// Checks that the query has exactly the known parameters, each once and in canonical encoding, and sorts them.
fn rewrite_query(query: &str) -> Result<String, Rejection> {
    let mut values = [None; PARAMETERS.len()];
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let known = PARAMETERS.iter().position(|parameter| *parameter == name);
        let at = known.ok_or_else(|| malformed("the URL of STS has another parameter"))?;
        if !is_canonical(value) {
            return Err(malformed(
                "a parameter of the URL of STS is empty or not in canonical encoding",
            ));
        }
        if values[at].replace(value).is_some() {
            return Err(malformed("the URL of STS has a parameter twice"));
        }
    }
    let [action, version, required @ .., _token] = values;
    // The API of STS has had one version only (AWS STS API Reference).
    if (action, version) != (Some("GetCallerIdentity"), Some("2011-06-15")) {
        return Err(malformed(
            "the URL of STS is not one of GetCallerIdentity, version 2011-06-15",
        ));
    }
    let [_algorithm, _credential, _date, Some(validity), ..] = required else {
        return Err(malformed("the URL of STS has no complete signature"));
    };
    if validity
        .parse::<u64>()
        .is_ok_and(|seconds| seconds > MAX_VALIDITY)
    {
        return Err(Kind::Expired.rejection("the URL of STS is valid for more than 15 minutes"));
    }
    if required.contains(&None) {
        return Err(malformed("the URL of STS has no complete signature"));
    }
    let pairs = PARAMETERS.iter().zip(values);
    let present = pairs.filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    Ok(present.collect::<Vec<_>>().join("&"))
}

/// Returns `true` for unreserved characters (RFC 3986, section 2.3) and for escapes of other visible ASCII, as all
/// signers of AWS write them.
fn is_canonical(value: &str) -> bool {
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, tail @ ..]) if escapes_visible(*high, *low) => tail,
            (byte, tail) if is_unreserved(*byte) => tail,
            _ => return false,
        };
    }
    !value.is_empty()
}

fn escapes_visible(high: u8, low: u8) -> bool {
    let digit = |byte| b"0123456789ABCDEF".iter().position(|known| *known == byte);
    let (Some(upper), Some(lower)) = (digit(high), digit(low)) else {
        return false;
    };
    let byte = (upper * 16 + lower) as u8;
    byte.is_ascii_graphic() && !is_unreserved(byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Creates the request that the caller has signed.
fn request_head(
    endpoint: &Endpoint,
    settings: &IamSettings,
    query: &str,
) -> Result<Parts, Rejection> {
    let built = Request::get(format!("https://{}/?{query}", endpoint.host))
        .header(HOST, &endpoint.host)
        .header(&settings.server_id_header, &settings.server_id)
        .body(());
    let request = built.map_err(|_| malformed("the URL of STS is not valid"))?;
    Ok(request.into_parts().0)
}

/// Checks everything about the signature that needs no key, and returns the expiry.
fn check_signature_parameters(
    head: &Parts,
    endpoint: &Endpoint,
    verifier: &Verifier,
    now: SystemTime,
) -> Result<SystemTime, Rejection> {
    let parsed = verifier.parse(head, now).map_err(|rejection| {
        let kind = match rejection.kind() {
            SignatureKind::HeaderNotSigned | SignatureKind::SignedHeaderMissing => Kind::NotBound,
            SignatureKind::Expired => Kind::Expired,
            SignatureKind::NotYetValid => Kind::NotYetValid,
            _ => Kind::Malformed,
        };
        let message = match kind {
            Kind::NotBound => {
                "the URL of STS is not signed with exactly host and the header of the server id"
            }
            Kind::Expired => "the URL of STS has expired",
            Kind::NotYetValid => "the URL of STS is from the future",
            _ => "the signature of the URL of STS is malformed",
        };
        kind.rejection(message)
    })?;
    if parsed.key_request().region() != endpoint.region {
        return Err(malformed(
            "the URL of STS is signed for another region than that of its host",
        ));
    }
    let expires_at = parsed
        .expires_at()
        .ok_or_else(|| malformed("the URL of STS is not presigned"))?;
    Ok(expires_at)
}

fn malformed(message: &'static str) -> Rejection {
    Kind::Malformed.rejection(message)
}
