//! Time to verify requests of the maximum size that an unknown client can send: many signed headers, and long queries.
//! One operation verifies a received head without cloning it.
//!
//! The first row is subtracted from the others, and the second is the reference:
//!
//! - scratchstack-aws-signature, where it verifies the whole request. It consumes the request, so that its row includes
//!   a clone.
//! - "linear search" searches a list of names for each header, and "decoded ten times" decodes the key of each parameter
//!   once for each of the ten of a presigned URL. This crate did so before it had limits.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --bench limits
//! ```

#[allow(dead_code)]
mod judge;

use std::{
    hint::black_box,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header, request::Parts};
use judge::Judge;
use percent_encoding::percent_decode_str;
use tower_sigv4::{
    SigningSettings,
    sigv4::{AllExcept, Identity, PayloadHash, Signer, SigningParams},
    verify::{RejectionKind, Verifier, VerifySettings},
};
use tower_sigv4_benches::{
    Contender, compare, contender,
    request::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, SERVICE, TIME},
};

/// Maximum number of names that this crate accepts.
const MOST_NAMES: usize = 1024;
/// Number of names in an attack.
const MANY_NAMES: usize = 20_000;
/// Maximum number of parameters that this crate accepts.
const MOST_PARAMETERS: usize = 4096;
/// Slightly less than the maximum length of a query in `http`.
const LONGEST_QUERY: usize = 64_000;

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench"); // not by `cargo test --benches`
    let many = Case::new(headers(MANY_NAMES), "/", Err(RejectionKind::Malformed));
    let most = Case::new(headers(MOST_NAMES), "/", Ok(()));
    let short_names = format!("/?{}", "x&".repeat(LONGEST_QUERY / 2));
    let short = Case::new(headers(8), &short_names, Err(RejectionKind::Target));
    let long = Case::new(headers(8), &parameters(), Ok(()));
    for (title, contenders) in [
        (
            "1,024 signed names",
            vec![nothing(), most.scratchstack(), most.searched(), most.ours()],
        ),
        (
            "20,000 signed names",
            vec![nothing(), many.scratchstack(), many.ours()],
        ),
        (
            "64 KB query, x&x&...",
            vec![nothing(), short.decoded(), short.ours()],
        ),
        (
            "64 KB query, 4,096 pairs",
            vec![nothing(), long.scratchstack(), long.decoded(), long.ours()],
        ),
    ] {
        if measured {
            compare(title, contenders);
        }
    }
}

fn nothing() -> Contender<'static> {
    contender("nothing", || ())
}

/// Returns names that make `count` signed headers, together with `host` and those that signing adds.
fn headers(count: usize) -> Vec<String> {
    let added = ["host", "x-amz-content-sha256", "x-amz-date"].len();
    (added..count)
        .map(|number| format!("x-header-{number:05}"))
        .collect()
}

/// Returns a target with the maximum number of parameters, unsorted, whose values have to be encoded.
fn parameters() -> String {
    let len = LONGEST_QUERY / MOST_PARAMETERS;
    let pairs = (0..MOST_PARAMETERS).map(|number| {
        let pair = format!("{:04x}=x+", number * 2_659 % MOST_PARAMETERS);
        format!("{pair:a<width$}", width = len - 1)
    });
    format!("/?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// A received head, with the verifier of each contender.
struct Case {
    request: Request<Bytes>,
    head: Parts,
    /// Names in `SignedHeaders`.
    names: Vec<String>,
    credentials: Credentials,
    now: SystemTime,
    verifier: Verifier,
    judge: Judge,
}

impl Case {
    /// Signs a request with these headers, and asserts the result of verification by this crate.
    fn new(added: Vec<String>, target: &str, expected: Result<(), RejectionKind>) -> Self {
        let now = UNIX_EPOCH + Duration::from_secs(TIME);
        let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "bench");
        let request = Request::get(target)
            .header(header::HOST, "example.com")
            .body(());
        let (mut head, ()) = request.expect("a legal request").into_parts();
        for text in &added {
            let name = HeaderName::try_from(text).expect("a legal name");
            head.headers.insert(name, HeaderValue::from_static("1"));
        }
        let settings = SigningSettings::new(SERVICE, REGION)
            .expect("legal names")
            .with_signed_headers(AllExcept::default());
        let identity = Identity::new(credentials.clone()).expect("legal credentials");
        let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now);
        Signer::new().sign(&mut head, &params).expect("signed");
        let mut names = added;
        names.extend(["host", "x-amz-content-sha256", "x-amz-date"].map(str::to_owned));
        names.sort_unstable();
        let case = Self {
            request: Request::from_parts(head.clone(), Bytes::new()),
            head,
            names,
            judge: Judge::new(&credentials, REGION, SERVICE, now),
            credentials,
            now,
            verifier: Verifier::new(VerifySettings::new(SERVICE, REGION).expect("legal names")),
        };
        assert_eq!(case.verify(), expected);
        case
    }

    fn verify(&self) -> Result<(), RejectionKind> {
        let claim = self
            .verifier
            .parse(&self.head, self.now)
            .map_err(|error| error.kind())?;
        let accepted = self
            .verifier
            .verify(claim, &self.credentials, &PayloadHash::EMPTY);
        accepted.map(drop).map_err(|error| error.kind())
    }

    fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    fn ours(&self) -> Contender<'_> {
        contender("tower-sigv4", || self.verify())
    }

    fn scratchstack(&self) -> Contender<'_> {
        contender("scratchstack", || {
            self.judge.verify(self.request.clone(), self.now)
        })
    }

    fn searched(&self) -> Contender<'_> {
        contender("linear search", || {
            let names = self.head.headers.keys();
            names
                .filter(|name| self.names.iter().any(|known| known == name.as_str()))
                .count()
        })
    }

    fn decoded(&self) -> Contender<'_> {
        const PARAMETERS: usize = 10;
        contender("decoded ten times", || {
            for pair in self.query().split('&') {
                let key = pair.split('=').next().unwrap_or_default();
                for _ in 0..PARAMETERS {
                    percent_decode_str(black_box(key)).for_each(|byte| {
                        black_box(byte.to_ascii_lowercase());
                    });
                }
            }
        })
    }
}
