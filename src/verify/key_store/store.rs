use std::{future::Future, sync::Arc};

use super::{Key, KeyRequest, LookupFuture};
use crate::error::BoxError;

/// Looks up the key of a caller.
///
/// [`StaticKeys`](super::StaticKeys) holds keys in memory. A closure is a key store too: it takes a [`KeyRequest`] and
/// returns a future of `Result<Option<K>, E>`, where `K` is a [`Key`] or [`Credentials`]. So is an `Arc<dyn KeyStore>`.
///
/// | result | response |
/// |---|---|
/// | `Ok(Some(key))` | depends on the signature |
/// | `Ok(None)`: the key does not exist | 403, [`RejectionKind::UnknownKey`](crate::verify::RejectionKind::UnknownKey) |
/// | `Err(_)`: the lookup failed | 503, [`RejectionKind::LookupFailed`](crate::verify::RejectionKind::LookupFailed) |
///
/// The credentials hold the secret, the session token of a temporary key, and the time at which they expire. They
/// must have the requested ID, in the same case; any other ID counts as a failed lookup. Their session token must be
/// that of the request.
///
/// [`Credentials`]: crate::credentials::Credentials
///
/// # Tenants
///
/// [`Key::with_extension`] attaches a value to the key, such as the tenant. Handlers find it in the extensions of each
/// accepted request. A closure that captures a database pool clones it for each lookup:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # use std::{collections::HashMap, convert::Infallible, io, sync::Arc, time::SystemTime};
/// # use bytes::Bytes;
/// # use http_body_util::Full;
/// # use tower::{Layer, ServiceExt, service_fn};
/// # #[derive(Clone)]
/// # struct Pool(Arc<HashMap<String, (String, u32)>>);
/// # impl Pool {
/// #     async fn find(&self, id: &str) -> io::Result<Option<(String, u32)>> {
/// #         Ok(self.0.get(id).cloned())
/// #     }
/// # }
/// use http::{Request, Response};
/// use tower_sigv4::{
///     BoxError, VerifyLayer, body::VerifiedBody, credentials::Credentials,
///     verify::{Key, KeyRequest, VerifySettings},
/// };
/// # use tower_sigv4::{SigningSettings, sigv4::{Identity, PayloadHash, Signer, SigningParams}};
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Tenant(u32);
///
/// # let pool = Pool(Arc::new([("AKIDEXAMPLE".to_owned(), ("secret".to_owned(), 7))].into()));
/// let keys = move |request: KeyRequest<'static>| {
///     let pool = pool.clone();
///     async move {
///         let id = request.access_key_id();
///         let Some((secret, tenant)) = pool.find(id).await? else { return Ok(None) };
///         let credentials = Credentials::new(id, secret, None, None, "database");
///         Ok::<_, BoxError>(Some(Key::from(credentials).with_extension(Tenant(tenant))))
///     }
/// };
/// let layer = VerifyLayer::new(keys, VerifySettings::new("execute-api", "us-east-1")?);
/// let server = layer.layer(service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
///     let tenant = request.extensions().get::<Tenant>().expect("attached by the key store");
///     assert_eq!(tenant, &Tenant(7));
///     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
/// }));
/// # let (mut head, ()) = Request::get("http://api.example.com/").body(())?.into_parts();
/// # let identity = Identity::new(Credentials::new("AKIDEXAMPLE", "secret", None, None, "docs"))?;
/// # let settings = SigningSettings::new("execute-api", "us-east-1")?;
/// # let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, SystemTime::now());
/// # Signer::new().sign(&mut head, &params)?;
/// # let response = server.oneshot(Request::from_parts(head, Full::default())).await?;
/// # assert_eq!(response.status(), 200);
/// # Ok::<(), BoxError>(())
/// # }).unwrap();
/// ```
///
/// # Temporary keys without a database
///
/// A server that issues temporary keys can put all that it needs into the session token, and derive the secret from
/// it. The store returns credentials with the token of the request:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::convert::Infallible;
/// use tower_sigv4::{credentials::Credentials, verify::{KeyRequest, KeyStore}};
///
/// # fn derive_secret(key: &[u8], token: &str) -> String {
/// #     format!("{:?}", tower_sigv4::sigv4::PayloadHash::of(&[key, token.as_bytes()].concat()))
/// # }
/// let master_key = b"known to this server only";
/// let keys = async |request: KeyRequest<'static>| {
///     let Some(token) = request.session_token() else { return Ok(None) };
///     let secret = derive_secret(master_key, token); // HMAC-SHA256, for example
///     let id = request.access_key_id();
///     Ok::<_, Infallible>(Some(Credentials::new(id, secret, Some(token.to_owned()), None, "derived")))
/// };
///
/// let request = KeyRequest::new("ASIAEXAMPLE", "s3", "us-east-1");
/// assert!(keys.lookup(&request).await?.is_none());
/// let request = request.with_session_token("issued earlier");
/// let key = keys.lookup(&request).await?.expect("a key");
/// assert_eq!(key.credentials().session_token(), Some("issued earlier"));
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
///
/// # Caching
///
/// The lookup runs for each well-formed request, before its signature is verified, with IDs and tokens of
/// unauthenticated clients. Put a timeout around a slow one, and [`CachedKeys`](super::CachedKeys).
pub trait KeyStore: Send + Sync {
    /// Returns the key for a request, if it exists.
    fn lookup(&self, request: &KeyRequest<'_>) -> LookupFuture;
}

impl<K> KeyStore for Arc<K>
where
    K: KeyStore + ?Sized,
{
    fn lookup(&self, request: &KeyRequest<'_>) -> LookupFuture {
        (**self).lookup(request)
    }
}

impl<F, Fut, K, E> KeyStore for F
where
    F: Fn(KeyRequest<'static>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Option<K>, E>> + Send + 'static,
    K: Into<Key>,
    E: Into<BoxError>,
{
    fn lookup(&self, request: &KeyRequest<'_>) -> LookupFuture {
        let lookup = self(request.clone().into_owned());
        LookupFuture::new(async {
            let found = lookup.await.map_err(Into::into)?;
            Ok(found.map(Into::into))
        })
    }
}
