//! Verification by scratchstack-aws-signature.

use std::{
    future::{Ready, ready},
    pin::pin,
    str::FromStr,
    task::{self, Poll, Waker},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, request::Parts};
use scratchstack_aws_signature::{
    GetSigningKeyRequest, GetSigningKeyResponse, KSecretKey, SignatureError, SignatureOptions,
    VecSignedHeaderRequirements, auth::SigV4AuthenticatorResponse, sigv4_validate_request,
};
use tower_service::Service;
use tower_sigv4::BoxError;

/// A verifier with one key for one day, region and service.
///
/// It has the rules of `VerifySettings`: `content-type` and every `x-amz-*` have to be signed if present. The key is
/// derived in advance.
pub(crate) struct Judge {
    credentials: Credentials,
    key: GetSigningKeyResponse,
    region: &'static str,
    service: &'static str,
    required: VecSignedHeaderRequirements,
    options: SignatureOptions,
}

impl Judge {
    /// Creates a verifier for the day of `time`. The secret has to have 40 bytes.
    pub(crate) fn new(
        credentials: &Credentials,
        region: &'static str,
        service: &'static str,
        time: SystemTime,
    ) -> Self {
        let secret = KSecretKey::from_str(credentials.secret_access_key()).expect("40 bytes");
        let signing_key = secret.to_ksigning(utc(time).date_naive(), region, service);
        let key = GetSigningKeyResponse::builder()
            .signing_key(signing_key)
            .build()
            .expect("complete");
        Self {
            credentials: credentials.clone(),
            key,
            region,
            service,
            required: VecSignedHeaderRequirements::new(
                &[] as &[&str],
                &["content-type"],
                &["x-amz-"],
            ),
            options: SignatureOptions {
                s3: service == "s3",
                url_encode_form: false,
            },
        }
    }

    pub(crate) fn verify(
        &self,
        request: Request<Bytes>,
        now: SystemTime,
    ) -> Result<(Parts, Bytes, SigV4AuthenticatorResponse), BoxError> {
        let mut keys = self;
        let verifying = sigv4_validate_request(
            request,
            self.region,
            self.service,
            &mut keys,
            utc(now),
            &self.required,
            self.options,
        );
        match pin!(verifying).poll(&mut task::Context::from_waker(Waker::noop())) {
            Poll::Ready(verdict) => verdict,
            Poll::Pending => unreachable!("the future does not wait"),
        }
    }
}

/// Looks up the key. The lookup also has to compare the session token.
impl Service<GetSigningKeyRequest> for &Judge {
    type Response = GetSigningKeyResponse;
    type Error = BoxError;
    type Future = Ready<Result<GetSigningKeyResponse, BoxError>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: GetSigningKeyRequest) -> Self::Future {
        let is_known = request.access_key() == self.credentials.access_key_id()
            && request.session_token() == self.credentials.session_token();
        ready(if is_known {
            Ok(self.key.clone())
        } else {
            Err(SignatureError::InvalidClientTokenId("unknown".to_owned()).into())
        })
    }
}

fn utc(time: SystemTime) -> DateTime<Utc> {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    DateTime::from_timestamp_secs(seconds as i64).expect("before 9999")
}
