//! The signer in Python.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use http::{header::AUTHORIZATION, request::Parts};
use serde_json::{Value, from_value, json};
use tower_sigv4::sigv4::{Explanation, Signer};

use super::{
    case::{Case, ENCODED, HASH},
    differences::line,
};

/// A request that botocore signed.
#[derive(Debug)]
pub(super) struct BotocoreSignature {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) canonical_request: Option<String>,
    pub(super) string_to_sign: Option<String>,
}

impl BotocoreSignature {
    pub(super) fn authorization(&self) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|(name, _)| name == "Authorization");
        header.map(|(_, value)| &**value)
    }

    pub(super) fn signature(&self) -> &str {
        signature(self.authorization().unwrap_or(&self.url))
    }
}

/// Returns the signature at the end of an authorization or a presigned URL.
pub(super) fn signature(text: &str) -> &str {
    text.rsplit_once("Signature=").expect("signed").1
}

/// The Python program, which ends when its input is closed.
pub(super) struct Botocore {
    pub(super) program: Child,
    pub(super) stdin: ChildStdin,
    pub(super) stdout: BufReader<ChildStdout>,
}

impl Botocore {
    pub(super) fn start() -> Self {
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
    pub(super) fn sign(&mut self, case: &Case) -> Result<BotocoreSignature, String> {
        let mut response = self.send(&case.to_json());
        if let Some(error) = response["error"].as_str() {
            return Err(error.to_owned());
        }
        let mut stage = |name: &str| from_value(response[name].take()).expect("a string or null");
        Ok(BotocoreSignature {
            canonical_request: stage("canonical_request"),
            string_to_sign: stage("string_to_sign"),
            url: from_value(response["url"].take()).expect("a string"),
            headers: from_value(response["headers"].take()).expect("pairs"),
        })
    }

    pub(super) fn send(&mut self, request: &Value) -> Value {
        writeln!(self.stdin, "{request}").expect("sent");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("received");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {request:#}"))
    }

    pub(super) fn end(mut self) {
        drop(self.stdin);
        assert!(self.program.wait().expect("ended").success());
    }
}

impl Botocore {
    /// Asserts that it derives the same stages from a request that we signed with SigV4a, and accepts the signature.
    pub(super) fn assert_verifies(&mut self, case: &Case, ours: &Parts, explanation: &Explanation) {
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

impl Botocore {
    pub(super) fn assert_differs(
        &mut self,
        reason: &str,
        case: &Case,
        number: usize,
        botocore_signature: &str,
        ours: &str,
    ) {
        let signed = self
            .sign(case)
            .expect("signed")
            .canonical_request
            .expect("traced");
        assert_eq!(
            line(&signed, number),
            botocore_signature,
            "{reason}: {case:#?}"
        );
        let (_, explanation) = case.ours(&Signer::new());
        let signed = String::from_utf8(explanation.canonical_request).expect("UTF-8");
        assert_eq!(line(&signed, number), ours, "{reason}: {case:#?}");
    }
}
