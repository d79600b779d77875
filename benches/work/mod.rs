//! A request signed by this crate, aws-sigv4 and reqsign.
//!
//! One operation clones the head of an unsigned request, hashes the body, signs, and drops the result. The clone is
//! measured separately and subtracted.
//!
//! Differences between the contenders:
//!
//! - This crate and aws-sigv4 receive the time; reqsign reads the clock.
//! - This crate caches the derived key and the formatted date. The others derive and format for each request, which is
//!   part of their design and included.
//! - The parameters of aws-sigv4 contain the time and own their settings, so that each request builds them, and the URI
//!   has to be a string. Both are included.
//! - This crate and aws-sigv4 sign the headers of `AllowList` and compute the same signature. reqsign signs all
//!   headers, three more here.
//! - reqsign decodes and encodes the path once and does not remove dot segments. It does not hash bodies: its own
//!   function computes the hash for `x-amz-content-sha256`.

use std::{
    borrow::Cow,
    pin::pin,
    task::{self, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    self as aws, PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest,
    UriPathNormalizationMode,
};
use aws_smithy_runtime_api::client::identity::Identity as SmithyIdentity;
use http::{HeaderName, HeaderValue, Method, Request, header, request::Parts};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, SignRequest, hash::hex_sha256};
use sha2::{Digest, Sha256};
use tower_sigv4::{
    SigningSettings,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};
use tower_sigv4_benches::{
    Contender, contender,
    request::{
        ACCESS_KEY_ID, GET, HEADERS, ORIGIN, POST, REGION, SECRET_ACCESS_KEY, SERVICE, TIME,
        TOKEN_LEN, UNSIGNED, body, token,
    },
};

const PUT: &str = "/prod/orders/8a1f03/attachments/invoice-2024.pdf";

/// Returns each request with its name, with and without a token.
pub(crate) fn cases() -> impl Iterator<Item = (String, Work)> {
    let requests = [
        ("GET", Method::GET, GET, 0),
        ("POST 1 KiB", Method::POST, POST, 1 << 10),
        ("PUT 1 MiB", Method::PUT, PUT, 1 << 20),
    ];
    requests
        .into_iter()
        .flat_map(|(name, method, target, len)| {
            [("no token", 0), ("token", TOKEN_LEN)].map(|(token, token_len)| {
                let work = Work::new(&method, target, len, token_len);
                work.assert_agreement();
                (format!("{name}, {token}"), work)
            })
        })
}

/// A request to sign, with the settings of each contender.
pub(crate) struct Work {
    parts: Parts,
    body: Vec<u8>,
    time: SystemTime,
    signer: Signer,
    settings: SigningSettings,
    identity: Identity,
    aws_settings: aws::SigningSettings,
    aws_identity: SmithyIdentity,
    reqsign: RequestSigner,
    reqsign_context: Context,
    reqsign_credential: Credential,
}

impl Work {
    fn new(method: &Method, target: &str, len: usize, token_len: usize) -> Self {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{ORIGIN}{target}"));
        for (name, value) in HEADERS {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).expect("a legal request").into_parts();
        let token = token(token_len);
        let credentials = Credentials::new(
            ACCESS_KEY_ID,
            SECRET_ACCESS_KEY,
            token.clone(),
            None,
            "bench",
        );
        let mut aws_settings = aws::SigningSettings::default();
        aws_settings.percent_encoding_mode = PercentEncodingMode::Double;
        aws_settings.uri_path_normalization_mode = UriPathNormalizationMode::Enabled;
        aws_settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        aws_settings.excluded_headers = Some(UNSIGNED.map(Cow::Borrowed).to_vec());
        Self {
            parts,
            body: body(len),
            time: UNIX_EPOCH + Duration::from_secs(TIME),
            signer: Signer::new(),
            settings: SigningSettings::new(SERVICE, REGION).expect("legal names"),
            identity: Identity::new(credentials.clone()).expect("legal credentials"),
            aws_settings,
            aws_identity: SmithyIdentity::new(credentials, None),
            reqsign: RequestSigner::new(SERVICE, REGION),
            reqsign_context: Context::new(),
            reqsign_credential: Credential {
                access_key_id: ACCESS_KEY_ID.to_owned(),
                secret_access_key: SECRET_ACCESS_KEY.to_owned(),
                session_token: token,
                expires_in: None,
            },
        }
    }

    fn ours(&self, settings: &SigningSettings, time: SystemTime) -> Parts {
        let mut parts = self.parts.clone();
        let payload = PayloadHash::of(&self.body);
        let params = SigningParams::new(settings, &self.identity, payload, time);
        self.signer.sign(&mut parts, &params).expect("signed");
        parts
    }

    fn aws_params(&self) -> aws::SigningParams<'_> {
        aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&self.aws_identity)
            .region(REGION)
            .name(SERVICE)
            .time(self.time)
            .settings(self.aws_settings.clone())
            .build()
            .expect("complete")
            .into()
    }

    fn aws(&self) -> Request<()> {
        let params = self.aws_params();
        let mut request = Request::from_parts(self.parts.clone(), ());
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::Bytes(&self.body),
        );
        let signed = aws::sign(signable.expect("a legal request"), &params).expect("signed");
        let (instructions, _) = signed.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }

    fn reqsign(&self) -> Parts {
        let mut parts = self.parts.clone();
        let hash = HeaderValue::try_from(hex_sha256(&self.body)).expect("hex digits");
        parts.headers.insert("x-amz-content-sha256", hash);
        let credential = Some(&self.reqsign_credential);
        let signing =
            self.reqsign
                .sign_request(&self.reqsign_context, &mut parts, credential, None);
        match pin!(signing).poll(&mut task::Context::from_waker(Waker::noop())) {
            Poll::Ready(signed) => signed.expect("signed"),
            Poll::Pending => unreachable!("the future does not wait"),
        }
        parts
    }

    /// Asserts that all contenders compute the same value of `authorization`.
    fn assert_agreement(&self) {
        let ours = self.ours(&self.settings, self.time);
        let aws = self.aws();
        assert_eq!(
            ours.headers[header::AUTHORIZATION],
            aws.headers()[header::AUTHORIZATION]
        );

        let all = self
            .settings
            .clone()
            .with_signed_headers(|_: &HeaderName| true);
        let before = self.ours(&all, SystemTime::now());
        let reqsign = &self.reqsign().headers[header::AUTHORIZATION];
        let after = self.ours(&all, SystemTime::now());
        let mut seconds = [before, after].into_iter();
        assert!(seconds.any(|signed| signed.headers[header::AUTHORIZATION] == *reqsign));
    }

    /// Returns the clone of the head, which all contenders need, and the contenders.
    pub(crate) fn contenders(&self) -> Vec<Contender<'_>> {
        let mut contenders = vec![
            contender("clone of the head", || self.parts.clone()),
            contender("tower-sigv4", || self.ours(&self.settings, self.time)),
            contender("aws-sigv4", || self.aws()),
            contender("reqsign-aws-v4", || self.reqsign()),
        ];
        if self.body.len() >= 1 << 20 {
            let sha256 = || (self.parts.clone(), Sha256::digest(&self.body));
            contenders.push(contender("SHA-256 of the body", sha256));
        }
        contenders
    }
}
