//! A signed request verified by this crate and scratchstack-aws-signature.
//!
//! One operation clones the received request, hashes the body, verifies, and drops the result.
//!
//! A server needs no clone: this crate borrows the head, and scratchstack consumes the received request. But the
//! benchmark can consume a request only once, so each operation of either contender clones it. The clone is measured
//! separately and subtracted.
//!
//! Differences between the contenders:
//!
//! - Both require that `content-type` and every `x-amz-*` are signed, compare the session token with that of the key,
//!   and compare the body with the signed hash.
//! - scratchstack receives the derived key from a lookup that does not wait, which favors it. This crate finds the key
//!   in its cache by the hash of the ID. It caches the keyed HMAC, while scratchstack keys it for each request, which
//!   is part of its design and included.
//! - scratchstack does not compare the hash of the body with `x-amz-content-sha256`; its canonical request contains the
//!   hash of the received body, which has the same effect.
//! - scratchstack returns the principal from the lookup, which is empty here and costs nothing. This crate creates its
//!   proof for the handler on demand: the row "with proof".
//! - scratchstack rejects every presigned URL, since it splits the credential at `/` after escaping it. Its time
//!   includes all steps before the HMAC.
//! - This crate has a constant for the hash of an empty body; scratchstack computes it.
//! - They use sha2 0.11 and 0.10, both with the processor's SHA instructions.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    self as aws, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    UriPathNormalizationMode,
};
use aws_smithy_runtime_api::client::identity::Identity as SmithyIdentity;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use tower_sigv4::{
    SigningSettings,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
    verify::{Rejection, RejectionKind, VerifiedRequest, Verifier, VerifySettings},
};
use tower_sigv4_benches::{
    Contender, contender,
    request::{
        ACCESS_KEY_ID, GET, HEADERS, ORIGIN, POST, REGION, SECRET_ACCESS_KEY, SERVICE, TIME,
        TOKEN_LEN, UNSIGNED, body, token,
    },
};

use crate::judge::Judge;

/// Returns each request with its name.
pub(crate) fn cases() -> impl Iterator<Item = (&'static str, Received)> {
    let requests = [
        ("GET, no token", Method::GET, GET, 0, 0, false),
        ("GET, token", Method::GET, GET, 0, TOKEN_LEN, false),
        ("GET, presigned", Method::GET, GET, 0, 0, true),
        (
            "GET, presigned, token",
            Method::GET,
            GET,
            0,
            TOKEN_LEN,
            true,
        ),
        (
            "POST 1 KiB, no token",
            Method::POST,
            POST,
            1 << 10,
            0,
            false,
        ),
    ];
    requests
        .into_iter()
        .map(|(name, method, target, len, token_len, presigned)| {
            (
                name,
                Received::new(&method, target, len, token_len, presigned),
            )
        })
}

/// Returns the first request, which is rejected after changes.
pub(crate) fn to_reject() -> Received {
    Received::new(&Method::GET, GET, 0, 0, false)
}

/// A received request, with the verifier of each contender.
pub(crate) struct Received {
    request: Request<Bytes>,
    presigned: bool,
    now: SystemTime,
    credentials: Credentials,
    verifier: Verifier,
    judge: Judge,
}

impl Received {
    fn new(method: &Method, target: &str, len: usize, token_len: usize, presigned: bool) -> Self {
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{ORIGIN}{target}"));
        for (name, value) in HEADERS {
            // Presigning does not sign x-amz-user-agent, so a strict verifier would reject it.
            let accepted = if presigned {
                name.replace("user-agent", "meta-agent")
            } else {
                name.into()
            };
            builder = builder.header(accepted, value);
        }
        let mut request = builder
            .body(Bytes::from(body(len)))
            .expect("a legal request");
        let time = UNIX_EPOCH + Duration::from_secs(TIME);
        let credentials = Credentials::new(
            ACCESS_KEY_ID,
            SECRET_ACCESS_KEY,
            token(token_len),
            None,
            "bench",
        );
        if presigned {
            presign(&mut request, &credentials, time);
        } else {
            request = sign(request, &credentials, time);
        }
        // A request target of HTTP/1.1 has no authority.
        let path_and_query = request.uri().path_and_query().cloned().expect("a target");
        *request.uri_mut() = Uri::from(path_and_query);
        let received = Self {
            request,
            presigned,
            now: time + Duration::from_secs(1),
            judge: Judge::new(&credentials, REGION, SERVICE, time),
            credentials,
            verifier: Verifier::new(VerifySettings::new(SERVICE, REGION).expect("legal names")),
        };
        received.assert_agreement();
        received
    }

    fn accepted<T>(
        &self,
        request: &Request<Bytes>,
        then: impl FnOnce(VerifiedRequest<'_>) -> T,
    ) -> Result<T, Rejection> {
        verify(
            &self.verifier,
            request.clone(),
            &self.credentials,
            self.now,
            then,
        )
    }

    /// Asserts that both accept it and reject another body, except that scratchstack rejects presigned requests.
    fn assert_agreement(&self) {
        assert!(self.accepted(&self.request, |_| ()).is_ok());
        assert_eq!(
            self.judge.verify(self.request.clone(), self.now).is_ok(),
            !self.presigned
        );
        let other = self.request.clone().map(|_| Bytes::from_static(b"another"));
        assert!(self.accepted(&other, |_| ()).is_err());
        assert!(self.judge.verify(other, self.now).is_err());
    }

    /// Returns the clone of the request, which all contenders need, and the contenders.
    pub(crate) fn contenders(&self) -> Vec<Contender<'_>> {
        let theirs = if self.presigned {
            "scratchstack, rejecting"
        } else {
            "scratchstack"
        };
        vec![
            contender("clone of the request", || self.request.clone()),
            contender("tower-sigv4", || self.accepted(&self.request, |_| ())),
            contender("tower-sigv4, with proof", || {
                self.accepted(&self.request, |accepted| accepted.to_verified())
            }),
            contender(theirs, || self.judge.verify(self.request.clone(), self.now)),
        ]
    }

    /// Returns the clone of the request, its acceptance, and rejections of changed requests by this crate. The clone is
    /// that of the accepted request, without an additional header.
    pub(crate) fn rejections(&self) -> Vec<Contender<'_>> {
        use RejectionKind as Kind;
        let mut forged = self.request.clone();
        let authorization = forged
            .headers_mut()
            .get_mut(header::AUTHORIZATION)
            .expect("signed");
        let text = authorization.to_str().expect("ASCII");
        let (rest, last) = text.split_at(text.len() - 1);
        let other = if last == "0" { "1" } else { "0" };
        *authorization = HeaderValue::try_from(format!("{rest}{other}")).expect("legal");
        let mut added = self.request.clone();
        added
            .headers_mut()
            .insert("x-amz-meta-a", HeaderValue::from_static("1"));
        let body = self.request.clone().map(|_| Bytes::from_static(b"another"));
        let stranger = Verifier::new(self.verifier.settings().clone());
        let late = self.now + Duration::from_secs(3600);

        let rejection = |name, verifier: Option<Verifier>, request: Request<Bytes>, now, kind| {
            let op = move || {
                let chosen = verifier.as_ref().unwrap_or(&self.verifier);
                verify(chosen, request.clone(), &self.credentials, now, |_| ())
            };
            assert_eq!(op().expect_err("rejected").kind(), kind, "{name}");
            contender(name, op)
        };
        vec![
            contender("clone of the request", || self.request.clone()),
            contender("accepted", || self.accepted(&self.request, |_| ())),
            rejection(
                "wrong signature",
                None,
                forged.clone(),
                self.now,
                Kind::SignatureMismatch,
            ),
            rejection(
                "header not signed",
                None,
                added,
                self.now,
                Kind::HeaderNotSigned,
            ),
            rejection("expired", None, self.request.clone(), late, Kind::Expired),
            rejection("another body", None, body, self.now, Kind::PayloadMismatch),
            // The key of a caller that was never accepted is not cached, so it is derived each time.
            rejection(
                "wrong, key not cached",
                Some(stranger),
                forged,
                self.now,
                Kind::SignatureMismatch,
            ),
        ]
    }
}

fn verify<T>(
    verifier: &Verifier,
    request: Request<Bytes>,
    credentials: &Credentials,
    now: SystemTime,
    then: impl FnOnce(VerifiedRequest<'_>) -> T,
) -> Result<T, Rejection> {
    let (head, body) = request.into_parts();
    let claim = verifier.parse(&head, now)?;
    verifier
        .verify(claim, credentials, &PayloadHash::of(&body))
        .map(then)
}

fn sign(request: Request<Bytes>, credentials: &Credentials, time: SystemTime) -> Request<Bytes> {
    let (mut head, body) = request.into_parts();
    let settings = SigningSettings::new(SERVICE, REGION).expect("legal names");
    let identity = Identity::new(credentials.clone()).expect("legal credentials");
    let params = SigningParams::new(&settings, &identity, PayloadHash::of(&body), time);
    Signer::new().sign(&mut head, &params).expect("signed");
    Request::from_parts(head, body)
}

/// Presigns with aws-sigv4, whose signatures this crate has to accept.
fn presign(request: &mut Request<Bytes>, credentials: &Credentials, time: SystemTime) {
    let mut settings = aws::SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Double;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Enabled;
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(900));
    settings.excluded_headers = Some(UNSIGNED.map(Cow::Borrowed).to_vec());
    let identity = SmithyIdentity::new(credentials.clone(), None);
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(SERVICE)
        .time(time)
        .settings(settings)
        .build()
        .expect("complete")
        .into();
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")));
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers,
        SignableBody::Bytes(request.body()),
    );
    let signed = aws::sign(signable.expect("a legal request"), &params).expect("signed");
    let (instructions, _) = signed.into_parts();
    instructions.apply_to_request_http1x(request);
}
