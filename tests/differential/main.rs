//! Comparison with botocore: both sign the same random requests and agree at each stage. The verifier accepts requests
//! that botocore signed, and rejects them after a change. The end of the file lists the differences.
//!
//! `scripts/interop` runs these tests, and sets `BOTOCORE_PYTHON` to a Python that has botocore. `DIFFERENTIAL_SEED`
//! repeats a run.

#[path = "../common/mod.rs"]
mod common;

use std::{
    collections::BTreeMap,
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use common::{has_valid_escapes, judge, random};
use fastrand::Rng;
use http::{
    HeaderName, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, HOST},
    request::Parts,
};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use serde_json::{Value, from_value, json};
#[cfg(feature = "sigv4a")]
use tower_sigv4::sigv4::RegionSet;
use tower_sigv4::{
    Clock, SigningSettings, VerifyLayer,
    credentials::Credentials,
    sigv4::{
        AllExcept, Explanation, Identity, PathForm, Payload, PayloadHash, Signer, SigningParams,
    },
    verify::{RejectionKind, StaticKeys, VerifySettings},
};

const REQUESTS: usize = 10_000;
const ID: &str = "AKIDEXAMPLE";

/// Signers of botocore, in Python and in C (awscrt).
const CLASSES: [&str; 8] = [
    "SigV4Auth",
    "S3SigV4Auth",
    "SigV4QueryAuth",
    "S3SigV4QueryAuth",
    "CrtSigV4Auth",
    "CrtS3SigV4Auth",
    "CrtSigV4QueryAuth",
    "CrtS3SigV4QueryAuth",
];

/// Signers of SigV4a, all from awscrt. Their signatures are random and slow.
const ASYMMETRIC: [&str; 4] = [
    "CrtSigV4AsymAuth",
    "CrtS3SigV4AsymAuth",
    "CrtSigV4AsymQueryAuth",
    "CrtS3SigV4AsymQueryAuth",
];

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
const QUERY_FORMS: [&str; 3] = [RAW, ENCODED, PARAMS];
const RAW: &str = "raw";
const ENCODED: &str = "encoded";
const PARAMS: &str = "params";

/// Declarations of the payload: none except for S3, the hash in a header, or unsigned.
const HASH: &str = "hash";
const HASH_IN_HEADER: &str = "hash in a header";
const UNSIGNED: &str = "unsigned";

/// A request with all inputs of its signature.
#[derive(Debug)]
struct Case {
    class: &'static str,
    service: &'static str,
    region: &'static str,
    secret: String,
    token: Option<String>,
    time: u64,
    expires: Option<u64>,
    method: &'static str,
    uri: String,
    query_form: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    payload: &'static str,
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

/// A request that botocore signed.
#[derive(Debug)]
struct Theirs {
    url: String,
    headers: Vec<(String, String)>,
    canonical_request: Option<String>,
    string_to_sign: Option<String>,
}

impl Theirs {
    fn authorization(&self) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|(name, _)| name == "Authorization");
        header.map(|(_, value)| &**value)
    }

    fn signature(&self) -> &str {
        signature(self.authorization().unwrap_or(&self.url))
    }
}

/// Returns the signature at the end of an authorization or a presigned URL.
fn signature(text: &str) -> &str {
    text.rsplit_once("Signature=").expect("signed").1
}

/// The Python program, which ends when its input is closed.
struct Botocore {
    program: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Botocore {
    fn start() -> Self {
        let python = env::var_os("BOTOCORE_PYTHON");
        let program = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/scripts/interop.d/differential.py"
        );
        let mut program =
            Command::new(python.expect("BOTOCORE_PYTHON names a Python with botocore"))
                .args(["-EsB", program])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("started");
        let stdin = program.stdin.take().expect("piped");
        let stdout = BufReader::new(program.stdout.take().expect("piped"));
        Self {
            program,
            stdin,
            stdout,
        }
    }

    /// Signs a request with botocore, or returns its error.
    fn sign(&mut self, case: &Case) -> Result<Theirs, String> {
        let mut response = self.send(&case.to_json());
        if let Some(error) = response["error"].as_str() {
            return Err(error.to_owned());
        }
        let mut stage = |name: &str| from_value(response[name].take()).expect("a string or null");
        Ok(Theirs {
            canonical_request: stage("canonical_request"),
            string_to_sign: stage("string_to_sign"),
            url: from_value(response["url"].take()).expect("a string"),
            headers: from_value(response["headers"].take()).expect("pairs"),
        })
    }

    fn send(&mut self, request: &Value) -> Value {
        writeln!(self.stdin, "{request}").expect("sent");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("received");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {request:#}"))
    }

    fn end(mut self) {
        drop(self.stdin);
        assert!(self.program.wait().expect("ended").success());
    }
}

impl Case {
    fn is_s3(&self) -> bool {
        self.service == "s3"
    }

    fn is_asymmetric(&self) -> bool {
        self.class.contains("Asym")
    }

    fn is_crt(&self) -> bool {
        self.class.starts_with("Crt")
    }

    fn credentials(&self) -> Credentials {
        Credentials::new(ID, &*self.secret, self.token.clone(), None, "test")
    }

    fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.time)
    }

    fn query(&self) -> &str {
        self.uri.split_once('?').map_or("", |(_, query)| query)
    }

    fn path(&self) -> &str {
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
    fn to_json(&self) -> Value {
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
    fn is_signed_alike(&self) -> bool {
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

    fn keys(&self) -> Vec<Vec<u8>> {
        let pairs = self.query().split('&').filter(|pair| !pair.is_empty());
        let keys = pairs.map(|pair| pair.split('=').next().unwrap_or_default().replace('+', " "));
        keys.map(|key| percent_decode_str(&key).collect()).collect()
    }

    fn repeats_keys(&self) -> bool {
        let mut keys = self.keys();
        keys.sort();
        keys.windows(2).any(|pair| pair[0] == pair[1])
    }

    #[cfg(not(feature = "sigv4a"))]
    fn signing_settings(&self) -> SigningSettings {
        SigningSettings::new(self.service, self.region).expect("a scope")
    }

    #[cfg(not(feature = "sigv4a"))]
    fn verify_settings(&self) -> VerifySettings {
        VerifySettings::new(self.service, self.region).expect("a scope")
    }

    #[cfg(feature = "sigv4a")]
    fn signing_settings(&self) -> SigningSettings {
        let settings = if self.is_asymmetric() {
            let regions = RegionSet::new(self.region).expect("regions");
            SigningSettings::multi_region(self.service, regions)
        } else {
            SigningSettings::new(self.service, self.region)
        };
        settings.expect("a scope")
    }

    #[cfg(feature = "sigv4a")]
    fn verify_settings(&self) -> VerifySettings {
        let region = if self.is_asymmetric() {
            "us-east-1"
        } else {
            self.region
        };
        let settings = VerifySettings::new(self.service, region).expect("a scope");
        settings.with_sigv4a(self.is_asymmetric())
    }

    /// Signs the request with this crate.
    fn ours(&self, signer: &Signer) -> (Parts, Explanation) {
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
    fn clock_window(&self) -> u64 {
        if self.is_s3() { 15 * 60 } else { 5 * 60 }
    }

    fn verify_layer(&self, now: SystemTime) -> VerifyLayer {
        let settings = self.verify_settings();
        let keys = StaticKeys::new([self.credentials()]).expect("valid");
        VerifyLayer::new(keys, settings.with_unsigned_payload(true))
            .with_path_rewrite(true)
            .with_clock(Clock::manual(now))
    }
}

/// Returns a random request, except those that the tests at the end list.
fn random_case(rng: &mut Rng) -> Case {
    loop {
        let asymmetric = cfg!(feature = "sigv4a") && rng.u8(..32) == 0;
        let (class, regions) = if asymmetric {
            (
                ASYMMETRIC[rng.usize(..4)],
                ["us-east-1,eu-west-1", "eu-west-1,us-*", "*"],
            )
        } else {
            (
                CLASSES[rng.usize(..8)],
                ["us-east-1", "eu-west-1", "us-gov-west-1"],
            )
        };
        let is_presigned = class.ends_with("QueryAuth");
        let is_s3 = class.contains("S3");
        let form = if is_s3 {
            PathForm::Once
        } else {
            PathForm::TwiceFolded
        };
        let mut uri = random::uri(rng, form).replace("EXAMPLE", "example");
        if uri.contains('?') && !is_presigned && rng.u8(..8) == 0 {
            uri.push_str("&b=2&b=1&b=&b");
        }
        let mut headers = random::headers(rng);
        for (_, value) in &mut headers {
            if rng.u8(..4) == 0 {
                *value = value.replace("  ", " \t");
            }
        }
        let payload = match (is_s3, is_presigned, rng.u8(..4)) {
            (true, true, _) => UNSIGNED,
            (_, false, 0) if is_s3 || uri.starts_with("https:") => UNSIGNED,
            (false, false, 1) => HASH_IN_HEADER,
            _ => HASH,
        };
        let body_len = if payload == HASH && is_presigned {
            0
        } else {
            rng.usize(..200)
        };
        let case = Case {
            class,
            service: if is_s3 { "s3" } else { "execute-api" },
            region: regions[rng.usize(..3)],
            // Few secrets, since the Python program derives keys of SigV4a slowly.
            secret: if asymmetric {
                format!("secret{}", rng.u8(..16))
            } else {
                text(rng, 80)
            },
            token: rng.bool().then(|| text(rng, 600)),
            time: rng.u64(1_000..18_000_000_000),
            expires: is_presigned.then(|| rng.u64(1..=604_800)),
            method: ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "PURGE"][rng.usize(..7)],
            uri,
            query_form: QUERY_FORMS[rng.usize(..3)],
            headers,
            body: (0..body_len).map(|_| rng.u8(..)).collect(),
            payload,
        };
        if case.uri.parse::<Uri>().is_ok() && case.is_signed_alike() {
            return case;
        }
    }
}

fn text(rng: &mut Rng, longest: usize) -> String {
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=";
    (0..rng.usize(1..longest))
        .map(|_| char::from(letters[rng.usize(..letters.len())]))
        .collect()
}

#[tokio::test]
#[ignore = "needs botocore; run scripts/interop"]
async fn random_requests_match_botocore_and_are_rejected_after_changes() {
    let seed = env::var("DIFFERENTIAL_SEED").ok();
    let seed = seed.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    writeln!(io::stdout(), "DIFFERENTIAL_SEED={seed}").expect("written");
    let mut rng = Rng::with_seed(seed);
    let mut botocore = Botocore::start();
    let signer = Signer::new();
    let mut counts = BTreeMap::new();
    let mut count = |kind, found: bool| *counts.entry(kind).or_insert(0) += usize::from(found);
    CLASSES
        .into_iter()
        .chain(CHANGES.map(|(name, _)| name))
        .for_each(|kind| count(kind, false));
    if cfg!(feature = "sigv4a") {
        ASYMMETRIC.into_iter().for_each(|class| count(class, false));
    }
    for _ in 0..REQUESTS {
        let case = random_case(&mut rng);
        let theirs = botocore
            .sign(&case)
            .unwrap_or_else(|error| panic!("{error}: {case:#?}"));
        let (ours, explanation) = case.ours(&signer);
        if case.is_asymmetric() {
            botocore.assert_verifies(&case, &ours, &explanation);
        } else {
            assert_agrees(&case, &theirs, &ours, &explanation);
        }
        case.count(&mut count);

        let received = Received::new(&case, &theirs, &ours, &mut rng);
        let result = received.verify(&case).await;
        if !has_valid_escapes(case.path()) {
            assert_eq!(result, Err(RejectionKind::Target), "{case:#?}");
            count("rejected for a malformed escape", true);
            continue;
        }
        assert_eq!(result, Ok(()), "{case:#?}");
        count("accepted", true);
        let canonical = String::from_utf8_lossy(&explanation.canonical_request);
        let (name, change) = CHANGES[rng.usize(..CHANGES.len())];
        let mut changed = received.clone();
        let Some(kind) = change(&mut changed, &case, &canonical, &mut rng) else {
            continue;
        };
        assert_eq!(
            changed.verify(&case).await,
            Err(kind),
            "{name}: {changed:#?} of {case:#?}"
        );
        count(name, true);
    }
    botocore.end();
    for (kind, count) in counts {
        writeln!(io::stdout(), "{count:>6} {kind}").expect("written");
        assert!(count >= REQUESTS / 500, "{kind}: {count}");
    }
}

/// Asserts that both computed the same signature by the same stages.
fn assert_agrees(case: &Case, theirs: &Theirs, ours: &Parts, explanation: &Explanation) {
    let canonical = String::from_utf8_lossy(&explanation.canonical_request);
    if !case.is_crt() {
        assert_eq!(
            Some(&*canonical),
            theirs.canonical_request.as_deref(),
            "{case:#?}"
        );
        let to_sign = theirs.string_to_sign.as_deref();
        assert_eq!(Some(&*explanation.string_to_sign), to_sign, "{case:#?}");
    }
    assert_eq!(
        explanation.signature,
        theirs.signature(),
        "{canonical}\n{case:#?}"
    );
    match theirs.authorization() {
        Some(theirs) => assert_eq!(common::header(&ours.headers, "authorization"), theirs),
        None => assert_eq!(signature(&ours.uri.to_string()), theirs.signature()),
    }
}

impl Botocore {
    /// Asserts that it derives the same stages from a request that we signed with SigV4a, and accepts the signature.
    fn assert_verifies(&mut self, case: &Case, ours: &Parts, explanation: &Explanation) {
        let uri = ours.uri.to_string();
        let authorization = ours.headers.get(AUTHORIZATION).map(|value| value.to_str());
        let signature = signature(authorization.unwrap_or(Ok(&uri)).expect("ASCII"));
        let (url, query) = uri.split_once('?').unwrap_or((&uri, ""));
        let query = query
            .split_once("&X-Amz-Signature=")
            .map_or(query, |(before, _)| before);
        let covered = ours
            .headers
            .iter()
            .filter(|(name, _)| *name != AUTHORIZATION);
        let headers: Vec<_> = covered
            .map(|(name, value)| {
                (
                    name.as_str(),
                    str::from_utf8(value.as_bytes()).expect("UTF-8"),
                )
            })
            .collect();
        let mut request = case.to_json();
        for (name, value) in [
            ("url", json!(url)),
            ("query", json!(query)),
            ("query_form", json!(ENCODED)),
            ("headers", json!(headers)),
            ("payload", json!(HASH)),
            ("signature", json!(signature)),
        ] {
            request[name] = value;
        }
        let response = self.send(&request);
        let canonical = String::from_utf8_lossy(&explanation.canonical_request);
        assert_eq!(response["canonical_request"], *canonical, "{case:#?}");
        assert_eq!(
            response["string_to_sign"], explanation.string_to_sign,
            "{case:#?}"
        );
        assert_eq!(response["valid"], true, "{signature}: {case:#?}");
    }
}

impl Case {
    fn count(&self, count: &mut impl FnMut(&'static str, bool)) {
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

/// A request that a server receives.
#[derive(Clone, Debug)]
struct Received {
    head: Parts,
    body: Vec<u8>,
    now: SystemTime,
}

impl Received {
    /// Creates a request that botocore signed, received while it is valid, with the `host` of an HTTP client.
    fn new(case: &Case, theirs: &Theirs, ours: &Parts, rng: &mut Rng) -> Self {
        let uri: Uri = theirs.url.parse().expect("a URI");
        let target = uri.into_parts().path_and_query.expect("a target");
        let mut request = Request::builder().method(case.method).uri(target);
        for (name, value) in &theirs.headers {
            request = request.header(name, value);
        }
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        head.headers
            .entry(HOST)
            .or_insert_with(|| ours.headers[HOST].clone());
        let age = Duration::from_secs(rng.u64(..=case.expires.unwrap_or(case.clock_window())));
        Self {
            head,
            body: case.body.clone(),
            now: case.time() + age,
        }
    }

    async fn verify(&self, case: &Case) -> Result<(), RejectionKind> {
        let body = Full::new(Bytes::from(self.body.clone()));
        judge(
            &case.verify_layer(self.now),
            Request::from_parts(self.head.clone(), body),
        )
        .await
    }

    fn set_target(&mut self, path: &str, query: Option<&str>) {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        self.head.uri = format!("{path}{query}").parse().expect("a target");
    }

    /// Edits the header or query that contains the signature. The second argument of `edit` is the form of `/` there.
    fn edit(&mut self, edit: impl Fn(&str, &str) -> String) {
        if let Some(value) = self.head.headers.get_mut(AUTHORIZATION) {
            let edited = edit(value.to_str().expect("ASCII"), "/");
            *value = edited.parse().expect("a value");
            return;
        }
        let (path, query) = (self.head.uri.path(), self.head.uri.query().expect("signed"));
        let (path, query) = (path.to_owned(), edit(query, "%2F"));
        self.set_target(&path, Some(&query));
    }
}

/// Changes a request, given its canonical request, and returns the expected rejection; `None` if the change does not
/// apply.
type Change = fn(&mut Received, &Case, &str, &mut Rng) -> Option<RejectionKind>;

const CHANGES: [(&str, Change); 10] = [
    ("changed: method", |received, _, _, _| {
        let method = format!("{}X", received.head.method);
        received.head.method = Method::from_bytes(method.as_bytes()).expect("a method");
        Some(RejectionKind::SignatureMismatch)
    }),
    ("changed: path", |received, _, _, _| {
        let uri = received.head.uri.clone();
        received.set_target(&format!("{}x", uri.path()), uri.query());
        Some(RejectionKind::SignatureMismatch)
    }),
    ("changed: query", |received, _, _, _| {
        let uri = received.head.uri.clone();
        let query = uri
            .query()
            .map_or("x".to_owned(), |query| format!("{query}&x"));
        received.set_target(uri.path(), Some(&query));
        Some(RejectionKind::SignatureMismatch)
    }),
    ("changed: a signed header", |received, _, canonical, rng| {
        let names: Vec<_> = canonical
            .lines()
            .rev()
            .nth(1)
            .expect("names")
            .split(';')
            .collect();
        let name = names[rng.usize(..names.len())];
        let value = received.head.headers.get_mut(name).expect("present");
        *value = HeaderValue::from_bytes(&[value.as_bytes(), b"x"].concat()).expect("a value");
        Some(match name {
            "x-amz-content-sha256" => RejectionKind::PayloadHash,
            "x-amz-date" => RejectionKind::Date,
            "x-amz-region-set" if value.as_bytes().ends_with(b"*x") => RejectionKind::Malformed,
            "x-amz-security-token" => RejectionKind::SessionToken,
            _ => RejectionKind::SignatureMismatch,
        })
    }),
    ("changed: an unsigned header", |received, _, _, _| {
        let value = HeaderValue::from_static("public-read");
        received
            .head
            .headers
            .insert(HeaderName::from_static("x-amz-acl"), value);
        Some(RejectionKind::HeaderNotSigned)
    }),
    ("changed: body", |received, case, _, rng| {
        received
            .body
            .insert(rng.usize(..=received.body.len()), rng.u8(..));
        match (
            case.payload,
            received.head.headers.contains_key("x-amz-content-sha256"),
        ) {
            (UNSIGNED, _) => None,
            (_, true) => Some(RejectionKind::PayloadMismatch),
            (_, false) => Some(RejectionKind::SignatureMismatch),
        }
    }),
    ("changed: signature", |received, _, _, rng| {
        let at = rng.usize(1..=56); // further left, DER may become invalid
        received.edit(|text, _| {
            let (before, after) = text.split_at(text.len() - at);
            let digit = if after.starts_with('0') { "1" } else { "0" };
            [before, digit, &after[1..]].concat()
        });
        Some(RejectionKind::SignatureMismatch)
    }),
    ("changed: scope", |received, case, _, rng| {
        // The scope of SigV4a has no region.
        let parts = ["aws4_request", case.service, case.region];
        let part = parts[rng.usize(..if case.is_asymmetric() { 2 } else { 3 })];
        received.edit(|text, slash| {
            let at = text.find(&format!("{slash}{part}")).expect("a scope") + slash.len();
            format!("{}x{}", &text[..at], &text[at..])
        });
        Some(RejectionKind::Scope)
    }),
    ("changed: access key id", |received, _, _, _| {
        received.edit(|text, slash| text.replace(&format!("{ID}{slash}"), &format!("X{slash}")));
        Some(RejectionKind::UnknownKey)
    }),
    ("changed: time", |received, case, _, rng| {
        let (valid, late) = (case.expires.unwrap_or(case.clock_window()), rng.bool());
        let seconds = if late { valid } else { case.clock_window() } + rng.u64(1..90);
        let difference = Duration::from_secs(seconds);
        received.now = if late {
            case.time() + difference
        } else {
            case.time() - difference
        };
        Some(if late {
            RejectionKind::Expired
        } else {
            RejectionKind::NotYetValid
        })
    }),
];

// Inputs that botocore signs differently. The random requests exclude them.

/// Returns a line of the canonical request without the parameters of a presigned URL.
fn line(canonical_request: &str, number: usize) -> String {
    let line = canonical_request
        .split('\n')
        .nth(number)
        .expect("line exists");
    let pairs = line.split('&').filter(|pair| !pair.starts_with("X-Amz-"));
    pairs.collect::<Vec<_>>().join("&")
}

#[test]
#[ignore = "needs botocore; run scripts/interop"]
fn botocore_differences() {
    let (signature, s3, presigned) = ("SigV4Auth", "S3SigV4Auth", "SigV4QueryAuth");
    let mut botocore = Botocore::start();
    for (reason, class, target, number, theirs, ours) in [
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=+b",
            2,
            "a=+b",
            "a=%20b",
        ),
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=/",
            2,
            "a=/",
            "a=%2F",
        ),
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=*",
            2,
            "a=*",
            "a=%2A",
        ),
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=b=c",
            2,
            "a=b=c",
            "a=b%3Dc",
        ),
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=%7e",
            2,
            "a=%7e",
            "a=~",
        ),
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=%2f",
            2,
            "a=%2f",
            "a=%2F",
        ),
        (
            "an empty string between two & is a pair",
            signature,
            "/?a&&b",
            2,
            "=&a=&b=",
            "a=&b=",
        ),
        (
            "only one pair of a key remains",
            presigned,
            "/?a=2&a=1",
            2,
            "a=2",
            "a=1&a=2",
        ),
        (
            "a query is UTF-8",
            presigned,
            "/?a=%ff",
            2,
            "a=%EF%BF%BD",
            "a=%FF",
        ),
        (
            "a path of S3 counts as encoded",
            s3,
            "/(a)!*'",
            1,
            "/(a)!*'",
            "/%28a%29%21%2A%27",
        ),
        (
            "a path of S3 counts as encoded",
            s3,
            "/a+b",
            1,
            "/a+b",
            "/a%2Bb",
        ),
        (
            "a path of S3 counts as encoded",
            s3,
            "/a%2Fb",
            1,
            "/a%2Fb",
            "/a/b",
        ),
        (
            "a path of S3 counts as encoded",
            s3,
            "/%41",
            1,
            "/%41",
            "/A",
        ),
        ("a path of S3 counts as encoded", s3, "", 1, "", "/"),
        (
            "a trailing dot segment does not give a slash",
            signature,
            "/a/b/..",
            1,
            "/a",
            "/a/",
        ),
        (
            "a trailing dot segment does not give a slash",
            signature,
            "/a/.",
            1,
            "/a",
            "/a/",
        ),
    ] {
        let case = Case {
            class,
            service: if class == s3 { "s3" } else { "execute-api" },
            uri: format!("https://example.com{target}"),
            expires: (class == presigned).then_some(60),
            ..Case::default()
        };
        botocore.assert_differs(reason, &case, number, theirs, ours);
    }
    let header = |name, value: &str| Case {
        headers: vec![(name, value.to_owned())],
        ..Case::default()
    };
    let case = Case {
        method: "m-search",
        ..Case::default()
    };
    botocore.assert_differs("methods are upper-case", &case, 0, "M-SEARCH", "m-search");
    let case = Case {
        uri: "https://EXAMPLE.com/".to_owned(),
        ..Case::default()
    };
    botocore.assert_differs(
        "hosts are lower-case",
        &case,
        3,
        "host:example.com",
        "host:EXAMPLE.com",
    );
    let case = header("accept", "a\u{a0}b");
    botocore.assert_differs(
        "all Unicode spaces are spaces",
        &case,
        3,
        "accept:a b",
        "accept:a\u{a0}b",
    );
    let (case, now) = (header("date", "x"), "date:Sun, 30 Aug 2015 12:36:00 -0000");
    botocore.assert_differs("date replaces x-amz-date", &case, 3, now, "date:x");
    botocore.end();
}

impl Botocore {
    fn assert_differs(
        &mut self,
        reason: &str,
        case: &Case,
        number: usize,
        theirs: &str,
        ours: &str,
    ) {
        let signed = self
            .sign(case)
            .expect("signed")
            .canonical_request
            .expect("traced");
        assert_eq!(line(&signed, number), theirs, "{reason}: {case:#?}");
        let (_, explanation) = case.ours(&Signer::new());
        let signed = String::from_utf8(explanation.canonical_request).expect("UTF-8");
        assert_eq!(line(&signed, number), ours, "{reason}: {case:#?}");
    }
}

/// awscrt decodes and encodes a query, as servers do, and parses the path as a URI.
#[test]
#[ignore = "needs botocore; run scripts/interop"]
fn awscrt_differences() {
    let mut botocore = Botocore::start();
    let mut signatures = |class, target: &str| {
        let uri = format!("https://example.com{target}");
        let expires = (class == "CrtSigV4QueryAuth").then_some(60);
        let case = Case {
            class,
            expires,
            uri,
            ..Case::default()
        };
        let theirs = botocore
            .sign(&case)
            .map(|signed| signed.signature().to_owned());
        (theirs, case.ours(&Signer::new()).1.signature)
    };
    let class = "CrtSigV4Auth";
    for raw in ["/?a=/&b=*&a=b=c&d=%7e%2f", "/?a&&b", "/?%41=é"] {
        let (theirs, ours) = signatures(class, raw);
        assert_eq!(theirs, Ok(ours), "{raw}");
    }
    for (reason, raw, parsed_as) in [
        ("a plus in a query is a plus", "/?a=+b", "/?a=%2Bb"),
        (
            "a trailing dot segment does not give a slash",
            "/a/b/..",
            "/a",
        ),
    ] {
        let (theirs, ours) = signatures(class, raw);
        assert_eq!(theirs, Ok(signatures(class, parsed_as).1), "{reason}");
        assert_ne!(theirs, Ok(ours), "{reason}");
    }
    for (class, invalid) in [
        (class, "/a:/b"),
        ("CrtSigV4QueryAuth", "//]"),
        (class, "/?a=%zz"),
    ] {
        assert!(signatures(class, invalid).0.is_err(), "{invalid}");
    }
    botocore.end();
}
