//! One request signed by this crate, by aws-sigv4 and by reqsign.
//!
//! One operation takes the head of an unsigned request and its body to the signed head. It clones the
//! head, hashes the body, signs, and drops the result. The clone is measured by itself as well and
//! subtracted where contenders are compared.
//!
//! What the contenders do differently, and in whose favour:
//!
//! - This crate and aws-sigv4 are given the time; reqsign reads the clock, and cannot be given one.
//! - This crate keeps the key it derived and the text of the second. The others derive and format
//!   anew for each request; that is a part of their design and not taken out.
//! - aws-sigv4's parameters hold the time and own their settings, so that they are built for each
//!   request, and from a `Request` it needs a string of the URI; both are charged to it.
//! - This crate and aws-sigv4 sign the same headers, `AllowList`'s, and arrive at the same
//!   signature. reqsign signs all headers there are, three more here.
//! - reqsign decodes the path and encodes it once and folds no dot segments. It hashes no body: the
//!   hash is computed by its own function and handed over in `x-amz-content-sha256`.

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

/// Each request, with a token and without, under its name.
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

/// One request to sign, and what each contender signs it with.
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
            Poll::Pending => unreachable!("it has nothing to wait for"),
        }
        parts
    }

    /// Panics unless all do the same work: they arrive at the same value of `authorization`.
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
        assert!(seconds.any(|ours| ours.headers[header::AUTHORIZATION] == *reqsign));
    }

    /// The clone of the head, which all of them make, and then each of them.
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
