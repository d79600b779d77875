//! Requests with all inputs of their signature.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use http::{HeaderName, Request, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tower_sigv4::{
    Clock, SigningSettings, VerifyLayer,
    credentials::Credentials,
    sigv4::{AllExcept, Explanation, Identity, Payload, PayloadHash, Signer, SigningParams},
    verify::{StaticKeys, VerifySettings},
};

use super::ID;
use crate::common::has_valid_escapes;

/// Headers that botocore does not sign.
const UNSIGNED_HEADERS: [&str; 14] = [
    "baggage",
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// Forms of a query for botocore: raw, encoded by its serializer, or as pairs. The signer encodes pairs, and the HTTP
/// client encodes them again with `+` for a space.
pub(super) const QUERY_FORMS: [&str; 3] = [RAW, ENCODED, PARAMS];

const RAW: &str = "raw";

pub(super) const ENCODED: &str = "encoded";

const PARAMS: &str = "params";

/// Declarations of the payload: none except for S3, the hash in a header, or unsigned.
pub(super) const HASH: &str = "hash";

pub(super) const HASH_IN_HEADER: &str = "hash in a header";

pub(super) const UNSIGNED: &str = "unsigned";

/// A request with all inputs of its signature.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) class: &'static str,
    pub(super) service: &'static str,
    pub(super) region: &'static str,
    pub(super) secret: String,
    pub(super) token: Option<String>,
    pub(super) time: u64,
    pub(super) expires: Option<u64>,
    pub(super) method: &'static str,
    pub(super) uri: String,
    pub(super) query_form: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    pub(super) payload: &'static str,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            class: "SigV4Auth",
            service: "execute-api",
            region: "us-east-1",
            secret: "secret".to_owned(),
            token: None,
            time: 1_440_938_160,
            expires: None,
            method: "GET",
            uri: "https://example.com/".to_owned(),
            query_form: RAW,
            headers: Vec::new(),
            body: Vec::new(),
            payload: HASH,
        }
    }
}

impl Case {
    pub(super) fn is_s3(&self) -> bool {
        self.service == "s3"
    }

    pub(super) fn is_asymmetric(&self) -> bool {
        self.class.contains("Asym")
    }

    pub(super) fn is_crt(&self) -> bool {
        self.class.starts_with("Crt")
    }

    pub(super) fn credentials(&self) -> Credentials {
        Credentials::new(ID, &*self.secret, self.token.clone(), None, "test")
    }

    pub(super) fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.time)
    }

    pub(super) fn query(&self) -> &str {
        self.uri.split_once('?').map_or("", |(_, query)| query)
    }

    pub(super) fn path(&self) -> &str {
        let target = self
            .uri
            .split_once('?')
            .map_or(&*self.uri, |(before, _)| before);
        let authority = target.find("//").expect("absolute") + 2;
        target[authority..]
            .find('/')
            .map_or("", |path| &target[authority + path..])
    }

    /// Returns the request for the Python program.
    pub(super) fn to_json(&self) -> Value {
        let (url, query) = self.uri.split_once('?').unwrap_or((&self.uri, ""));
        let hex: String = self.body.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({
            "class": self.class,
            "service": self.service,
            "region": self.region,
            "id": ID,
            "secret": self.secret,
            "token": self.token,
            "time": self.time,
            "expires": self.expires,
            "method": self.method,
            "url": url,
            "query": query,
            "query_form": self.query_form,
            "headers": self.headers,
            "body": hex,
            "payload": self.payload,
        })
    }

    /// Returns `false` for inputs that this signer of botocore signs differently.
    pub(super) fn is_signed_alike(&self) -> bool {
        let (path, query) = (self.path(), self.query());
        let looks_like_uri =
            path.contains(":/") || path.starts_with("//") && path.contains(['[', ']']);
        let is_crt = self.is_crt();
        let keeps_path = if self.is_s3() {
            !path.is_empty()
        } else {
            !path.ends_with("/.") && !path.ends_with("/..")
        } && !(is_crt && looks_like_uri);
        let keeps_query = match (is_crt, self.expires) {
            (_, Some(_)) => self.query_form != PARAMS && !self.repeats_keys(),
            (false, None) => self.query_form != RAW,
            (true, None) if self.query_form == RAW => {
                !query.contains('+') && !query.contains(":/") && has_valid_escapes(query)
            }
            (true, None) => self.query_form == ENCODED,
        };
        keeps_path && keeps_query && percent_decode_str(query).decode_utf8().is_ok()
    }

    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let pairs = self.query().split('&').filter(|pair| !pair.is_empty());
        let keys = pairs.map(|pair| pair.split('=').next().unwrap_or_default().replace('+', " "));
        keys.map(|key| percent_decode_str(&key).collect()).collect()
    }

    pub(super) fn repeats_keys(&self) -> bool {
        let mut keys = self.keys();
        keys.sort();
        keys.windows(2).any(|pair| pair[0] == pair[1])
    }

    #[cfg(not(feature = "sigv4a"))]
    pub(super) fn signing_settings(&self) -> SigningSettings {
        SigningSettings::new(self.service, self.region).expect("a scope")
    }

    #[cfg(not(feature = "sigv4a"))]
    pub(super) fn verify_settings(&self) -> VerifySettings {
        VerifySettings::new(self.service, self.region).expect("a scope")
    }

    #[cfg(feature = "sigv4a")]
    pub(super) fn signing_settings(&self) -> SigningSettings {
        let settings = if self.is_asymmetric() {
            let regions = tower_sigv4::sigv4::RegionSet::new(self.region).expect("regions");
            SigningSettings::multi_region(self.service, regions)
        } else {
            SigningSettings::new(self.service, self.region)
        };
        settings.expect("a scope")
    }

    #[cfg(feature = "sigv4a")]
    pub(super) fn verify_settings(&self) -> VerifySettings {
        let region = if self.is_asymmetric() {
            "us-east-1"
        } else {
            self.region
        };
        let settings = VerifySettings::new(self.service, region).expect("a scope");
        settings.with_sigv4a(self.is_asymmetric())
    }

    /// Signs the request with this crate.
    pub(super) fn ours(&self, signer: &Signer) -> (Parts, Explanation) {
        let mut request = Request::builder().method(self.method).uri(&*self.uri);
        for (name, value) in &self.headers {
            request = request.header(*name, &**value);
        }
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        let policy = UNSIGNED_HEADERS
            .into_iter()
            .fold(AllExcept::default(), |policy, name| {
                policy.add_header(HeaderName::from_static(name))
            });
        let settings = self
            .signing_settings()
            .with_payload_header(self.is_s3() || self.payload == HASH_IN_HEADER)
            .with_signed_headers(policy);
        let payload = match self.payload {
            UNSIGNED => Payload::Unsigned,
            _ => PayloadHash::of(&self.body).into(),
        };
        let identity = Identity::new(self.credentials()).expect("valid");
        let params = SigningParams::new(&settings, &identity, payload, self.time());
        let explanation = match self.expires.map(Duration::from_secs) {
            None => {
                let explanation = signer.explain(&head, &params);
                signer.sign(&mut head, &params).expect("signed");
                explanation
            }
            Some(expires) => {
                let explanation = signer.explain_presigned(&head, &params, expires);
                signer.presign(&mut head, &params, expires).expect("signed");
                explanation
            }
        };
        (head, explanation.expect("explained"))
    }

    /// Returns the clock window of the verifier in seconds.
    pub(super) fn clock_window(&self) -> u64 {
        if self.is_s3() { 15 * 60 } else { 5 * 60 }
    }

    pub(super) fn verify_layer(&self, now: SystemTime) -> VerifyLayer {
        let settings = self.verify_settings();
        let keys = StaticKeys::new([self.credentials()]).expect("valid");
        VerifyLayer::new(keys, settings.with_unsigned_payload(true))
            .with_path_rewrite(true)
            .with_clock(Clock::manual(now))
    }
}

pub(super) fn text(rng: &mut Rng, longest: usize) -> String {
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=";
    (0..rng.usize(1..longest))
        .map(|_| char::from(letters[rng.usize(..letters.len())]))
        .collect()
}

impl Case {
    pub(super) fn count(&self, count: &mut impl FnMut(&'static str, bool)) {
        let (path, query) = (self.path(), self.query());
        let values = || self.headers.iter().map(|(_, value)| value);
        let names: Vec<_> = self
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        let repeats = |name| names.iter().filter(|other| *other == name).count() > 1;
        let pairs = || query.split('&').filter(|pair| !pair.is_empty());
        let segment = |segment| path.split('/').skip(1).any(|other| other == segment);
        let token = self.token.as_deref().unwrap_or_default();
        count(self.class, true);
        for (kind, found) in [
            ("path: dot segments", segment("..") || segment(".")),
            ("path: empty segments", path.contains("//")),
            ("path: UTF-8, escaped", path.contains("%C3%A9")),
            ("path: UTF-8, raw", !path.is_ascii()),
            ("path: none", path.is_empty()),
            (
                "query: given raw",
                self.query_form == RAW && !query.is_empty(),
            ),
            (
                "query: given encoded",
                self.query_form == ENCODED && !query.is_empty(),
            ),
            (
                "query: given as pairs",
                self.query_form == PARAMS && !query.is_empty(),
            ),
            ("query: a repeated key", self.repeats_keys()),
            (
                "query: an empty value",
                pairs().any(|pair| pair.ends_with('=')),
            ),
            ("query: no value", pairs().any(|pair| !pair.contains('='))),
            ("query: an empty key", self.keys().iter().any(Vec::is_empty)),
            (
                "query: a space",
                query.contains('+') || query.contains("%20"),
            ),
            (
                "query: UTF-8",
                query.contains("%C3%A9") || !query.is_ascii(),
            ),
            ("header: repeated", names.iter().any(repeats)),
            ("header: empty", values().any(String::is_empty)),
            (
                "header: spaces",
                values().any(|value| value.trim().contains("  ")),
            ),
            (
                "header: tabs",
                values().any(|value| value.trim().contains('\t')),
            ),
            ("header: not ASCII", values().any(|value| !value.is_ascii())),
            ("header: host", names.iter().any(|name| name == "host")),
            (
                "header: not signed",
                names.iter().any(|name| UNSIGNED_HEADERS.contains(&&**name)),
            ),
            ("session token", !token.is_empty()),
            (
                "session token with escapes",
                token.contains(['+', '/', '=']),
            ),
            ("payload: hash", self.payload == HASH),
            ("payload: hash in a header", self.payload == HASH_IN_HEADER),
            ("payload: unsigned", self.payload == UNSIGNED),
            ("payload: empty", self.body.is_empty()),
            ("expiry", self.expires.is_some()),
        ] {
            count(kind, found);
        }
    }
}
