//! Verification of callers by their IAM principal: [`IamLayer`] and its settings.
//!
//! A caller proves its principal without showing its secret key, as with HashiCorp Vault and Amazon EKS: it presigns a
//! request to `GetCallerIdentity` of STS, and sends the URL in the header `x-sigv4-caller-url`. The layer sends that
//! request to STS, which responds with account and ARN. Every principal may call `GetCallerIdentity`; it needs no
//! permission.
//!
//! # URL
//!
//! The caller signs a header with the [ID](IamSettings::new) of this server, so that another server that receives the
//! URL cannot use it here. In Python, with botocore:
//!
//! ```python
//! import boto3
//! from botocore.signers import RequestSigner
//!
//! session, region = boto3.Session(), "us-east-1"
//! client = session.client("sts", region_name=region)
//! signer = RequestSigner(client.meta.service_model.service_id, region, "sts", "v4", session.get_credentials(), session.events)
//! url = signer.generate_presigned_url({
//!     "method": "GET",
//!     "url": f"https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
//!     "body": {},
//!     "headers": {"x-sigv4-server-id": "gateway.example.com"},
//!     "context": {},
//! }, region_name=region, expires_in=300, operation_name="")
//! print(url)
//! ```
//!
//! ```text
//! curl -H "x-sigv4-caller-url: $(python3 presign.py)" https://gateway.example.com/orders
//! ```
//!
//! # Checks
//!
//! All of these come before anything is sent:
//!
//! - The URL is `https://<endpoint of STS>/?<query>`, with the endpoint of an [accepted
//!   region](IamSettings::with_regions), at most 8 KiB long.
//! - The query has the parameters of a presigned `GetCallerIdentity` of version `2011-06-15`, each once, in canonical
//!   encoding, and no other.
//! - Exactly `host` and the header with the ID are signed.
//! - The signature is for service `sts` and for the region of the endpoint. It is not from the future, has not expired,
//!   and expires in 15 minutes at most.
//!
//! The request to STS is written again from these parts, with the server's own ID. STS verifies the signature. A
//! principal must be of an accepted [account](IamSettings::with_accounts) and
//! [pattern](IamSettings::with_principals), if these are set.
//!
//! # Replays
//!
//! Anyone who has a URL can use it at this server until it expires: it is a secret, like a token. Use TLS, let URLs expire
//! after a few minutes, and do not log the header. A request has no other protection by the signature: neither its path
//! nor its body are signed.
//!
//! # Cache
//!
//! STS gets each URL once. Its result is cached until the URL expires, in 10,000 entries at most; rejections are cached
//! for 30 seconds, in entries of their own. Concurrent requests with one URL share a request to STS. If STS is not
//! available, requests with new URLs get 503, and those with a cached principal are accepted. At most 64 requests to STS
//! run at a time. A flood of invalid URLs occupies them, and callers with new URLs then wait or get 503: limit the rate of
//! clients in front of this layer.

mod arn_pattern;
mod endpoint;
mod future;
mod layer;
mod principal;
mod rejection;
mod relay;
mod relay_cache;
mod service;
mod settings;
mod signed_url;
mod verifier;

pub use self::{
    future::ResponseFuture,
    layer::IamLayer,
    principal::VerifiedPrincipal,
    rejection::{Rejection, RejectionKind},
    service::VerifyIam,
    settings::IamSettings,
    verifier::IamVerifier,
};
