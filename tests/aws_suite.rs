//! AWS's signing test suite, version 4, header mode, as it ships in the crate `aws-sigv4`.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderName, HeaderValue, Request, request::Parts};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tower_sigv4::{
    SigningSettings,
    credentials::Credentials,
    sigv4::{
        AllExcept, Explanation, Identity, PathForm, PayloadHash, SessionToken, Signer,
        SigningParams,
    },
};

/// Cases that only state their canonical path: they have no context and no signature to compare.
const PATH_ONLY: [&str; 2] = ["double-encode-path", "double-url-encode"];
const FEWEST_CASES: usize = 38;

#[test]
fn every_case_of_the_suite_gives_the_three_texts_it_states() {
    let suite = suite();
    let mut cases: Vec<_> = fs::read_dir(&suite)
        .expect("the suite is a folder")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    for case in &cases {
        let name = case.file_name().and_then(|name| name.to_str()).expect("an ASCII name");
        if PATH_ONLY.contains(&name) {
            check_path(case, name);
        } else {
            check(case, name);
        }
    }
    // Written past the harness, which would swallow what a passing test prints.
    writeln!(io::stdout(), "{} cases of AWS's signing suite ran", cases.len()).expect("written");
    assert!(
        cases.len() >= FEWEST_CASES + PATH_ONLY.len(),
        "only {} cases found in {}",
        cases.len(),
        suite.display(),
    );
}

fn check(case: &Path, name: &str) {
    let context: Value = serde_json::from_str(&read(case, "context.json")).expect("JSON");
    let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
    let flag = |name: &str, default| context.get(name).and_then(Value::as_bool).unwrap_or(default);
    let credentials = &context["credentials"];
    let identity = identity(
        &text(&credentials["access_key_id"]),
        &text(&credentials["secret_access_key"]),
        credentials["token"].as_str().map(str::to_owned),
    );
    let time = OffsetDateTime::parse(&text(&context["timestamp"]), &Rfc3339).expect("RFC 3339");
    let settings = SigningSettings::new(&text(&context["service"]), &text(&context["region"]))
        .expect("a scope")
        .with_path_form(match flag("normalize", true) {
            true => PathForm::OnceFolded,
            false => PathForm::Once,
        })
        .with_session_token(match flag("omit_session_token", false) {
            true => SessionToken::Unsigned,
            false => SessionToken::Signed,
        })
        .with_payload_header(flag("sign_body", true))
        .with_signed_headers(AllExcept::default());
    let (parts, body) = request(&read(case, "request.txt"));
    let params =
        SigningParams::new(&settings, &identity, PayloadHash::of(body.as_bytes()), time.into());
    let signer = Signer::new();
    let explanation = signer.explain(&parts, &params).expect("explained");
    assert_eq!(canonical(&explanation), read(case, "header-canonical-request.txt"), "{name}");
    assert_eq!(explanation.string_to_sign, read(case, "header-string-to-sign.txt"), "{name}");
    assert_eq!(explanation.signature, read(case, "header-signature.txt"), "{name}");

    let mut signed = parts;
    signer.sign(&mut signed, &params).expect("signed");
    let (expected, _) = request(&read(case, "header-signed-request.txt"));
    assert_eq!(signed.headers["authorization"], expected.headers["authorization"], "{name}");
    assert_eq!(signed.headers, expected.headers, "{name}");
}

/// API Gateway and Lambda encode the received path once more; these cases hold such paths.
fn check_path(case: &Path, name: &str) {
    let settings = SigningSettings::new("execute-api", "us-east-1").expect("a scope");
    assert_eq!(settings.path_form(), PathForm::TwiceFolded);
    let (parts, _) = request(&read(case, "request.txt"));
    let identity = identity("AKIDEXAMPLE", "secret", None);
    let params = SigningParams::new(
        &settings,
        &identity,
        PayloadHash::EMPTY,
        UNIX_EPOCH + Duration::from_secs(1_440_938_160),
    );
    let explanation = Signer::new().explain(&parts, &params).expect("explained");
    let path = |canonical: &str| canonical.lines().nth(1).map(str::to_owned);
    let expected = path(&read(case, "header-canonical-request.txt"));
    assert!(expected.as_ref().is_some_and(|path| path.contains("%25")), "{name}");
    assert_eq!(path(&canonical(&explanation)), expected, "{name}");
}

fn canonical(explanation: &Explanation) -> String {
    String::from_utf8(explanation.canonical_request.clone()).expect("the suite is UTF-8")
}

fn identity(id: &str, secret: &str, token: Option<String>) -> Identity {
    Identity::new(Credentials::new(id, secret, token, None::<SystemTime>, "suite")).expect("valid")
}

fn request(text: &str) -> (Parts, String) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let request_line = lines.next().expect("a request line");
    let (method, target) = request_line.split_once(' ').expect("a method");
    let target = target.strip_suffix(" HTTP/1.1").unwrap_or(target).replace(' ', "%20");
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with(' ') => {
                headers.push((name.to_owned(), value.to_owned()));
            }
            // A folded line goes on with the value of the line before it.
            _ => headers.last_mut().expect("a line to go on with").1.push_str(line),
        }
    }
    let mut parts =
        Request::builder().method(method).uri(target).body(()).expect("a request").into_parts().0;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        parts.headers.append(name, HeaderValue::from_str(&value).expect("a value"));
    }
    (parts, body.to_owned())
}

fn read(case: &Path, file: &str) -> String {
    let path = case.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where cargo keeps the source of `aws-sigv4`.
fn suite() -> PathBuf {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version=1", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let manifest = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .find(|package| package["name"] == "aws-sigv4")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("aws-sigv4 is a dependency");
    Path::new(manifest).with_file_name("aws-signing-test-suite").join("v4")
}
