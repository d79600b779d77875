//! AWS's signing test suite for SigV4 and SigV4a, from the crate `aws-sigv4`. The tests sign its requests, and verify
//! its requests with signatures in header and query.

use std::{
    convert::Infallible,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, request::Parts};
use http_body_util::Full;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, SigningSettings, VerifyLayer,
    body::VerifiedBody,
    credentials::Credentials,
    sigv4::{
        AllExcept, Explanation, Identity, PathForm, PayloadHash, SessionToken, Signer,
        SigningParams,
    },
    verify::{RejectionKind, StaticKeys, Verified, VerifySettings},
};

/// Cases that only have a canonical path, without context and signature.
const PATH_ONLY: [&str; 2] = ["double-encode-path", "double-url-encode"];
const MIN_CASES: usize = 38;

/// A part of the suite.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    V4,
    #[cfg(feature = "sigv4a")]
    V4a,
}

const VERSIONS: &[Version] = &[
    Version::V4,
    #[cfg(feature = "sigv4a")]
    Version::V4a,
];

impl Version {
    fn folder(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            #[cfg(feature = "sigv4a")]
            Self::V4a => "v4a",
        }
    }

    fn sign_for(self, context: &Context) -> SigningSettings {
        let settings = match self {
            Self::V4 => SigningSettings::new(&context.service, &context.region),
            #[cfg(feature = "sigv4a")]
            Self::V4a => tower_sigv4::sigv4::RegionSet::new(&context.region)
                .and_then(|regions| SigningSettings::multi_region(&context.service, regions)),
        };
        settings.expect("a scope")
    }

    fn accepted(self, settings: VerifySettings) -> VerifySettings {
        match self {
            Self::V4 => settings,
            #[cfg(feature = "sigv4a")]
            Self::V4a => settings.with_sigv4a(true),
        }
    }

    /// Checks our signature and that of the suite. Signatures of SigV4 are equal; those of SigV4a are verified with the
    /// public key of the suite.
    fn check_signatures(self, case: &Path, text: &str, ours: &str, theirs: &str) {
        match self {
            Self::V4 => {
                assert!(text.starts_with("AWS4-HMAC-SHA256\n"), "{text}");
                assert_eq!(ours, theirs, "{}", case.display());
            }
            #[cfg(feature = "sigv4a")]
            Self::V4a => {
                for signature in [ours, theirs] {
                    assert!(
                        is_signature(case, text, signature),
                        "{}: {signature}",
                        case.display()
                    );
                }
                assert!(
                    !is_signature(case, &format!("{text} "), ours),
                    "{}",
                    case.display()
                );
            }
        }
    }
}

/// Verifies a signature with `public-key.json`, without code of this crate.
#[cfg(feature = "sigv4a")]
fn is_signature(case: &Path, text: &str, signature: &str) -> bool {
    use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};

    let bytes = |hex: &str| -> Vec<u8> {
        let digits: Vec<_> = hex
            .chars()
            .map(|digit| digit.to_digit(16).expect("hex"))
            .collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect()
    };
    let key: Value = serde_json::from_str(&read(case, "public-key.json")).expect("JSON");
    let [x, y] = ["X", "Y"].map(|name| bytes(key[name].as_str().expect("a coordinate")));
    let key = VerifyingKey::from_sec1_bytes(&[vec![4], x, y].concat()).expect("a point");
    let signature = Signature::from_der(&bytes(signature)).expect("in DER");
    key.verify(text.as_bytes(), &signature).is_ok()
}

#[test]
fn signatures_match_the_suite() {
    let (mut checks, mut paths) = (0, 0);
    for &version in VERSIONS {
        for (case, name) in cases(version) {
            if PATH_ONLY.contains(&&*name) {
                check_path(&case, &name);
                paths += 1;
            } else {
                check(version, &case, &name);
                check_presigned(version, &case, &name);
                checks += 2;
            }
        }
    }
    // Bypasses the test harness, which hides the output of passing tests.
    let versions = VERSIONS.len();
    writeln!(
        io::stdout(),
        "{checks} checks and {paths} paths of AWS's suite, {versions} versions of it"
    )
    .expect("written");
    assert!(
        checks >= 2 * MIN_CASES * versions,
        "expected 152 with both versions"
    );
    assert_eq!(paths, PATH_ONLY.len());
}

#[tokio::test]
async fn signed_requests_of_the_suite_are_accepted() {
    let mut accepted = 0;
    let cases = VERSIONS
        .iter()
        .flat_map(|&version| cases(version).into_iter().map(move |case| (version, case)));
    for (version, (case, name)) in cases {
        if PATH_ONLY.contains(&&*name) {
            continue;
        }
        for (file, presigned) in [
            ("header-signed-request.txt", false),
            ("query-signed-request.txt", true),
        ] {
            let context = Context::read(&case);
            let (head, body) = request(&read(&case, file));
            let request = Request::from_parts(head, Full::from(body.clone()));
            let result = judge(version, &context, request.clone(), Duration::ZERO).await;
            assert_eq!(result, Ok(presigned), "{name}/{file}");
            // A week later both have expired.
            let late = judge(
                version,
                &context,
                request.clone(),
                Duration::from_secs(604_800),
            )
            .await;
            assert_eq!(late, Err(RejectionKind::Expired), "{name}/{file}");
            let changed = request.map(|_| Full::from(format!("{body}!")));
            assert!(
                judge(version, &context, changed, Duration::ZERO)
                    .await
                    .is_err(),
                "{name}/{file}"
            );
            accepted += 1;
        }
    }
    writeln!(
        io::stdout(),
        "{accepted} signed requests of AWS's suite verified"
    )
    .expect("written");
    assert!(accepted >= 2 * MIN_CASES * VERSIONS.len());
}

/// Returns `true` for a presigned request, or the kind of rejection.
async fn judge(
    version: Version,
    context: &Context,
    request: Request<Full<Bytes>>,
    later: Duration,
) -> Result<bool, RejectionKind> {
    let keys = StaticKeys::new([context.credentials.clone()]).expect("valid");
    let settings = VerifySettings::new(&context.service, &context.region)
        .expect("a scope")
        .with_path_form(context.path_form)
        .with_session_token(context.session_token);
    let layer = VerifyLayer::new(keys, version.accepted(settings))
        .with_path_rewrite(true) // some cases contain dot segments
        .with_clock(Clock::manual(context.time + later));
    let inner = service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
        let mut response = Response::new(Full::<Bytes>::default());
        let verified = request
            .extensions()
            .get::<Verified>()
            .expect("a proof")
            .clone();
        response.extensions_mut().insert(verified);
        Ok::<_, Infallible>(response)
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    match response.extensions().get::<Verified>() {
        Some(verified) => Ok(verified.is_presigned()),
        None => Err(*response.extensions().get().expect("a kind")),
    }
}

/// Returns the folders of the suite with their names.
fn cases(version: Version) -> Vec<(PathBuf, String)> {
    let suite = suite().join(version.folder());
    let mut cases: Vec<_> = fs::read_dir(&suite)
        .expect("the suite is a folder")
        .map(|entry| entry.expect("a readable entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            (
                entry.path(),
                entry.file_name().into_string().expect("an ASCII name"),
            )
        })
        .collect();
    cases.sort();
    assert!(
        cases.len() >= MIN_CASES,
        "only {} cases found in {}",
        cases.len(),
        suite.display(),
    );
    cases
}

/// Parameters of a case.
struct Context {
    credentials: Credentials,
    service: String,
    region: String,
    time: SystemTime,
    path_form: PathForm,
    session_token: SessionToken,
    signs_body: bool,
}

impl Context {
    fn settings(&self, version: Version) -> SigningSettings {
        version
            .sign_for(self)
            .with_path_form(self.path_form)
            .with_session_token(self.session_token)
            .with_payload_header(self.signs_body)
            .with_signed_headers(AllExcept::default())
    }

    fn read(case: &Path) -> Self {
        let context: Value = serde_json::from_str(&read(case, "context.json")).expect("JSON");
        let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
        let flag = |name: &str, default| {
            context
                .get(name)
                .and_then(Value::as_bool)
                .unwrap_or(default)
        };
        let credentials = &context["credentials"];
        let time = OffsetDateTime::parse(&text(&context["timestamp"]), &Rfc3339).expect("RFC 3339");
        Self {
            credentials: Credentials::new(
                text(&credentials["access_key_id"]),
                text(&credentials["secret_access_key"]),
                credentials["token"].as_str().map(str::to_owned),
                None,
                "suite",
            ),
            service: text(&context["service"]),
            region: text(&context["region"]),
            time: time.into(),
            path_form: if flag("normalize", true) {
                PathForm::OnceFolded
            } else {
                PathForm::Once
            },
            session_token: if flag("omit_session_token", false) {
                SessionToken::Unsigned
            } else {
                SessionToken::Signed
            },
            signs_body: flag("sign_body", true),
        }
    }
}

fn check(version: Version, case: &Path, name: &str) {
    let context = Context::read(case);
    let settings = context.settings(version);
    let identity = Identity::new(context.credentials).expect("valid");
    let (parts, body) = request(&read(case, "request.txt"));
    let params = SigningParams::new(
        &settings,
        &identity,
        PayloadHash::of(body.as_bytes()),
        context.time,
    );
    let signer = Signer::new();
    let explanation = signer.explain(&parts, &params).expect("explained");
    assert_eq!(
        canonical(&explanation),
        read(case, "header-canonical-request.txt"),
        "{name}"
    );
    assert_eq!(
        explanation.string_to_sign,
        read(case, "header-string-to-sign.txt"),
        "{name}"
    );
    let (text, theirs) = (
        &explanation.string_to_sign,
        read(case, "header-signature.txt"),
    );
    version.check_signatures(case, text, &explanation.signature, &theirs);

    let mut signed = parts;
    signer.sign(&mut signed, &params).expect("signed");
    let (mut expected, _) = request(&read(case, "header-signed-request.txt"));
    let [ours, theirs] = [&mut signed, &mut expected].map(|head| {
        let value = head.headers.remove("authorization").expect("signed");
        let (rest, signature) = value
            .to_str()
            .expect("ASCII")
            .rsplit_once('=')
            .expect("fields");
        (rest.to_owned(), signature.to_owned())
    });
    assert_eq!(ours.0, theirs.0, "{name}");
    version.check_signatures(case, text, &ours.1, &theirs.1);
    assert_eq!(signed.headers, expected.headers, "{name}");
}

fn check_presigned(version: Version, case: &Path, name: &str) {
    let context = Context::read(case);
    let settings = context.settings(version);
    let identity = Identity::new(context.credentials).expect("valid");
    let (parts, body) = request(&read(case, "request.txt"));
    let payload = PayloadHash::of(body.as_bytes());
    let params = SigningParams::new(&settings, &identity, payload, context.time);
    let (signer, hour) = (Signer::new(), Duration::from_secs(3600));
    let explanation = signer
        .explain_presigned(&parts, &params, hour)
        .expect("explained");
    assert_eq!(
        canonical(&explanation),
        read(case, "query-canonical-request.txt"),
        "{name}"
    );
    assert_eq!(
        explanation.string_to_sign,
        read(case, "query-string-to-sign.txt"),
        "{name}"
    );
    let (text, theirs) = (
        &explanation.string_to_sign,
        read(case, "query-signature.txt"),
    );
    version.check_signatures(case, text, &explanation.signature, &theirs);

    let mut signed = parts;
    signer.presign(&mut signed, &params, hour).expect("signed");
    let (expected, _) = request(&read(case, "query-signed-request.txt"));
    let parameters = |head: &Parts| {
        let mut pairs: Vec<_> = head
            .uri
            .query()
            .expect("one")
            .split('&')
            .map(str::to_owned)
            .collect();
        pairs.sort();
        let at = pairs
            .iter()
            .position(|pair| pair.starts_with("X-Amz-Signature="));
        let signature = pairs.remove(at.expect("signed"));
        (
            pairs,
            signature.split_once('=').expect("a pair").1.to_owned(),
        )
    };
    assert_eq!(signed.uri.path(), expected.uri.path(), "{name}");
    let (ours, theirs) = (parameters(&signed), parameters(&expected));
    assert_eq!(ours.0, theirs.0, "{name}");
    version.check_signatures(case, text, &ours.1, &theirs.1);
    assert_eq!(signed.headers, expected.headers, "{name}");
}

/// API Gateway and Lambda encode the received path again; these cases contain such paths.
fn check_path(case: &Path, name: &str) {
    let settings = SigningSettings::new("execute-api", "us-east-1").expect("a scope");
    assert_eq!(settings.path_form(), PathForm::TwiceFolded);
    let (parts, _) = request(&read(case, "request.txt"));
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "suite");
    let identity = Identity::new(credentials).expect("valid");
    let params = SigningParams::new(
        &settings,
        &identity,
        PayloadHash::EMPTY,
        UNIX_EPOCH + Duration::from_secs(1_440_938_160),
    );
    let explanation = Signer::new().explain(&parts, &params).expect("explained");
    let path = |canonical: &str| canonical.lines().nth(1).map(str::to_owned);
    let expected = path(&read(case, "header-canonical-request.txt"));
    assert!(
        expected.as_ref().is_some_and(|path| path.contains("%25")),
        "{name}"
    );
    assert_eq!(path(&canonical(&explanation)), expected, "{name}");
}

fn canonical(explanation: &Explanation) -> String {
    String::from_utf8(explanation.canonical_request.clone()).expect("the suite is UTF-8")
}

fn request(text: &str) -> (Parts, String) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let request_line = lines.next().expect("a request line");
    let (method, target) = request_line.split_once(' ').expect("a method");
    let target = target
        .strip_suffix(" HTTP/1.1")
        .unwrap_or(target)
        .replace(' ', "%20");
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with(' ') => {
                headers.push((name.to_owned(), value.to_owned()));
            }
            // A folded line continues the previous one.
            _ => headers
                .last_mut()
                .expect("a previous line")
                .1
                .push_str(line),
        }
    }
    let mut parts = Request::builder()
        .method(method)
        .uri(target)
        .body(())
        .expect("a request")
        .into_parts()
        .0;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        parts
            .headers
            .append(name, HeaderValue::from_str(&value).expect("a value"));
    }
    (parts, body.to_owned())
}

fn read(case: &Path, file: &str) -> String {
    let path = case.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the suite's folder in the source of `aws-sigv4`.
///
/// `cargo metadata` needs all packages of the workspace, and by default of every platform. The filter avoids downloads
/// that a build does not need. It is not offline, since a build of one package downloads less than the workspace.
fn suite() -> PathBuf {
    let host = cargo(&["--version", "--verbose"]);
    let host = host
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("a host");
    let arguments = [
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        host,
    ];
    let metadata: Value = serde_json::from_str(&cargo(&arguments)).expect("JSON");
    let manifest = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .find(|package| package["name"] == "aws-sigv4")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("aws-sigv4 is a dependency");
    Path::new(manifest).with_file_name("aws-signing-test-suite")
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}
