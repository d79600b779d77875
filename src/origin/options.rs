use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, header, request::Parts};

use super::{
    ForwardedHeaders, MirrorPresigned, PayloadMode, PayloadPolicy, Spool, WireForm,
    body_plan::{BodyPlan, Hop, Receiver, Sending},
    headers, mirror,
};
#[cfg(feature = "sign")]
use crate::credentials::PickIdentity;
use crate::{
    SigningSettings,
    error::Error,
    sigv4::{PresignExpiry, service_rules::service_rules, signed_headers::single_value},
};

/// Settings of requests to an origin.
#[derive(Clone, Debug)]
pub(crate) struct Options<S = SigningSettings> {
    pub(crate) settings: S,
    pub(crate) behavior: SigningBehavior,
    pub(crate) wire: WireForm,
    /// `None` for the service's default.
    payload: Option<Arc<dyn PayloadPolicy>>,
    /// Lifetime of a signature in the query; `None` for one in the header.
    pub(crate) presigned: Option<Duration>,
    pub(crate) presign_expiry: PresignExpiry,
    pub(crate) mirror_presigned: MirrorPresigned,
    /// A signature in the query leaves the client's `authorization`.
    pub(super) client_authorization: bool,
    pub(crate) body_limit: u64,
    pub(crate) spool: Option<Spool>,
    /// `None` leaves the headers of the request as they are.
    pub(crate) forwarded: Option<ForwardedHeaders>,
    /// `None` to recover if the host is one of AWS.
    pub(crate) recovery: Option<bool>,
    /// Requests follow S3 to the region of a bucket.
    pub(super) redirects: bool,
    /// Patterns of the regions that requests follow S3 to; `None` for all.
    pub(super) redirect_regions: Option<Arc<[String]>>,
    /// `None` for the credentials of the layer.
    #[cfg(feature = "sign")]
    pub(crate) identity: Option<Arc<dyn PickIdentity>>,
}

/// Selects the requests that are signed. Names and meaning are those of CloudFront's origin access control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningBehavior {
    /// Signs every request. The client's own signature is replaced.
    #[default]
    Always,
    /// Forwards requests with an `authorization` header or a presigned URL as they are, and signs others.
    NoOverride,
    /// Signs no request.
    Never,
}

impl<S> Options<S> {
    /// 16 MiB.
    const BODY_LIMIT: u64 = 16 * 1024 * 1024;

    pub(crate) fn new(settings: S, forwarded: Option<ForwardedHeaders>) -> Self {
        Self {
            settings,
            behavior: SigningBehavior::default(),
            wire: WireForm::default(),
            payload: None,
            presigned: None,
            presign_expiry: PresignExpiry::default(),
            mirror_presigned: MirrorPresigned::default(),
            client_authorization: false,
            body_limit: Self::BODY_LIMIT,
            spool: None,
            forwarded,
            recovery: None,
            redirects: true,
            redirect_regions: None,
            #[cfg(feature = "sign")]
            identity: None,
        }
    }

    /// Returns the same options with other settings.
    pub(crate) fn with_settings<T>(&self, settings: T) -> Options<T> {
        Options {
            settings,
            behavior: self.behavior,
            wire: self.wire,
            payload: self.payload.clone(),
            presigned: self.presigned,
            presign_expiry: self.presign_expiry,
            mirror_presigned: self.mirror_presigned,
            client_authorization: self.client_authorization,
            body_limit: self.body_limit,
            spool: self.spool.clone(),
            forwarded: self.forwarded,
            recovery: self.recovery,
            redirects: self.redirects,
            redirect_regions: self.redirect_regions.clone(),
            #[cfg(feature = "sign")]
            identity: self.identity.clone(),
        }
    }

    pub(crate) fn set_payload(&mut self, policy: impl PayloadPolicy + 'static) {
        self.payload = Some(Arc::new(policy));
    }
}

impl Options {
    /// Returns a path in the origin's wire form.
    pub(super) fn wire_path<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, Error> {
        self.wire.path(path, self.settings.path_form())
    }

    /// Returns `true` if a request is signed, and `false` if it is forwarded as it is.
    pub(crate) fn signs(&self, head: &Parts) -> bool {
        match self.behavior {
            SigningBehavior::Always => true,
            SigningBehavior::NoOverride => !headers::carries_signature(head),
            SigningBehavior::Never => false,
        }
    }

    /// Returns `true` if the client's `authorization` is forwarded beside the signature.
    pub(super) fn forwards_authorization(&self, headers: &HeaderMap) -> bool {
        self.client_authorization
            && self.presigned.is_some()
            && single_value(headers, header::AUTHORIZATION)
                .is_some_and(|value| !is_aws_signature(value))
    }

    /// Rejects signed header values that S3 does not read as they were sent. The SDKs do so too.
    pub(crate) fn check_header_values(&self, headers: &HeaderMap) -> Result<(), Error> {
        if !service_rules(self.settings.service()).s3_family {
            return Ok(());
        }
        let policy = self.settings.signed_headers();
        let mut values = headers.iter();
        match values.find(|(name, value)| !value.as_bytes().is_ascii() && policy.is_signed(name)) {
            Some((name, _)) => Err(Error::request(format!(
                "header {name} is signed and has a value that is not ASCII, which S3 reads as other bytes; encode it \
                 (RFC 2047, or percent-encoding)"
            ))),
            None => Ok(()),
        }
    }

    /// Returns the plan for the body of a request. `s3_default` is the mode for the S3 family.
    pub(super) fn body_plan(
        &self,
        head: &Parts,
        hop: Hop,
        s3_default: PayloadMode,
    ) -> Result<BodyPlan, Error> {
        let rules = service_rules(self.settings.service());
        let mode = match &self.payload {
            Some(policy) => policy.mode(head),
            None if rules.requires_unsigned_payload => PayloadMode::Unsigned,
            None if rules.s3_family => s3_default,
            None => PayloadMode::default(),
        };
        let receiver = Receiver {
            service: self.settings.service(),
            rules,
            regions: self.settings.region_set(),
            in_query: self.presigned.is_some(),
            hop,
            spool: self.spool.as_ref(),
        };
        if mode == PayloadMode::Mirror {
            return mirror::plan(head, self.mirror_presigned, receiver);
        }
        let plan = mode.plan(head, &receiver)?;
        match plan.sending {
            Sending::Large(_, spool) if !receiver.accepts_signed_chunks() => Ok(BodyPlan {
                sending: Sending::Collect {
                    spool,
                    signed: None,
                },
                ..plan
            }),
            Sending::Chunk(_, framing) | Sending::Framed(framing) => {
                receiver.check_chunks(framing)?;
                Ok(plan)
            }
            _ => Ok(plan),
        }
    }
}

/// Returns `true` for Signature Version 4 (`AWS4-HMAC-SHA256`, `AWS4-ECDSA-P256-SHA256`) and 2 (`AWS`).
fn is_aws_signature(authorization: &HeaderValue) -> bool {
    let scheme = authorization.as_bytes().trim_ascii_start().get(..3);
    scheme.is_some_and(|start| start.eq_ignore_ascii_case(b"aws"))
}

/// Setters that [`Origin`](super::Origin) and [`UriOrigin`](super::UriOrigin) share.
macro_rules! option_setters {
    () => {
        /// Selects the requests that are signed: [`Always`](crate::origin::SigningBehavior::Always) by default.
        pub fn with_signing(mut self, behavior: $crate::origin::SigningBehavior) -> Self {
            self.options_mut().behavior = behavior;
            self
        }

        /// Sets the form of path and query: [`Preserve`](crate::origin::WireForm::Preserve) by default.
        pub fn with_wire_form(mut self, form: $crate::origin::WireForm) -> Self {
            self.options_mut().wire = form;
            self
        }

        /// Signs in the query instead of the header, as presigned URLs are.
        ///
        /// The parameters of the signature follow the request's own. They and the session token are part
        /// of the URL: anyone who sees it, in a log or in a redirect that the origin builds from it, can
        /// send the request again until it expires.
        ///
        /// A request whose URL would outlive the credentials fails before it is sent, unless
        /// [`with_presign_expiry`](Self::with_presign_expiry) allows it.
        ///
        /// # Errors
        ///
        /// [`ErrorKind::Config`](crate::ErrorKind::Config) unless it expires after 1 to 604,800 seconds.
        pub fn with_query_signature(
            mut self,
            expires: std::time::Duration,
        ) -> Result<Self, $crate::Error> {
            $crate::sigv4::presign::check_expiry(expires)?;
            self.options_mut().presigned = Some(expires);
            Ok(self)
        }

        /// Sets the handling of URLs of [`with_query_signature`](Self::with_query_signature) that would
        /// outlive the credentials. By default the request fails with
        /// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials), and nothing is sent.
        pub fn with_presign_expiry(mut self, expiry: $crate::sigv4::PresignExpiry) -> Self {
            self.options_mut().presign_expiry = expiry;
            self
        }

        /// Sets the form of the signature that replaces a client's presigned URL in
        /// [`PayloadMode::Mirror`](crate::origin::PayloadMode::Mirror):
        /// [`Header`](crate::origin::MirrorPresigned::Header) by default.
        ///
        /// [`with_query_signature`](Self::with_query_signature) overrides it.
        pub fn with_mirrored_presign(mut self, form: $crate::origin::MirrorPresigned) -> Self {
            self.options_mut().mirror_presigned = form;
            self
        }

        /// Forwards the client's own `authorization`, such as a bearer token, beside a signature in the query
        /// (removed by default).
        ///
        /// It has an effect only with [`with_query_signature`](Self::with_query_signature), since a signature in the
        /// header replaces the client's value. The signature never covers the header. A signature of AWS is removed in
        /// any case, and so are several values. S3 rejects requests that have both; VPC Lattice accepts them.
        ///
        /// To send the value in another header, copy it there before the request reaches the layer.
        pub fn with_client_authorization(mut self, forwarded: bool) -> Self {
            self.options_mut().client_authorization = forwarded;
            self
        }

        /// Sets how bodies are signed; see [`PayloadMode`](crate::origin::PayloadMode).
        ///
        /// By default bodies for the S3 family are sent as the client sends them
        /// ([`Mirror`](crate::origin::PayloadMode::Mirror)), and others are buffered. For VPC Lattice
        /// (`vpc-lattice-svcs`), which accepts only unsigned bodies, they are unsigned.
        pub fn with_payload(
            mut self,
            policy: impl $crate::origin::PayloadPolicy + 'static,
        ) -> Self {
            self.options_mut().set_payload(policy);
            self
        }

        /// Sets the temporary files for bodies that are too large for memory, which
        /// [`PayloadMode::Spool`](crate::origin::PayloadMode::Spool) and
        /// [`Auto`](crate::origin::PayloadMode::Auto) use.
        #[cfg(feature = "spool")]
        #[cfg_attr(docsrs, doc(cfg(feature = "spool")))]
        pub fn with_spool(mut self, spool: $crate::origin::Spool) -> Self {
            self.options_mut().spool = Some(spool);
            self
        }

        /// Sets the maximum size of a buffered body in bytes; 16 MiB by default.
        ///
        /// A body is buffered as a whole, since its hash is sent before it. A larger body is an error of
        /// kind [`BodyTooLarge`](crate::ErrorKind::BodyTooLarge), before its first byte is read if the
        /// length is known, unless the [`PayloadMode`](crate::origin::PayloadMode) sends it in another
        /// way. Bodies that stream have no limit.
        pub fn with_body_limit(mut self, bytes: u64) -> Self {
            self.options_mut().body_limit = bytes;
            self
        }

        /// Sets the credentials of the origin's requests, in place of those of the
        /// [`SigningLayer`](crate::SigningLayer): a provider, or a
        /// [`CredentialsCache`](crate::credentials::CredentialsCache) with a name and settings of its own.
        ///
        /// A route with another identity is a clone of the origin with other credentials.
        ///
        /// ```
        /// use tower_sigv4::{
        ///     Origin, SigningLayer,
        ///     credentials::{Credentials, CredentialsCache, EnvironmentCredentials},
        ///     origin::{OriginRule, OriginRules},
        /// };
        ///
        /// let bucket = Origin::infer("https://bucket.s3.eu-west-1.amazonaws.com")?;
        /// let reader = Credentials::new("AKIDREADER", "secret", None, None, "example");
        /// let reader = CredentialsCache::new(reader).with_name("reader");
        /// let rules = OriginRules::new()
        ///     .add_rule(OriginRule::path("/public")?, bucket.clone().with_credentials(reader))
        ///     .add_rule(OriginRule::any(), bucket); // with the credentials of the layer
        /// let layer = SigningLayer::new(EnvironmentCredentials::new(), rules);
        /// # let _ = layer;
        /// # Ok::<(), tower_sigv4::Error>(())
        /// ```
        #[cfg(feature = "sign")]
        #[cfg_attr(docsrs, doc(cfg(feature = "sign")))]
        pub fn with_credentials(
            self,
            credentials: impl $crate::credentials::ProvideCredentials + 'static,
        ) -> Self {
            self.with_identity($crate::credentials::CredentialsCache::new(credentials))
        }

        /// Picks the credentials of each of the origin's requests, in place of those of the
        /// [`SigningLayer`](crate::SigningLayer): by a closure or a
        /// [`PickIdentity`](crate::credentials::PickIdentity).
        ///
        /// [`Identities`](crate::credentials::Identities) has an example. A request that is not signed has no
        /// identity.
        #[cfg(feature = "sign")]
        #[cfg_attr(docsrs, doc(cfg(feature = "sign")))]
        pub fn with_identity(
            mut self,
            picker: impl $crate::credentials::PickIdentity + 'static,
        ) -> Self {
            self.options_mut().identity = Some(std::sync::Arc::new(picker));
            self
        }

        /// Enables or disables recovery from a wrong clock and from expired credentials.
        ///
        /// By default it is enabled for hosts of AWS and disabled for others: your own application may
        /// process a request and then respond as AWS does. See
        /// [`SigningLayer::with_recovery`](crate::SigningLayer::with_recovery).
        #[cfg(feature = "doctor")]
        #[cfg_attr(docsrs, doc(cfg(feature = "doctor")))]
        pub fn with_recovery(mut self, enabled: bool) -> Self {
            self.options_mut().recovery = Some(enabled);
            self
        }

        /// Enables or disables following S3 to the region of a bucket (enabled by default).
        ///
        /// S3 redirects requests to buckets of other regions: with status 301 or 307, or with 400 if the signature is
        /// for the wrong region. The request is signed for the region of the response's `x-amz-bucket-region` or
        /// `<Region>`, and sent once more, if its body is empty, collected or in a temporary file. Further requests for
        /// the bucket are sent there at once, after one was accepted.
        ///
        /// The new host is that of the origin with another region of the same partition. A location in the response is
        /// ignored. Only requests to a host of S3 follow, such as `s3.us-east-1.amazonaws.com` or
        /// `bucket.s3.amazonaws.com`, without [`with_signed_host`](crate::Origin::with_signed_host). It is a part of
        /// [`with_recovery`](Self::with_recovery).
        #[cfg(feature = "doctor")]
        #[cfg_attr(docsrs, doc(cfg(feature = "doctor")))]
        pub fn with_redirects(mut self, enabled: bool) -> Self {
            self.options_mut().redirects = enabled;
            self
        }

        /// Selects the forwarding headers that the origin receives: a
        /// [`ForwardedHeaders`](crate::origin::ForwardedHeaders), or `true` for all and `false` for none.
        ///
        /// An [`Origin`](crate::Origin) of the S3 family receives none by default, since some servers of its
        /// protocol derive the signed host from `x-forwarded-host`. Other origins receive all of them. The
        /// headers for a [`UriOrigin`](crate::origin::UriOrigin) stay unchanged by default, since its
        /// requests are the caller's own.
        pub fn with_forwarded(
            mut self,
            forwarded: impl Into<$crate::origin::ForwardedHeaders>,
        ) -> Self {
            self.options_mut().forwarded = Some(forwarded.into());
            self
        }
    };
}
