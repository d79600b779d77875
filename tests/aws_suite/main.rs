//! AWS's signing test suite for SigV4 and SigV4a, from the crate `aws-sigv4`. The tests sign its requests, and verify
//! its requests with signatures in header and query.

mod cases;
mod version;

use std::{
    convert::Infallible,
    io::{self, Write},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
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

use cases::{MIN_CASES, PATH_ONLY, cases, read, request};
use version::{VERSIONS, Version};

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
            let result = verify_request(version, &context, request.clone(), Duration::ZERO).await;
            assert_eq!(result, Ok(presigned), "{name}/{file}");
            // A week later both have expired.
            let late = verify_request(
                version,
                &context,
                request.clone(),
                Duration::from_secs(604_800),
            )
            .await;
            assert_eq!(late, Err(RejectionKind::Expired), "{name}/{file}");
            let changed = request.map(|_| Full::from(format!("{body}!")));
            assert!(
                verify_request(version, &context, changed, Duration::ZERO)
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
async fn verify_request(
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
