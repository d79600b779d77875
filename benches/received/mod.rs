//! One signed request verified by this crate and by scratchstack-aws-signature.
//!
//! One operation takes the head and the body of a received request to their acceptance. It clones the
//! request, hashes the body, verifies, and drops the result.
//!
//! No verifier needs the clone: this crate borrows the head, and scratchstack, which consumes the
//! request, would be given the one that was received. But it can be consumed only once, so each
//! operation makes one, this crate's as well, though it could do without. The clone and its drop are
//! measured by themselves and subtracted where contenders are compared.
//!
//! What the contenders do differently, and in whose favour:
//!
//! - Both demand that `content-type` and every `x-amz-*` are signed, compare the session token with
//!   the key's, and compare the body with what was signed.
//! - scratchstack is handed the key derived, ready in a lookup that waits for nothing: in its favour.
//!   This crate finds the key in its own cache, by the hash of the id. It keeps the HMAC keyed, while
//!   scratchstack keys it anew for each request; that is a part of its design and not taken out.
//! - scratchstack does not compare the body's hash with `x-amz-content-sha256`; the canonical request
//!   holds the hash of the body received, which comes to the same.
//! - scratchstack hands back the caller as who was looked up, here no one, which costs nothing. What
//!   this crate would tell a handler is made on demand: the row "with proof".
//! - scratchstack refuses every presigned URL, since it looks for a `/` in the credential and has
//!   escaped it before. Its time there is that to the refusal, with all but the HMAC done.
//! - This crate knows the hash of a body without bytes; scratchstack computes it.
//! - Each has a sha2 of its own, 0.11 and 0.10; both use the processor's SHA instructions.

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
    verify::{VerifiedRequest, Rejection, RejectionKind, Verifier, VerifySettings},
};
use tower_sigv4_benches::{
    Contender, contender,
    request::{
        ACCESS_KEY_ID, GET, HEADERS, ORIGIN, POST, REGION, SECRET_ACCESS_KEY, SERVICE, TIME,
        TOKEN_LEN, UNSIGNED, body, token,
    },
};

use crate::judge::Judge;

/// Each request under its name.
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

/// The one that is refused: the first of them.
pub(crate) fn refused() -> Received {
    Received::new(&Method::GET, GET, 0, 0, false)
}

/// A request as it was received, and what each contender verifies it with.
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
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{ORIGIN}{target}"));
        for (name, value) in HEADERS {
            // Who presigns leaves x-amz-user-agent unsigned, which a strict verifier refuses.
            let name = if presigned {
                name.replace("user-agent", "meta-agent")
            } else {
                name.into()
            };
            request = request.header(name, value);
        }
        let mut request = request
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
        match presigned {
            true => presign(&mut request, &credentials, time),
            false => request = sign(request, &credentials, time),
        }
        // HTTP/1.1 leaves the origin to the host header.
        let target = request.uri().path_and_query().cloned().expect("a target");
        *request.uri_mut() = Uri::from(target);
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

    /// Panics unless both accept it, and neither with another body; scratchstack nothing presigned.
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

    /// The clone of the request, which all of them make, and then each of them.
    pub(crate) fn contenders(&self) -> Vec<Contender<'_>> {
        let theirs = match self.presigned {
            false => "scratchstack",
            true => "scratchstack, refusing",
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

    /// The clone of the request, its acceptance, and what it takes this crate to refuse it with
    /// something changed. The clone is that of the request accepted; a header more is not subtracted.
    pub(crate) fn refusals(&self) -> Vec<Contender<'_>> {
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

        let refusal = |name, verifier: Option<Verifier>, request: Request<Bytes>, now, kind| {
            let op = move || {
                let verifier = verifier.as_ref().unwrap_or(&self.verifier);
                verify(verifier, request.clone(), &self.credentials, now, |_| ())
            };
            assert_eq!(op().expect_err("refused").kind(), kind, "{name}");
            contender(name, op)
        };
        vec![
            contender("clone of the request", || self.request.clone()),
            contender("accepted", || self.accepted(&self.request, |_| ())),
            refusal(
                "wrong signature",
                None,
                forged.clone(),
                self.now,
                Kind::SignatureMismatch,
            ),
            refusal(
                "header not signed",
                None,
                added,
                self.now,
                Kind::HeaderNotSigned,
            ),
            refusal("expired", None, self.request.clone(), late, Kind::Expired),
            refusal("another body", None, body, self.now, Kind::PayloadMismatch),
            // Of a caller who was never accepted no key is held, so that it is derived each time.
            refusal(
                "wrong, key not held",
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

/// By aws-sigv4, since this crate does not presign.
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
