//! Requests that must be rejected: valid requests with one change each, and the kind of each rejection.

#[cfg(feature = "sigv4a")]
mod sigv4a;

use std::{convert::Infallible, time::Duration};

use crate::common::now;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use sha2::{Digest, Sha256};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, VerifyLayer,
    body::VerifiedBody,
    credentials::Credentials,
    verify::{RejectionKind as Kind, StaticKeys, Verified, VerifySettings},
};

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TEMPORARY: &str = "ASIAEXAMPLE";
/// Longer than 64 bytes, the block size of the comparison.
const TOKEN: &str =
    "IQoJb3Jp+Z2lu/X2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQDQyv5kHg3r0Dq8cXo1n7wJb2Vj=";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A request before signing, with every input of the signature.
///
/// Its own simple signer expects path and query in canonical form.
#[derive(Clone)]
struct Draft {
    method: &'static str,
    target: String,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    signed: Vec<&'static str>,
    body: &'static str,
    /// Last line of the canonical request.
    payload: String,
    id: &'static str,
    secret: &'static str,
    date: String,
    scope: String,
    algorithm: &'static str,
    presigned: bool,
    version: Version,
}

/// In version 4a the region of the draft is its region set, and is not in the scope.
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
    /// Converts a draft to this version.
    fn of(self, draft: Draft) -> Draft {
        match self {
            Self::V4 => draft,
            #[cfg(feature = "sigv4a")]
            Self::V4a => sigv4a::draft(draft),
        }
    }

    fn accepted(self, settings: VerifySettings) -> VerifySettings {
        match self {
            Self::V4 => settings,
            #[cfg(feature = "sigv4a")]
            Self::V4a => settings.with_sigv4a(true),
        }
    }
}

/// A request signed in the header.
fn header() -> Draft {
    let body = r#"{"id":7}"#;
    let hash = hash(body);
    Draft {
        method: "POST",
        target: "/prod/orders".to_owned(),
        query: vec![pair("a", "1"), pair("b", "x")],
        headers: vec![
            ("host", "api.example.com".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("x-amz-content-sha256", hash.clone()),
            ("x-amz-date", "20150830T123600Z".to_owned()),
            ("x-amz-target", "Orders.Put".to_owned()),
            ("user-agent", "test".to_owned()),
        ],
        signed: vec![
            "content-type",
            "host",
            "x-amz-content-sha256",
            "x-amz-date",
            "x-amz-target",
        ],
        body,
        payload: hash,
        id: ID,
        secret: SECRET,
        date: "20150830T123600Z".to_owned(),
        scope: "20150830/us-east-1/execute-api/aws4_request".to_owned(),
        algorithm: "AWS4-HMAC-SHA256",
        presigned: false,
        version: Version::V4,
    }
}

/// As [`header`], without a hash of the body in the headers.
fn unhashed() -> Draft {
    let mut draft = header();
    draft.drop_header("x-amz-content-sha256");
    draft
}

/// As [`header`], with temporary credentials.
fn temporary() -> Draft {
    let mut draft = header();
    draft.id = TEMPORARY;
    draft
        .headers
        .push(("x-amz-security-token", TOKEN.to_owned()));
    draft.signed.insert(4, "x-amz-security-token");
    draft
}

/// A request signed in the query.
fn presigned() -> Draft {
    let mut draft = header();
    draft.method = "GET";
    draft.headers = vec![("host", "api.example.com".to_owned())];
    draft.signed = vec!["host"];
    draft.body = "";
    draft.payload = EMPTY.to_owned();
    draft.query.push(pair("X-Amz-Expires", "3600"));
    draft.presigned = true;
    draft
}

fn presigned_temporary() -> Draft {
    let mut draft = presigned();
    draft.id = TEMPORARY;
    draft
        .query
        .push(pair("X-Amz-Security-Token", &percent_encoded(TOKEN)));
    draft
}

fn percent_encoded(token: &str) -> String {
    token
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

fn s3() -> Draft {
    let mut draft = header();
    draft.scope = "20150830/us-east-1/s3/aws4_request".to_owned();
    draft
}

/// A request signed in the query without a hash, as by clients of S3.
fn presigned_s3() -> Draft {
    let mut draft = presigned();
    draft.scope = "20150830/us-east-1/s3/aws4_request".to_owned();
    draft.payload = "UNSIGNED-PAYLOAD".to_owned();
    draft
}

/// A request with `date` only.
fn dated() -> Draft {
    let mut draft = header();
    draft.drop_header("x-amz-date");
    draft.sign_header("date", "Sun, 30 Aug 2015 12:36:00 GMT");
    draft
}

/// A request with a signed header whose name has an underscore.
fn underscored() -> Draft {
    let mut draft = header();
    draft.sign_header("x_tenant", "1");
    draft
}

/// A request with an additional signed header.
fn tenant() -> Draft {
    let mut draft = header();
    draft.sign_header("x-tenant", "1");
    draft
}

impl Draft {
    fn header(&mut self, name: &str) -> &mut String {
        let found = self.headers.iter_mut().find(|(found, _)| *found == name);
        &mut found.expect(name).1
    }

    fn drop_header(&mut self, name: &str) {
        self.headers.retain(|(found, _)| *found != name);
        self.signed.retain(|found| *found != name);
    }

    fn sign_header(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.to_owned()));
        self.signed.push(name);
        self.signed.sort_unstable();
    }

    /// Signs headers until `count` are signed.
    fn sign_headers(&mut self, count: usize) {
        for number in self.signed.len()..count {
            self.sign_header(Box::leak(format!("x-{number:04}").into_boxed_str()), "1");
        }
    }

    /// Adds query parameters until there are `count`, including those of a presigned URL.
    fn add_parameters(&mut self, count: usize) {
        let ours = if self.presigned { 5 } else { 0 };
        for number in self.query.len() + ours..count {
            self.query.push(pair(&format!("p{number:04}"), ""));
        }
    }

    fn leave_unsigned(&mut self, name: &str) {
        self.signed.retain(|found| *found != name);
    }

    fn date(&mut self, date: &str) {
        self.date = date.to_owned();
        if !self.presigned {
            *self.header("x-amz-date") = date.to_owned();
        }
    }

    fn sign(mut self) -> Request<Bytes> {
        #[cfg(feature = "sigv4a")]
        if self.version == Version::V4a {
            sigv4a::state_regions(&mut self);
        }
        let signed = self.signed.join(";");
        if self.presigned {
            let credential = format!("{}/{}", self.id, self.scope).replace('/', "%2F");
            self.query.push(pair("X-Amz-Algorithm", self.algorithm));
            self.query.push(pair("X-Amz-Credential", &credential));
            self.query.push(pair("X-Amz-Date", &self.date));
            self.query
                .push(pair("X-Amz-SignedHeaders", &signed.replace(';', "%3B")));
        }
        let joined = |pairs: &[(String, String)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.join("&")
        };
        let query = joined(&self.query);
        self.query.sort();
        let mut canonical = format!(
            "{}\n{}\n{}\n",
            self.method,
            self.target,
            joined(&self.query)
        );
        for name in &self.signed {
            let values: Vec<_> = self
                .headers
                .iter()
                .filter(|(found, _)| found == name)
                .collect();
            let values: Vec<_> = values.iter().map(|(_, value)| value.as_str()).collect();
            canonical += &format!("{name}:{}\n", values.join(","));
        }
        canonical += &format!("\n{signed}\n{}", self.payload);
        let to_sign = format!(
            "{}\n{}\n{}\n{}",
            self.algorithm,
            self.date,
            self.scope,
            hash(&canonical)
        );
        let signature = match self.version {
            Version::V4 => {
                let parts: Vec<_> = self.scope.split('/').collect();
                let key = generate_signing_key(self.secret, now(), parts[1], parts[2]);
                calculate_signature(key, to_sign.as_bytes())
            }
            #[cfg(feature = "sigv4a")]
            Version::V4a => sigv4a::signature(&self, &to_sign),
        };

        let mut request = Request::builder().method(self.method);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if self.presigned {
            request = request.uri(format!(
                "{}?{query}&X-Amz-Signature={signature}",
                self.target
            ));
        } else {
            let value = format!(
                "{} Credential={}/{}, SignedHeaders={signed}, Signature={signature}",
                self.algorithm, self.id, self.scope,
            );
            request = request
                .uri(format!("{}?{query}", self.target))
                .header("authorization", value);
        }
        request
            .body(Bytes::from_static(self.body.as_bytes()))
            .expect("a request")
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn hash(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Verifies a request and returns the access key ID or the kind of the rejection.
async fn verify(layer: &VerifyLayer, request: Request<Bytes>) -> Result<String, Kind> {
    let inner = service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
        let id = request
            .extensions()
            .get::<Verified>()
            .map(|by| by.access_key_id().to_owned());
        let body = Full::new(Bytes::from(id.expect("a proof")));
        Ok::<_, Infallible>(Response::new(body))
    });
    let Ok(response) = layer.layer(inner).oneshot(request.map(Full::new)).await;
    match response.extensions().get::<Kind>().copied() {
        Some(kind) => {
            assert!(
                response.status().is_client_error(),
                "{kind:?}: {}",
                response.status()
            );
            Err(kind)
        }
        None => {
            use http_body_util::BodyExt;
            let body = response
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            Ok(String::from_utf8_lossy(&body).into_owned())
        }
    }
}

fn layer(service: &str) -> VerifyLayer {
    layer_in(Version::V4, service)
}

fn layer_in(version: Version, service: &str) -> VerifyLayer {
    let keys = StaticKeys::new([
        Credentials::new(ID, SECRET, None, None, "test"),
        Credentials::new(TEMPORARY, SECRET, Some(TOKEN.to_owned()), None, "test"),
    ]);
    let settings = version.accepted(VerifySettings::new(service, "us-east-1").expect("a scope"));
    VerifyLayer::new(keys.expect("valid"), settings).with_clock(Clock::manual(now()))
}

fn layer_for(draft: &Draft) -> VerifyLayer {
    layer_in(
        draft.version,
        if draft.scope.contains("/s3/") {
            "s3"
        } else {
            "execute-api"
        },
    )
}

type Base = fn() -> Draft;

#[tokio::test]
async fn unchanged_requests_are_accepted() {
    for (base, id) in [
        (header as Base, ID),
        (unhashed, ID),
        (temporary, TEMPORARY),
        (presigned, ID),
        (presigned_temporary, TEMPORARY),
        (s3, ID),
        (presigned_s3, ID),
        (dated, ID),
        (tenant, ID),
        (underscored, ID),
    ] {
        for &version in VERSIONS {
            let draft = version.of(base());
            let layer = layer_for(&draft);
            assert_eq!(
                verify(&layer, draft.sign()).await,
                Ok(id.to_owned()),
                "{version:?}"
            );
        }
    }
}

/// Each row changes the request before signing, within the rules.
#[tokio::test]
async fn valid_requests_are_accepted() {
    type Change = fn(&mut Draft);
    let rows: &[(&str, Base, Change)] = &[
        ("as many signed names as the maximum", header, |d| {
            d.sign_headers(1024)
        }),
        (
            "as many signed names as the maximum, query",
            presigned,
            |d| d.sign_headers(1024),
        ),
        ("as many parameters as the maximum", header, |d| {
            d.add_parameters(4096)
        }),
        ("as many parameters as the maximum, query", presigned, |d| {
            d.add_parameters(4096)
        }),
        ("x_amz_acl is signed", s3, |d| {
            d.sign_header("x_amz_acl", "private")
        }),
        ("x_amz_acl and x-amz-acl are signed", s3, |d| {
            d.sign_header("x_amz_acl", "private");
            d.sign_header("x-amz-acl", "private");
        }),
        ("date in the place of x-amz-date", dated, |_| {}),
        ("date beside x-amz-date", header, |d| {
            d.sign_header("date", "Mon, 31 Aug 2015 00:00:00 GMT");
            d.headers.push(("date", "tomorrow".to_owned()));
        }),
        ("date unsigned beside x-amz-date", header, |d| {
            d.headers.push(("date", "tomorrow".to_owned()));
        }),
        ("date beside X-Amz-Date", presigned, |d| {
            d.sign_header("date", "tomorrow")
        }),
        ("a presigned download", presigned_s3, |_| {}),
        (
            "a presigned download that states its payload",
            presigned_s3,
            |d| {
                d.query
                    .push(pair("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"));
            },
        ),
        (
            "a presigned download that states its payload, header",
            presigned_s3,
            |d| {
                d.sign_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
            },
        ),
        (
            "a presigned download that states its length",
            presigned_s3,
            |d| {
                d.headers.push(("content-length", "0".to_owned()));
            },
        ),
        ("a presigned PUT without a body", presigned_s3, |d| {
            d.method = "PUT"
        }),
        ("a presigned upload with a hash", presigned_s3, |d| {
            d.method = "PUT";
            d.body = "x";
            d.payload = hash("x");
            let payload = d.payload.clone();
            d.sign_header("x-amz-content-sha256", &payload);
        }),
        ("user_agent beside user-agent, both unsigned", header, |d| {
            d.headers.push(("user_agent", "test".to_owned()));
        }),
        (
            "a name with an underscore beside signed names",
            tenant,
            |d| {
                d.headers.push(("x_tenants", "2".to_owned()));
            },
        ),
        ("content-length and its framing are unsigned", header, |d| {
            d.headers.push(("content-length", "8".to_owned()));
        }),
    ];
    let mut failed = Vec::new();
    for (name, base, change) in rows {
        for &version in VERSIONS {
            let mut draft = version.of(base());
            change(&mut draft);
            let (layer, id) = (layer_for(&draft), draft.id);
            let judged = verify(&layer, draft.sign()).await;
            if judged != Ok(id.to_owned()) {
                failed.push(format!("{version:?}, {name}: {judged:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Each row changes the request before signing: the sender has a key and abuses it, or has a bug. The signature
/// matches the request, so that only the rule rejects it.
#[tokio::test]
async fn invalid_signed_requests_are_rejected() {
    type Change = fn(&mut Draft);
    let rows: &[(&str, Kind, Base, Change)] = &[
        ("host is not signed", Kind::HeaderNotSigned, header, |d| {
            d.leave_unsigned("host")
        }),
        (
            "host is not signed, query",
            Kind::HeaderNotSigned,
            presigned,
            |d| {
                d.signed = vec!["x-a"];
                d.headers.push(("x-a", "1".to_owned()));
            },
        ),
        (
            "x-amz-date is not signed",
            Kind::HeaderNotSigned,
            header,
            |d| {
                d.leave_unsigned("x-amz-date");
            },
        ),
        (
            "content-type is not signed",
            Kind::HeaderNotSigned,
            header,
            |d| {
                d.leave_unsigned("content-type");
            },
        ),
        (
            "x-amz-target is not signed",
            Kind::HeaderNotSigned,
            header,
            |d| {
                d.leave_unsigned("x-amz-target");
            },
        ),
        (
            "the hash is not signed",
            Kind::HeaderNotSigned,
            header,
            |d| {
                d.leave_unsigned("x-amz-content-sha256");
            },
        ),
        (
            "the hash is not signed and picks the mode",
            Kind::HeaderNotSigned,
            header,
            |d| {
                d.leave_unsigned("x-amz-content-sha256");
                *d.header("x-amz-content-sha256") = "UNSIGNED-PAYLOAD".to_owned();
            },
        ),
        (
            "the token is not signed",
            Kind::HeaderNotSigned,
            temporary,
            |d| {
                d.leave_unsigned("x-amz-security-token");
            },
        ),
        ("no x-amz-date", Kind::Date, header, |d| {
            d.drop_header("x-amz-date")
        }),
        ("date in its stead, in its form", Kind::Date, dated, |d| {
            *d.header("date") = "20150830T123600Z".to_owned();
        }),
        (
            "date in its stead, in an obsolete form",
            Kind::Date,
            dated,
            |d| {
                *d.header("date") = "Sunday, 30-Aug-15 12:36:00 GMT".to_owned();
            },
        ),
        (
            "date in its stead, on another day of the week",
            Kind::Date,
            dated,
            |d| {
                *d.header("date") = "Mon, 30 Aug 2015 12:36:00 GMT".to_owned();
            },
        ),
        ("date in its stead, not signed", Kind::Date, dated, |d| {
            d.leave_unsigned("date")
        }),
        ("date in its stead, twice", Kind::Malformed, dated, |d| {
            d.headers
                .push(("date", "Sun, 30 Aug 2015 12:36:00 GMT".to_owned()));
        }),
        (
            "date in its stead, of another day",
            Kind::Scope,
            dated,
            |d| {
                *d.header("date") = "Mon, 31 Aug 2015 12:36:00 GMT".to_owned();
            },
        ),
        ("date in its stead, too old", Kind::Expired, dated, |d| {
            *d.header("date") = "Sun, 30 Aug 2015 12:30:59 GMT".to_owned();
        }),
        (
            "date in its stead, from the future",
            Kind::NotYetValid,
            dated,
            |d| {
                *d.header("date") = "Sun, 30 Aug 2015 12:41:01 GMT".to_owned();
            },
        ),
        (
            "date in its stead, not that of the string to sign",
            Kind::SignatureMismatch,
            dated,
            |d| {
                *d.header("date") = "Sun, 30 Aug 2015 12:36:01 GMT".to_owned();
            },
        ),
        (
            "date beside an x-amz-date that is no time",
            Kind::Date,
            dated,
            |d| {
                d.sign_header("x-amz-date", "now");
            },
        ),
        (
            "date beside an x-amz-date that is too old",
            Kind::Expired,
            dated,
            |d| {
                d.sign_header("x-amz-date", "20150830T123059Z");
            },
        ),
        (
            "date in the place of X-Amz-Date",
            Kind::Date,
            presigned,
            |d| {
                d.date.clear();
                d.sign_header("date", "Sun, 30 Aug 2015 12:36:00 GMT");
            },
        ),
        ("x-amz-date is no time", Kind::Date, header, |d| {
            d.date("20150830T123660Z")
        }),
        ("x-amz-date is of another form", Kind::Date, header, |d| {
            d.date("Sun, 30 Aug 2015 12:36:00 GMT");
        }),
        ("too old", Kind::Expired, header, |d| {
            d.date("20150830T123059Z")
        }),
        ("too old by years", Kind::Expired, header, |d| {
            d.date("20140830T123600Z");
            d.scope = d.scope.replace("2015", "2014");
        }),
        ("from the future", Kind::NotYetValid, header, |d| {
            d.date("20150830T124101Z")
        }),
        ("too old, S3", Kind::Expired, s3, |d| {
            d.date("20150830T122059Z")
        }),
        ("from the future, S3", Kind::NotYetValid, s3, |d| {
            d.date("20150830T125101Z")
        }),
        (
            "a presigned URL has expired",
            Kind::Expired,
            presigned,
            |d| d.date("20150830T113559Z"),
        ),
        (
            "a presigned URL from the future",
            Kind::NotYetValid,
            presigned,
            |d| {
                d.date("20150830T124101Z");
            },
        ),
        ("no X-Amz-Expires", Kind::Malformed, presigned, |d| {
            d.query.retain(|(name, _)| name != "X-Amz-Expires");
        }),
        (
            "X-Amz-Expires is negative",
            Kind::Malformed,
            presigned,
            |d| d.query[2].1 = "-1".into(),
        ),
        ("X-Amz-Expires is zero", Kind::Malformed, presigned, |d| {
            d.query[2].1 = "0".into()
        }),
        (
            "X-Amz-Expires is over a week",
            Kind::Malformed,
            presigned,
            |d| {
                d.query[2].1 = "604801".into();
            },
        ),
        (
            "X-Amz-Expires wraps round",
            Kind::Malformed,
            presigned,
            |d| {
                d.query[2].1 = "18446744073709551617".into();
            },
        ),
        (
            "X-Amz-Expires is repeated",
            Kind::Malformed,
            presigned,
            |d| {
                d.query.push(pair("X-Amz-Expires", "604800"));
            },
        ),
        (
            "X-Amz-Expires in another case as well",
            Kind::Malformed,
            presigned,
            |d| {
                d.query.push(pair("x-amz-expires", "604800"));
            },
        ),
        ("the scope's day is another", Kind::Scope, header, |d| {
            d.scope = d.scope.replace("20150830", "20150829");
        }),
        (
            "the scope's day is another, query",
            Kind::Scope,
            presigned,
            |d| {
                d.scope = d.scope.replace("20150830", "20150831");
            },
        ),
        ("another region", Kind::Scope, header, |d| {
            d.scope = d.scope.replace("us-east-1", "us-east-2");
        }),
        ("another service", Kind::Scope, header, |d| {
            d.scope = d.scope.replace("execute-api", "lambda");
        }),
        ("another service, query", Kind::Scope, presigned, |d| {
            d.scope = d.scope.replace("execute-api", "lambda");
        }),
        ("another terminator", Kind::Scope, header, |d| {
            d.scope = d.scope.replace("aws4_request", "aws4_requesu");
        }),
        ("no terminator", Kind::Malformed, header, |d| {
            d.scope = d.scope.replace("/aws4_request", "");
        }),
        (
            "another algorithm",
            Kind::UnsupportedAlgorithm,
            header,
            |d| {
                d.algorithm = "AWS4-ECDSA-P384-SHA384";
            },
        ),
        (
            "another algorithm, query",
            Kind::UnsupportedAlgorithm,
            presigned,
            |d| {
                d.algorithm = "AWS4-HMAC-SHA1";
            },
        ),
        ("no access key id", Kind::Malformed, header, |d| d.id = ""),
        ("an unknown access key id", Kind::UnknownKey, header, |d| {
            d.id = "AKIDOTHER"
        }),
        ("the id in another case", Kind::UnknownKey, header, |d| {
            d.id = "akidexample"
        }),
        ("another secret", Kind::SignatureMismatch, header, |d| {
            d.secret = "another"
        }),
        ("no secret", Kind::SignatureMismatch, header, |d| {
            d.secret = ""
        }),
        ("no token", Kind::SessionToken, temporary, |d| {
            d.drop_header("x-amz-security-token")
        }),
        ("another token", Kind::SessionToken, temporary, |d| {
            *d.header("x-amz-security-token") = TOKEN.replace('Z', "z");
        }),
        ("a token cut short", Kind::SessionToken, temporary, |d| {
            d.header("x-amz-security-token").pop();
        }),
        ("an empty token", Kind::SessionToken, temporary, |d| {
            d.header("x-amz-security-token").clear();
        }),
        (
            "a token for a key that has none",
            Kind::SessionToken,
            temporary,
            |d| d.id = ID,
        ),
        (
            "no token, query",
            Kind::SessionToken,
            presigned_temporary,
            |d| {
                d.query.retain(|(name, _)| name != "X-Amz-Security-Token");
            },
        ),
        (
            "another token, query",
            Kind::SessionToken,
            presigned_temporary,
            |d| {
                d.query[3].1.push('a');
            },
        ),
        (
            "another token of its length, query",
            Kind::SessionToken,
            presigned_temporary,
            |d| {
                d.query[3].1 = d.query[3].1.replace('Z', "z");
            },
        ),
        (
            "a token with another end, query",
            Kind::SessionToken,
            presigned_temporary,
            |d| {
                d.query[3].1 = d.query[3].1.replace("j%3D", "k%3D");
            },
        ),
        (
            "the first 64 bytes of a token, query",
            Kind::SessionToken,
            presigned_temporary,
            |d| {
                d.query[3].1 = percent_encoded(&TOKEN[..64]);
            },
        ),
        (
            "a token cut short, query",
            Kind::SessionToken,
            presigned_temporary,
            |d| {
                d.query[3].1 = d.query[3].1.replace("%3D", "");
            },
        ),
        (
            "the token in a header of a presigned URL",
            Kind::Malformed,
            presigned_temporary,
            |d| {
                d.query.retain(|(name, _)| name != "X-Amz-Security-Token");
                d.headers.push(("x-amz-security-token", TOKEN.to_owned()));
                d.signed.push("x-amz-security-token");
            },
        ),
        ("two dates", Kind::Malformed, presigned, |d| {
            d.headers
                .push(("x-amz-date", "20150830T123600Z".to_owned()));
            d.signed.push("x-amz-date");
        }),
        ("two values of x-amz-date", Kind::Malformed, header, |d| {
            d.headers
                .push(("x-amz-date", "20150830T123600Z".to_owned()));
        }),
        ("two values of host", Kind::Malformed, header, |d| {
            d.headers.push(("host", "api.example.com".to_owned()));
        }),
        ("two hashes", Kind::Malformed, header, |d| {
            d.headers.push(("x-amz-content-sha256", EMPTY.to_owned()));
        }),
        (
            "two hashes, header and query",
            Kind::Malformed,
            presigned,
            |d| {
                d.query.push(pair("X-Amz-Content-Sha256", EMPTY));
                d.headers.push(("x-amz-content-sha256", EMPTY.to_owned()));
                d.signed.push("x-amz-content-sha256");
            },
        ),
        (
            "two tokens, query",
            Kind::Malformed,
            presigned_temporary,
            |d| {
                d.query.push(pair("X-Amz-S3session-Token", "x"));
            },
        ),
        ("no hash, S3", Kind::PayloadHash, s3, |d| {
            d.drop_header("x-amz-content-sha256")
        }),
        ("the hash is malformed", Kind::PayloadHash, header, |d| {
            payload(d, "abc")
        }),
        ("the hash is upper-case", Kind::PayloadHash, header, |d| {
            let upper = d.payload.to_ascii_uppercase();
            payload(d, &upper);
        }),
        ("the hash is empty", Kind::PayloadHash, header, |d| {
            payload(d, "")
        }),
        (
            "the hash is another body's",
            Kind::PayloadMismatch,
            header,
            |d| payload(d, EMPTY),
        ),
        (
            "the hash is another body's, S3",
            Kind::PayloadMismatch,
            s3,
            |d| payload(d, EMPTY),
        ),
        ("an unsigned payload", Kind::PayloadKind, header, |d| {
            payload(d, "UNSIGNED-PAYLOAD")
        }),
        (
            "an unsigned payload, query",
            Kind::PayloadKind,
            presigned,
            |d| {
                d.query
                    .push(pair("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"));
                d.payload = "UNSIGNED-PAYLOAD".to_owned();
            },
        ),
        ("an unsigned payload, S3", Kind::PayloadKind, s3, |d| {
            payload(d, "UNSIGNED-PAYLOAD")
        }),
        (
            "an unsigned payload without a body, S3",
            Kind::PayloadKind,
            s3,
            |d| {
                payload(d, "UNSIGNED-PAYLOAD");
                d.body = "";
            },
        ),
        ("a presigned upload", Kind::PayloadKind, presigned_s3, |d| {
            d.method = "PUT";
            d.body = "x";
        }),
        (
            "a presigned upload that states its payload",
            Kind::PayloadKind,
            presigned_s3,
            |d| {
                d.query
                    .push(pair("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"));
                d.body = "x";
            },
        ),
        (
            "a presigned upload that states its payload, header",
            Kind::PayloadKind,
            presigned_s3,
            |d| {
                d.sign_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
                d.body = "x";
            },
        ),
        (
            "a presigned upload in unsigned chunks",
            Kind::PayloadKind,
            presigned_s3,
            |d| {
                d.sign_header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
                d.payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned();
            },
        ),
        (
            "a presigned upload that is announced",
            Kind::PayloadKind,
            presigned_s3,
            |d| {
                d.headers.push(("content-length", "1".to_owned()));
            },
        ),
        (
            "a presigned upload of two lengths",
            Kind::PayloadKind,
            presigned_s3,
            |d| {
                d.headers.push(("content-length", "0".to_owned()));
                d.headers.push(("content-length", "1".to_owned()));
            },
        ),
        (
            "a presigned upload of unknown length",
            Kind::PayloadKind,
            presigned_s3,
            |d| {
                d.headers.push(("transfer-encoding", "chunked".to_owned()));
            },
        ),
        (
            "an unsigned payload in lower case",
            Kind::PayloadHash,
            header,
            |d| {
                payload(d, "unsigned-payload");
            },
        ),
        (
            "a payload signed in chunks, off S3",
            Kind::PayloadKind,
            header,
            |d| {
                payload(d, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
            },
        ),
        (
            "chunks without the length of what is in them",
            Kind::PayloadHash,
            s3,
            |d| {
                payload(d, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
            },
        ),
        (
            "unsigned chunks with a trailer",
            Kind::PayloadKind,
            s3,
            |d| {
                payload(d, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
            },
        ),
        ("signed names are unsorted", Kind::Malformed, header, |d| {
            d.signed.reverse()
        }),
        ("a signed name is repeated", Kind::Malformed, header, |d| {
            d.signed.insert(1, "host")
        }),
        (
            "a signed name is in upper case",
            Kind::Malformed,
            header,
            |d| d.signed[1] = "Host",
        ),
        ("a signed name is empty", Kind::Malformed, header, |d| {
            d.signed.insert(0, "")
        }),
        (
            "more signed names than the maximum",
            Kind::Malformed,
            header,
            |d| d.sign_headers(1025),
        ),
        (
            "more signed names than the maximum, query",
            Kind::Malformed,
            presigned,
            |d| {
                d.sign_headers(1025);
            },
        ),
        (
            "more parameters than the maximum",
            Kind::Target,
            header,
            |d| d.add_parameters(4097),
        ),
        (
            "more parameters than the maximum, query",
            Kind::Target,
            presigned,
            |d| {
                d.add_parameters(4097);
            },
        ),
        ("x_amz_acl is not signed", Kind::HeaderNotSigned, s3, |d| {
            d.headers.push(("x_amz_acl", "public-read".to_owned()));
        }),
        (
            "content_type is signed and content-type is not",
            Kind::HeaderNotSigned,
            header,
            |d| {
                d.leave_unsigned("content-type");
                d.sign_header("content_type", "application/json");
            },
        ),
        (
            "x_amz_date in the place of x-amz-date",
            Kind::Date,
            header,
            |d| {
                d.drop_header("x-amz-date");
                d.sign_header("x_amz_date", "20150830T123600Z");
            },
        ),
        (
            "x_amz_date is signed and x-amz-date is not",
            Kind::HeaderNotSigned,
            header,
            |d| {
                d.leave_unsigned("x-amz-date");
                d.sign_header("x_amz_date", "20150830T123600Z");
            },
        ),
        (
            "a signed header is not there",
            Kind::SignedHeaderMissing,
            header,
            |d| {
                d.signed.push("x-other");
            },
        ),
        ("the path folds", Kind::Target, header, |d| {
            d.target = "/prod/../orders".to_owned()
        }),
        ("the path has an empty segment", Kind::Target, header, |d| {
            d.target = "/prod//orders".to_owned();
        }),
        ("the path has an escaped slash, S3", Kind::Target, s3, |d| {
            d.target = "/prod%2Forders".to_owned();
        }),
        (
            "the path has an escaped dot segment, S3",
            Kind::Target,
            s3,
            |d| {
                d.target = "/prod/%2E%2E/orders".to_owned();
            },
        ),
        (
            "connection would remove what is signed",
            Kind::Target,
            header,
            |d| {
                d.headers
                    .push(("connection", "close, X-Amz-Target".to_owned()));
            },
        ),
        ("the path has a broken escape", Kind::Target, header, |d| {
            d.target = "/a%zz".to_owned()
        }),
        ("the query has a broken escape", Kind::Target, header, |d| {
            d.query[0].1 = "%4".to_owned()
        }),
    ];
    let mut failed = Vec::new();
    for (name, kind, base, change) in rows {
        for &version in VERSIONS {
            let mut draft = version.of(base());
            change(&mut draft);
            let layer = layer_for(&draft);
            let judged = verify(&layer, draft.sign()).await;
            if judged != Err(*kind) {
                failed.push(format!("{version:?}, {name}: {judged:?}, not {kind:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Signs a payload that differs from the body.
fn payload(draft: &mut Draft, text: &str) {
    *draft.header("x-amz-content-sha256") = text.to_owned();
    draft.payload = text.to_owned();
}

/// Each row changes the request after signing, as an attacker without a key can.
#[tokio::test]
async fn requests_changed_in_transit_are_rejected() {
    type Change = fn(&mut Request<Bytes>);
    let rows: &[(&str, Kind, Base, Change)] = &[
        ("another method", Kind::SignatureMismatch, header, |r| {
            *r.method_mut() = Method::PUT
        }),
        (
            "another method, query",
            Kind::SignatureMismatch,
            presigned,
            |r| {
                *r.method_mut() = Method::DELETE;
            },
        ),
        ("another path", Kind::SignatureMismatch, header, |r| {
            edit(r, "/orders", "/admin")
        }),
        (
            "another path, query",
            Kind::SignatureMismatch,
            presigned,
            |r| {
                edit(r, "/orders", "/admin");
            },
        ),
        ("a path that folds to it", Kind::Target, header, |r| {
            edit(r, "/orders", "/admin/../orders");
        }),
        (
            "an escaped letter in the path",
            Kind::SignatureMismatch,
            header,
            |r| {
                edit(r, "/orders", "/%6Frders");
            },
        ),
        ("an escaped slash in the path, S3", Kind::Target, s3, |r| {
            edit(r, "/prod/orders", "/prod%2forders");
        }),
        (
            "another value in the query",
            Kind::SignatureMismatch,
            header,
            |r| edit(r, "a=1", "a=2"),
        ),
        ("another parameter", Kind::SignatureMismatch, header, |r| {
            edit(r, "a=1", "a=1&c=")
        }),
        ("a parameter less", Kind::SignatureMismatch, header, |r| {
            edit(r, "a=1&", "")
        }),
        (
            "another parameter, query",
            Kind::SignatureMismatch,
            presigned,
            |r| {
                edit(r, "a=1", "a=1&acl=");
            },
        ),
        ("another host", Kind::SignatureMismatch, header, |r| {
            set(r, "host", "evil.example.com")
        }),
        (
            "another host, query",
            Kind::SignatureMismatch,
            presigned,
            |r| {
                set(r, "host", "evil.example.com");
            },
        ),
        (
            "another host in the request line",
            Kind::Target,
            header,
            |r| {
                let uri = format!("http://evil.example.com{}", r.uri());
                *r.uri_mut() = Uri::try_from(uri).expect("a URI");
            },
        ),
        (
            "user information in the request line",
            Kind::Target,
            header,
            |r| {
                let uri = format!("http://admin@api.example.com{}", r.uri());
                *r.uri_mut() = Uri::try_from(uri).expect("a URI");
            },
        ),
        (
            "a connection option that is signed",
            Kind::Target,
            header,
            |r| {
                add(r, "connection", "x-amz-target");
            },
        ),
        (
            "a connection option with a parameter",
            Kind::Target,
            header,
            |r| {
                add(r, "connection", "close, X-Amz-Target;a=b");
            },
        ),
        ("no host", Kind::SignedHeaderMissing, header, |r| {
            remove(r, "host")
        }),
        (
            "another content-type",
            Kind::SignatureMismatch,
            header,
            |r| {
                set(r, "content-type", "text/xml");
            },
        ),
        (
            "another value of a signed header",
            Kind::SignatureMismatch,
            header,
            |r| {
                set(r, "x-amz-target", "Orders.Delete");
            },
        ),
        (
            "one value more of a signed header",
            Kind::SignatureMismatch,
            header,
            |r| {
                add(r, "x-amz-target", "Orders.Delete");
            },
        ),
        (
            "a signed header less",
            Kind::SignedHeaderMissing,
            header,
            |r| remove(r, "x-amz-target"),
        ),
        ("x-amz-copy-source", Kind::HeaderNotSigned, header, |r| {
            add(r, "x-amz-copy-source", "/other/secret");
        }),
        (
            "x-amz-copy-source, query",
            Kind::HeaderNotSigned,
            presigned,
            |r| {
                add(r, "x-amz-copy-source", "/other/secret");
            },
        ),
        ("x-amz-acl, S3", Kind::HeaderNotSigned, s3, |r| {
            add(r, "x-amz-acl", "public-read")
        }),
        ("x_amz_acl, S3", Kind::HeaderNotSigned, s3, |r| {
            add(r, "x_amz_acl", "public-read")
        }),
        ("x-amz_acl, S3", Kind::HeaderNotSigned, s3, |r| {
            add(r, "x-amz_acl", "public-read")
        }),
        ("x_amz-acl, S3", Kind::HeaderNotSigned, s3, |r| {
            add(r, "x_amz-acl", "public-read")
        }),
        ("x.amz.acl, S3", Kind::HeaderNotSigned, s3, |r| {
            add(r, "x.amz.acl", "public-read")
        }),
        (
            "x_amz_copy_source, query",
            Kind::HeaderNotSigned,
            presigned,
            |r| {
                add(r, "x_amz_copy_source", "/other/secret");
            },
        ),
        (
            "x_amz_date beside x-amz-date",
            Kind::HeaderNotSigned,
            header,
            |r| {
                add(r, "x_amz_date", "20150831T123600Z");
            },
        ),
        ("x-amz-security_token", Kind::HeaderNotSigned, header, |r| {
            add(r, "x-amz-security_token", TOKEN);
        }),
        (
            "x_amz_target beside x-amz-target",
            Kind::HeaderNotSigned,
            header,
            |r| {
                add(r, "x_amz_target", "Orders.Delete");
            },
        ),
        (
            "content_type beside content-type",
            Kind::HeaderNotSigned,
            header,
            |r| {
                add(r, "content_type", "text/html");
            },
        ),
        (
            "content_type that was not there, query",
            Kind::HeaderNotSigned,
            presigned,
            |r| {
                add(r, "content_type", "text/html");
            },
        ),
        ("content_length", Kind::HeaderNotSigned, header, |r| {
            add(r, "content_length", "0")
        }),
        ("transfer_encoding", Kind::HeaderNotSigned, header, |r| {
            add(r, "transfer_encoding", "chunked");
        }),
        (
            "x_tenant beside x-tenant",
            Kind::HeaderNotSigned,
            tenant,
            |r| add(r, "x_tenant", "2"),
        ),
        (
            "x.tenant beside x-tenant",
            Kind::HeaderNotSigned,
            tenant,
            |r| add(r, "x.tenant", "2"),
        ),
        (
            "x-tenant beside x_tenant",
            Kind::HeaderNotSigned,
            underscored,
            |r| {
                add(r, "x-tenant", "2");
            },
        ),
        (
            "content-type that was not there",
            Kind::HeaderNotSigned,
            presigned,
            |r| {
                add(r, "content-type", "text/html");
            },
        ),
        (
            "a hash that was not there",
            Kind::HeaderNotSigned,
            unhashed,
            |r| {
                add(r, "x-amz-content-sha256", "UNSIGNED-PAYLOAD");
            },
        ),
        ("a later date", Kind::SignatureMismatch, header, |r| {
            set(r, "x-amz-date", "20150830T123601Z");
        }),
        (
            "a later date, query",
            Kind::SignatureMismatch,
            presigned,
            |r| {
                edit(r, "T123600Z", "T123601Z");
            },
        ),
        ("no date", Kind::Date, header, |r| remove(r, "x-amz-date")),
        ("a longer expiry", Kind::SignatureMismatch, presigned, |r| {
            edit(r, "=3600", "=36000")
        }),
        ("another body", Kind::PayloadMismatch, header, |r| {
            body(r, r#"{"id":8}"#)
        }),
        ("another body, S3", Kind::PayloadMismatch, s3, |r| {
            body(r, r#"{"id":8}"#)
        }),
        (
            "another body, no hash in the head",
            Kind::SignatureMismatch,
            unhashed,
            |r| {
                body(r, r#"{"id":8}"#);
            },
        ),
        ("a longer body", Kind::PayloadMismatch, header, |r| {
            body(r, r#"{"id":7} "#)
        }),
        ("no body", Kind::PayloadMismatch, header, |r| body(r, "")),
        (
            "a body that was not there",
            Kind::SignatureMismatch,
            presigned,
            |r| body(r, "x"),
        ),
        (
            "a body that was not there, S3",
            Kind::PayloadKind,
            presigned_s3,
            |r| body(r, "x"),
        ),
        ("a later date header", Kind::SignatureMismatch, dated, |r| {
            set(r, "date", "Sun, 30 Aug 2015 12:36:01 GMT");
        }),
        (
            "an x-amz-date beside date",
            Kind::HeaderNotSigned,
            dated,
            |r| {
                add(r, "x-amz-date", "20150830T123600Z");
            },
        ),
        (
            "another body and its hash",
            Kind::SignatureMismatch,
            header,
            |r| {
                body(r, "x");
                set(r, "x-amz-content-sha256", &hash("x"));
            },
        ),
        (
            "a hash turned into UNSIGNED-PAYLOAD",
            Kind::PayloadKind,
            header,
            |r| {
                set(r, "x-amz-content-sha256", "UNSIGNED-PAYLOAD");
            },
        ),
        (
            "a hash turned into unsigned chunks",
            Kind::PayloadKind,
            header,
            |r| {
                set(
                    r,
                    "x-amz-content-sha256",
                    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                );
            },
        ),
        ("another token", Kind::SessionToken, temporary, |r| {
            set(r, "x-amz-security-token", "x")
        }),
        ("no token", Kind::SignedHeaderMissing, temporary, |r| {
            remove(r, "x-amz-security-token")
        }),
        (
            "a token that was not there",
            Kind::HeaderNotSigned,
            header,
            |r| {
                add(r, "x-amz-security-token", TOKEN);
            },
        ),
        (
            "no authorization",
            Kind::MissingAuthentication,
            header,
            |r| remove(r, "authorization"),
        ),
        (
            "an empty authorization",
            Kind::UnsupportedAlgorithm,
            header,
            |r| {
                set(r, "authorization", "");
            },
        ),
        ("Bearer", Kind::UnsupportedAlgorithm, header, |r| {
            set(r, "authorization", "Bearer x")
        }),
        ("AWS's version 2", Kind::UnsupportedAlgorithm, header, |r| {
            set(
                r,
                "authorization",
                "AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=",
            );
        }),
        (
            "the scheme in lower case",
            Kind::UnsupportedAlgorithm,
            header,
            |r| {
                replace(r, "AWS4-", "aws4-");
            },
        ),
        (
            "an authorization more, after",
            Kind::MultipleAuthentications,
            header,
            |r| {
                add(r, "authorization", "Bearer x");
            },
        ),
        (
            "an authorization more, before",
            Kind::MultipleAuthentications,
            header,
            |r| {
                let ours = r.headers_mut().remove("authorization").expect("signed");
                add(r, "authorization", "Bearer x");
                r.headers_mut().append("authorization", ours);
            },
        ),
        (
            "the authorization twice",
            Kind::MultipleAuthentications,
            header,
            |r| {
                let ours = r.headers()["authorization"].clone();
                r.headers_mut().append("authorization", ours);
            },
        ),
        (
            "a header beside a query",
            Kind::MultipleAuthentications,
            presigned,
            |r| {
                add(r, "authorization", "AWS4-HMAC-SHA256");
            },
        ),
        (
            "a query beside a header",
            Kind::MultipleAuthentications,
            header,
            |r| {
                edit(r, "a=1", "a=1&X-Amz-Credential=x");
            },
        ),
        (
            "a query beside a header, lower case",
            Kind::MultipleAuthentications,
            header,
            |r| {
                edit(r, "a=1", "a=1&x-amz-signature=x");
            },
        ),
        (
            "a query beside a header, escaped",
            Kind::MultipleAuthentications,
            header,
            |r| {
                edit(r, "a=1", "a=1&X%2dAmz-Algorithm=x");
            },
        ),
        ("a parameter repeated", Kind::Malformed, presigned, |r| {
            edit(r, "a=1", "a=1&X-Amz-Credential=AKIDOTHER");
        }),
        (
            "a parameter repeated in another case",
            Kind::Malformed,
            presigned,
            |r| {
                edit(r, "a=1", "a=1&x-amz-credential=AKIDOTHER");
            },
        ),
        (
            "a parameter in another case",
            Kind::Malformed,
            presigned,
            |r| {
                edit(r, "X-Amz-Date", "x-amz-date");
            },
        ),
        ("a parameter escaped", Kind::Malformed, presigned, |r| {
            edit(r, "X-Amz-Date", "X-Amz-D%61te");
        }),
        ("a signature more", Kind::Malformed, presigned, |r| {
            let uri = format!("{}&X-Amz-Signature={EMPTY}", r.uri());
            *r.uri_mut() = Uri::try_from(uri).expect("a URI");
        }),
        ("no signature", Kind::Malformed, presigned, |r| {
            edit(r, "X-Amz-Signature", "x")
        }),
        ("another region", Kind::Scope, header, |r| {
            if r.headers().contains_key("x-amz-region-set") {
                set(r, "x-amz-region-set", "us-west-2")
            } else {
                replace(r, "us-east-1", "us-west-2")
            }
        }),
        ("another id", Kind::UnknownKey, header, |r| {
            replace(r, ID, "AKIDOTHER")
        }),
        (
            "another id with the same secret",
            Kind::SessionToken,
            header,
            |r| {
                replace(r, ID, TEMPORARY);
            },
        ),
        ("a signed name less", Kind::HeaderNotSigned, header, |r| {
            replace(r, ";x-amz-target", "");
        }),
        ("a signed name more", Kind::SignatureMismatch, header, |r| {
            replace(r, "host;", "host;user-agent;");
        }),
        (
            "the signature in upper case",
            Kind::Malformed,
            header,
            |r| {
                let value = r.headers()["authorization"]
                    .to_str()
                    .expect("ASCII")
                    .to_owned();
                let (rest, signature) = value.rsplit_once('=').expect("a field");
                set(
                    r,
                    "authorization",
                    &format!("{rest}={}", signature.to_ascii_uppercase()),
                );
            },
        ),
        ("the signature cut short", Kind::Malformed, header, |r| {
            let value = r.headers()["authorization"]
                .to_str()
                .expect("ASCII")
                .to_owned();
            set(r, "authorization", &value[..value.len() - 1]);
        }),
        ("an empty signature", Kind::Malformed, header, |r| {
            let value = r.headers()["authorization"]
                .to_str()
                .expect("ASCII")
                .to_owned();
            set(
                r,
                "authorization",
                value.trim_end_matches(|digit| digit != '='),
            );
        }),
        ("another signature", Kind::SignatureMismatch, header, |r| {
            let mut value = r.headers()["authorization"]
                .to_str()
                .expect("ASCII")
                .to_owned();
            let last = if value.pop() == Some('0') { '1' } else { '0' };
            value.push(last);
            set(r, "authorization", &value);
        }),
        ("bytes beyond ASCII", Kind::Malformed, header, |r| {
            let value = HeaderValue::from_bytes(b"AWS4-HMAC-SHA256 \xff").expect("legal");
            r.headers_mut().insert("authorization", value);
        }),
    ];
    let mut failed = Vec::new();
    for (name, kind, base, change) in rows {
        for &version in VERSIONS {
            let draft = version.of(base());
            let layer = layer_for(&draft);
            let mut request = draft.sign();
            change(&mut request);
            let judged = verify(&layer, request).await;
            if judged != Err(*kind) {
                failed.push(format!("{version:?}, {name}: {judged:?}, not {kind:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn edit(request: &mut Request<Bytes>, from: &str, to: &str) {
    let uri = request.uri().to_string();
    assert!(uri.contains(from), "{uri} has no {from}");
    *request.uri_mut() = Uri::try_from(uri.replacen(from, to, 1)).expect("a URI");
}

fn replace(request: &mut Request<Bytes>, from: &str, to: &str) {
    let value = request.headers()["authorization"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    assert!(value.contains(from), "{value} has no {from}");
    set(request, "authorization", &value.replacen(from, to, 1));
}

fn set(request: &mut Request<Bytes>, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("a value");
    request.headers_mut().insert(name, value);
}

fn add(request: &mut Request<Bytes>, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("a value");
    request.headers_mut().append(name, value);
}

fn remove(request: &mut Request<Bytes>, name: &str) {
    request.headers_mut().remove(name).expect("it was there");
}

fn body(request: &mut Request<Bytes>, body: &'static str) {
    *request.body_mut() = Bytes::from_static(body.as_bytes());
}

#[tokio::test]
async fn clock_windows_include_their_ends() {
    for (service, base, date) in [
        ("execute-api", header as Base, "20150830T123100Z"),
        ("execute-api", header, "20150830T124100Z"),
        ("s3", s3, "20150830T122100Z"),
        ("s3", s3, "20150830T125100Z"),
        ("execute-api", presigned, "20150830T113600Z"),
        ("execute-api", presigned, "20150830T124100Z"),
    ] {
        let mut draft = base();
        draft.date(date);
        assert_eq!(
            verify(&layer(service), draft.sign()).await,
            Ok(ID.to_owned()),
            "{date}"
        );
    }
    let clock = Clock::manual(now());
    let layer = layer("execute-api").with_clock(clock.clone());
    clock.advance(Duration::from_secs(300) + Duration::from_nanos(1));
    assert_eq!(verify(&layer, header().sign()).await, Err(Kind::Expired));
}

/// A cache keyed by ID only would accept the old secret or reject the new one.
#[tokio::test]
async fn changed_secrets_take_effect_immediately() {
    let secret = std::sync::Arc::new(std::sync::Mutex::new(SECRET));
    let held = secret.clone();
    let keys = move |id: String| {
        let secret = *held.lock().expect("not poisoned");
        async move { Ok::<_, Infallible>(Some(Credentials::new(id, secret, None, None, "test"))) }
    };
    let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    let layer = VerifyLayer::new(keys, settings).with_clock(Clock::manual(now()));
    let with = |secret| Draft { secret, ..header() }.sign();
    for (current, other) in [(SECRET, "new"), ("new", SECRET), (SECRET, "new")] {
        *secret.lock().expect("not poisoned") = current;
        for _ in 0..2 {
            assert_eq!(verify(&layer, with(current)).await, Ok(ID.to_owned()));
            assert_eq!(
                verify(&layer, with(other)).await,
                Err(Kind::SignatureMismatch)
            );
        }
    }
}

/// S3 Express has another name for session tokens.
#[tokio::test]
async fn s3_express_session_tokens_are_compared() {
    let express = || {
        let mut draft = temporary();
        draft.scope = "20150830/us-east-1/s3express/aws4_request".to_owned();
        draft
    };
    let renamed = |mut draft: Draft, token: &str| {
        draft.drop_header("x-amz-security-token");
        draft
            .headers
            .push(("x-amz-s3session-token", token.to_owned()));
        draft.signed.insert(3, "x-amz-s3session-token");
        draft.signed.sort_unstable();
        draft
    };
    let layer = layer("s3express");
    assert_eq!(
        verify(&layer, express().sign()).await,
        Ok(TEMPORARY.to_owned())
    );
    let accepted = verify(&layer, renamed(express(), TOKEN).sign()).await;
    assert_eq!(accepted, Ok(TEMPORARY.to_owned()));
    let another = verify(&layer, renamed(express(), "another").sign()).await;
    assert_eq!(another, Err(Kind::SessionToken));
    let mut needless = renamed(express(), TOKEN);
    needless.id = ID;
    assert_eq!(
        verify(&layer, needless.sign()).await,
        Err(Kind::SessionToken)
    );
    let mut both = renamed(express(), TOKEN);
    both.headers
        .push(("x-amz-security-token", TOKEN.to_owned()));
    both.signed.push("x-amz-security-token");
    both.signed.sort_unstable();
    assert_eq!(verify(&layer, both.sign()).await, Err(Kind::Malformed));
}

#[tokio::test]
async fn requests_allowed_by_a_setting_are_accepted() {
    let unsigned = |mut draft: Draft| {
        payload(&mut draft, "UNSIGNED-PAYLOAD");
        draft
    };
    let settings = VerifySettings::new("execute-api", "us-east-1")
        .and_then(|settings| settings.add_region("eu-west-1"))
        .and_then(|settings| settings.add_service("lambda"))
        .and_then(|settings| settings.add_unsigned_header(HeaderName::from_static("x-amz-cf-id")))
        .expect("valid")
        .with_unsigned_payload(true)
        .with_required_headers([HeaderName::from_static("x-tenant")])
        .with_clock_window(Duration::from_secs(3600));
    let keys = StaticKeys::new([Credentials::new(ID, SECRET, None, None, "test")]);
    let layer = VerifyLayer::new(keys.expect("valid"), settings).with_clock(Clock::manual(now()));

    let mut elsewhere = header();
    elsewhere.scope = "20150830/eu-west-1/lambda/aws4_request".to_owned();
    let mut old = header();
    old.date("20150830T113600Z");
    let mut unsigned_type = header();
    unsigned_type.leave_unsigned("content-type");
    let mut through_cloudfront = header().sign();
    add(&mut through_cloudfront, "x-amz-cf-id", "abc");
    for request in [
        unsigned(header()).sign(),
        elsewhere.sign(),
        old.sign(),
        unsigned_type.sign(),
        through_cloudfront,
    ] {
        assert_eq!(verify(&layer, request).await, Ok(ID.to_owned()));
    }
    let mut request = header().sign();
    add(&mut request, "x-tenant", "1");
    assert_eq!(verify(&layer, request).await, Err(Kind::HeaderNotSigned));
}

#[tokio::test]
async fn presigned_uploads_have_their_own_setting() {
    let uploads = |service| {
        let settings = VerifySettings::new(service, "us-east-1").expect("a scope");
        let keys = StaticKeys::new([Credentials::new(ID, SECRET, None, None, "test")]);
        VerifyLayer::new(keys.expect("valid"), settings.with_presigned_uploads(true))
            .with_clock(Clock::manual(now()))
    };
    let mut upload = presigned_s3();
    upload.method = "PUT";
    upload.body = "x";
    let mut elsewhere = presigned();
    elsewhere
        .query
        .push(pair("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"));
    elsewhere.payload = "UNSIGNED-PAYLOAD".to_owned();
    elsewhere.body = "x";
    for draft in [upload, presigned_s3(), elsewhere] {
        let layer = uploads(if draft.scope.contains("/s3/") {
            "s3"
        } else {
            "execute-api"
        });
        assert_eq!(verify(&layer, draft.sign()).await, Ok(ID.to_owned()));
    }
    let mut in_header = s3();
    payload(&mut in_header, "UNSIGNED-PAYLOAD");
    let mut in_header_without_body = in_header.clone();
    in_header_without_body.body = "";
    let mut chunks = s3();
    payload(&mut chunks, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    chunks.sign_header("x-amz-trailer", "x-amz-checksum-crc32");
    for draft in [in_header, in_header_without_body, chunks] {
        assert_eq!(
            verify(&uploads("s3"), draft.sign()).await,
            Err(Kind::PayloadKind)
        );
    }
}

/// A version 4a request of AWS's suite is rejected without the feature, and with it unless the settings accept it.
#[tokio::test]
async fn version_4a_is_rejected_unless_enabled() {
    let request = Request::get("/")
        .header("host", "example.amazonaws.com")
        .header("x-amz-date", "20150830T123600Z")
        .header("x-amz-region-set", "us-east-1")
        .header(
            "authorization",
            "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/service/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-region-set, \
             Signature=3046022100fddaaf816a31e30d04973875b13bc27b98da10907a3a1872fd5819a221334abc\
             022100de2ee81d83b54f31efc82834de07e6cd4d5c6f25bfa08e0f29a15bb0977c343e",
        );
    let request = request.body(Bytes::new()).expect("a request");
    let judged = verify(&layer("service"), request.clone()).await;
    assert_eq!(judged, Err(Kind::UnsupportedAlgorithm));
    let mut malformed = request.clone();
    set(
        &mut malformed,
        "authorization",
        "AWS4-ECDSA-P256-SHA256 Credential=",
    );
    let judged = verify(&layer("service"), malformed).await;
    assert_eq!(judged, Err(Kind::UnsupportedAlgorithm));
    #[cfg(feature = "sigv4a")]
    {
        let judged = verify(&layer_in(Version::V4a, "service"), request).await;
        assert_eq!(judged, Ok(ID.to_owned()));
    }
}
