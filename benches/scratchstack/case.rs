//! A request, and its result with each verifier.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use tower_sigv4::{
    SigningSettings,
    sigv4::{AllExcept, Identity, PathForm, PayloadHash, Signer, SigningParams},
    verify::{RejectionKind, Verifier, VerifySettings},
};

use crate::judge::Judge;

pub(crate) const REGION: &str = "us-east-1";
pub(crate) const ID: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request with the settings of signing and of each verifier.
pub(crate) struct Case {
    pub(crate) service: &'static str,
    /// `None` for the default of the service.
    pub(crate) form: Option<PathForm>,
    pub(crate) credentials: Credentials,
    pub(crate) time: SystemTime,
    pub(crate) now: SystemTime,
    pub(crate) payload_header: bool,
    pub(crate) every_header: bool,
    pub(crate) request: Request<Bytes>,
}

impl Case {
    pub(crate) fn new(service: &'static str, uri: &str) -> Self {
        let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160); // 20150830T123600Z
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri.parse().expect("a URI");
        let host = HeaderValue::from_static("example.com");
        request.headers_mut().insert(header::HOST, host);
        Self {
            service,
            form: None,
            credentials: Credentials::new(ID, SECRET, None, None, "test"),
            time,
            now: time,
            payload_header: true,
            every_header: false,
            request,
        }
    }

    /// Adds a header, which is signed.
    pub(crate) fn with(mut self, name: &'static str, value: &[u8]) -> Self {
        let value = HeaderValue::from_bytes(value).expect("legal");
        self.request.headers_mut().append(name, value);
        self
    }

    pub(crate) fn headers(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }

    pub(crate) fn signing_settings(&self) -> SigningSettings {
        let settings = SigningSettings::new(self.service, REGION)
            .expect("legal names")
            .with_payload_header(self.payload_header);
        let settings = match self.form {
            Some(form) => settings.with_path_form(form),
            None => settings,
        };
        if self.every_header {
            settings.with_signed_headers(AllExcept::default())
        } else {
            settings
        }
    }

    pub(crate) fn settings(&self) -> VerifySettings {
        let settings = VerifySettings::new(self.service, REGION).expect("legal names");
        match self.form {
            Some(form) => settings.with_path_form(form),
            None => settings,
        }
    }

    /// Signs the request with this crate.
    pub(crate) fn signed(self) -> Self {
        let settings = self.signing_settings();
        self.signed_by(&settings)
    }

    pub(crate) fn signed_by(mut self, settings: &SigningSettings) -> Self {
        let (mut head, body) = self.request.into_parts();
        let identity = Identity::new(self.credentials.clone()).expect("legal credentials");
        let params = SigningParams::new(settings, &identity, PayloadHash::of(&body), self.time);
        Signer::new().sign(&mut head, &params).expect("signed");
        self.request = Request::from_parts(head, body);
        self
    }

    /// Signs the given canonical request followed by the hash of the body, with these names as `SignedHeaders`.
    pub(crate) fn signed_by_hand(self, canonical: &str, names: &str) -> Self {
        let canonical = format!("{canonical}\n{}", PayloadHash::of(self.request.body()));
        self.signed_by_hand_over(&canonical, names)
    }

    /// As [`signed_by_hand`](Self::signed_by_hand), for a complete canonical request.
    pub(crate) fn signed_by_hand_over(mut self, canonical: &str, names: &str) -> Self {
        let hash = PayloadHash::of(canonical.as_bytes());
        let scope = format!("20150830/{REGION}/{}/aws4_request", self.service);
        let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{hash}");
        let secret = self.credentials.secret_access_key();
        let key = generate_signing_key(secret, self.time, REGION, self.service);
        let signature = calculate_signature(key, text.as_bytes());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ID}/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        let value = HeaderValue::try_from(authorization).expect("legal");
        self.headers().insert(header::AUTHORIZATION, value);
        self
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::new(self.settings())
    }

    pub(crate) fn judge(&self) -> Judge {
        Judge::new(&self.credentials, REGION, self.service, self.time)
    }

    /// Returns the result of this crate.
    pub(crate) fn ours(&self) -> Result<(), RejectionKind> {
        self.ours_by(&self.verifier())
    }

    pub(crate) fn ours_by(&self, verifier: &Verifier) -> Result<(), RejectionKind> {
        let (head, body) = self.request.clone().into_parts();
        let result = verifier.parse(&head, self.now).and_then(|claim| {
            verifier
                .verify(claim, &self.credentials, &PayloadHash::of(&body))
                .map(|_| ())
        });
        result.map_err(|rejection| rejection.kind())
    }

    /// Returns the result of scratchstack.
    pub(crate) fn theirs(&self) -> Result<(), String> {
        self.theirs_by(&self.judge())
    }

    pub(crate) fn theirs_by(&self, judge: &Judge) -> Result<(), String> {
        let result = judge.verify(self.request.clone(), self.now);
        result.map(|_| ()).map_err(|error| error.to_string())
    }

    #[track_caller]
    pub(crate) fn both_accept(&self) {
        assert_eq!(
            (self.ours(), self.theirs()),
            (Ok(()), Ok(())),
            "{:#?}",
            self.request
        );
    }

    #[track_caller]
    pub(crate) fn only_ours_accepts(&self) {
        assert_eq!(self.ours(), Ok(()));
        assert!(self.theirs().is_err());
    }

    #[track_caller]
    pub(crate) fn only_theirs_accepts(&self, kind: RejectionKind) {
        assert_eq!((self.ours(), self.theirs()), (Err(kind), Ok(())));
    }

    #[track_caller]
    pub(crate) fn both_reject(&self, kind: RejectionKind) {
        assert_eq!(self.ours(), Err(kind));
        assert!(self.theirs().is_err());
    }
}
