use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{KeyStore, Verifier, VerifySettings, service::Verify};
use crate::{ErrorFormat, body::BodyBudget, clock::Clock};

/// Layer that applies [`Verify`]: refuses each request that is not signed by the holder of a key.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::{convert::Infallible, time::SystemTime};
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_sigv4::{
///     SigningSettings, VerifyLayer,
///     body::VerifiedBody,
///     credentials::Credentials,
///     sigv4::{Identity, PayloadHash, Signer, SigningParams},
///     verify::{RejectionKind, StaticKeys, Verified, VerifySettings},
/// };
///
/// let key = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let keys = StaticKeys::new([key.clone()])?;
/// let server = ServiceBuilder::new()
///     .layer(VerifyLayer::new(keys, VerifySettings::new("execute-api", "us-east-1")?))
///     .service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
///         let caller = request.extensions().get::<Verified>().expect("put there by the layer");
///         let hello = format!("hello {}", caller.access_key_id());
///         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(hello))))
///     });
///
/// let request = Request::get("http://api.example.com/orders").body(Full::default())?;
/// let refused = server.clone().oneshot(request.clone()).await?;
/// assert_eq!(refused.status(), StatusCode::FORBIDDEN);
/// let kind = refused.extensions().get::<RejectionKind>();
/// assert_eq!(kind, Some(&RejectionKind::MissingAuthentication));
///
/// let (mut head, body) = request.into_parts();
/// let (settings, identity) = (SigningSettings::new("execute-api", "us-east-1")?, Identity::new(key)?);
/// let (payload, now) = (PayloadHash::EMPTY, SystemTime::now());
/// Signer::new().sign(&mut head, &SigningParams::new(&settings, &identity, payload, now))?;
/// let accepted = server.oneshot(Request::from_parts(head, body)).await?;
/// assert_eq!(accepted.status(), StatusCode::OK);
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
#[must_use]
pub struct VerifyLayer {
    shared: Arc<Shared>,
}

/// What all services of a layer use.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) keys: Arc<dyn KeyStore>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) clock: Clock,
    pub(super) body: BodyCheck,
    pub(super) budget: Option<BodyBudget>,
    pub(super) format: ErrorFormat,
    pub(super) anonymous: bool,
    pub(super) rewrites_path: bool,
}

/// When the body is compared with the hash that was signed.
///
/// | | memory | what the inner service sees of a wrong body | a hash in the head |
/// |---|---|---|---|
/// | [`Collected`](BodyCheck::Collected) | up to the limit for each request | nothing: it is not called | not needed |
/// | [`Streamed`](BodyCheck::Streamed) | two frames | all but its end, then an error | needed |
///
/// Pick `Collected` unless bodies are too large for it. With `Streamed` whatever reads the body must
/// take nothing it has read for true before the body has ended without an error: write to a file that
/// is renamed in the end, say.
///
/// Where the head has no hash, the body has to be collected before the signature can be verified: any
/// one who knows an access key id can have the limit's bytes held for each connection. Clients of the S3
/// family always send the hash.
///
/// A body in chunks (`aws-chunked`, S3) is taken out of its frames. Streamed, it is handed on chunk by
/// chunk, each when its signature and that of the next are right; two are held, of 16 MiB at most. Chunks
/// that are not signed, but have their checksum in a trailer, are handed on as they come, but for the last
/// bytes, which wait for the checksum.
///
/// Any other body that no signature covers, `UNSIGNED-PAYLOAD` or an anonymous request's, is neither
/// collected nor limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyCheck {
    /// Before the inner service is called.
    Collected {
        /// The largest body accepted, in bytes.
        limit: u64,
    },
    /// While the inner service reads it.
    Streamed,
}

impl Default for BodyCheck {
    /// Collected, up to 16 MiB.
    fn default() -> Self {
        Self::Collected {
            limit: 16 * 1024 * 1024,
        }
    }
}

impl VerifyLayer {
    /// Accepts what is signed with one of these keys and meets these settings.
    ///
    /// `keys` are [`StaticKeys`](super::StaticKeys), a closure or a [`KeyStore`] of your own. Refusals
    /// are XML for the S3 family, else JSON; see [`ErrorFormat`].
    pub fn new(keys: impl KeyStore + 'static, settings: VerifySettings) -> Self {
        Self {
            shared: Arc::new(Shared {
                keys: Arc::new(keys),
                format: if settings.s3_family {
                    ErrorFormat::Xml
                } else {
                    ErrorFormat::Json
                },
                verifier: Arc::new(Verifier::new(settings)),
                clock: Clock::system(),
                body: BodyCheck::default(),
                budget: None,
                anonymous: false,
                rewrites_path: false,
            }),
        }
    }

    /// Sets when the body is checked.
    pub fn with_body_check(mut self, check: BodyCheck) -> Self {
        self.shared_mut().body = check;
        self
    }

    /// Sets the memory that collected bodies share, with other layers too; there is none by default.
    ///
    /// Where the head has no hash, room is taken before the signature is verified.
    pub fn with_body_budget(mut self, budget: BodyBudget) -> Self {
        self.shared_mut().budget = Some(budget);
        self
    }

    /// Sets the shape of refusals.
    pub fn with_error_format(mut self, format: ErrorFormat) -> Self {
        self.shared_mut().format = format;
        self
    }

    /// Sets whether requests without any authorization pass, without a [`Verified`](super::Verified)
    /// (they do not by default).
    ///
    /// One that carries any is verified all the same, and refused if it is wrong. Of an anonymous request
    /// nothing is checked: neither its path and host nor its headers and body.
    pub fn with_anonymous(mut self, passes: bool) -> Self {
        self.shared_mut().anonymous = passes;
        self
    }

    /// Sets whether a path that has the canonical form of another one is replaced by that, instead of
    /// being refused (it is refused by default).
    ///
    /// Off the S3 family, signatures do not tell `/a//b` and `/x/../a/b` from `/a/b`, and for S3
    /// `/a%2Fb` is `/a/b`: who has a presigned URL for one may send it for the other. Replace the path
    /// where nothing looked at it before this layer. In a router that has chosen its route already,
    /// refuse it.
    pub fn with_path_rewrite(mut self, rewrites: bool) -> Self {
        self.shared_mut().rewrites_path = rewrites;
        self
    }

    /// Sets the clock that signing times are compared with; tests freeze it.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.shared_mut().clock = clock;
        self
    }

    fn shared_mut(&mut self) -> &mut Shared {
        Arc::make_mut(&mut self.shared)
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify::new(inner, self.shared.clone())
    }
}

impl fmt::Debug for VerifyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyLayer")
            .field("verifier", &self.shared.verifier)
            .field("clock", &self.shared.clock)
            .field("body", &self.shared.body)
            .finish_non_exhaustive()
    }
}
