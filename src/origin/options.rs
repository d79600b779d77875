use std::{borrow::Cow, time::Duration};

use http::request::Parts;

use super::{
    ForwardedHeaders, PayloadMode, PayloadPolicy, Spool, WireForm, headers,
    payload::{BodyPlan, Policy},
};
use crate::{
    SigningSettings,
    error::{Error, ErrorKind},
    sigv4::{PresignExpiry, service_rules::service_rules},
};

/// What is done with requests to an origin, whichever way the origin was found.
#[derive(Clone, Debug)]
pub(crate) struct Options<S = SigningSettings> {
    pub(crate) settings: S,
    pub(crate) behavior: SigningBehavior,
    pub(crate) wire: WireForm,
    /// `None` for what the service takes.
    payload: Option<Policy>,
    /// How long a signature in the query is valid; `None` for one in the header.
    pub(crate) presigned: Option<Duration>,
    pub(crate) presign_expiry: PresignExpiry,
    pub(crate) body_limit: u64,
    pub(crate) spool: Option<Spool>,
    /// `None` leaves the headers of the request as they are.
    pub(crate) forwarded: Option<ForwardedHeaders>,
    /// `None` to recover where the host is AWS's.
    pub(crate) recovery: Option<bool>,
}

/// Which requests are signed. The names and their meaning are those of CloudFront's origin access
/// control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningBehavior {
    /// Every request is signed; a signature that it came with is replaced.
    #[default]
    Always,
    /// A request that comes with an `authorization` header, or is presigned, is passed on with it;
    /// others are signed.
    NoOverride,
    /// No request is signed.
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
            body_limit: Self::BODY_LIMIT,
            spool: None,
            forwarded,
            recovery: None,
        }
    }

    /// The same for these settings.
    pub(crate) fn with_settings<T>(&self, settings: T) -> Options<T> {
        Options {
            settings,
            behavior: self.behavior,
            wire: self.wire,
            payload: self.payload.clone(),
            presigned: self.presigned,
            presign_expiry: self.presign_expiry,
            body_limit: self.body_limit,
            spool: self.spool.clone(),
            forwarded: self.forwarded,
            recovery: self.recovery,
        }
    }

    pub(crate) fn set_payload(&mut self, policy: impl PayloadPolicy + 'static) {
        self.payload = Some(Policy::new(policy));
    }
}

impl Options {
    /// Returns a path in the origin's wire form.
    pub(super) fn wire_path<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, Error> {
        self.wire.path(path, self.settings.path_form())
    }

    /// What is to be done with the body of a request.
    pub(crate) fn body_plan(&self, head: &Parts) -> Result<BodyPlan, Error> {
        let mode = match &self.payload {
            Some(policy) => policy.mode(head),
            None if service_rules(self.settings.service()).requires_unsigned_payload => {
                PayloadMode::Unsigned
            }
            None => PayloadMode::default(),
        };
        let plan = mode.plan(head, self.spool.as_ref())?;
        if headers::is_aws_chunked(&head.headers) && !matches!(plan, BodyPlan::Framed(_)) {
            return Err(Error::new(
                ErrorKind::UnsupportedBody,
                "the body is framed as aws-chunked and would be signed as if the frames were data; switch \
                 the client's chunked signing off, or leave its signature with `NoOverride`",
            ));
        }
        let service = self.settings.service();
        let s3_family = service_rules(service).s3_family;
        let regions = self.settings.region_set();
        let takes_chunks = s3_family && self.presigned.is_none() && regions.is_none();
        match plan {
            BodyPlan::ChunkLarge(_, spool) if !takes_chunks => Ok(BodyPlan::Collect(spool)),
            BodyPlan::Chunk(..) | BodyPlan::Framed(_) if !s3_family => Err(Error::config(format!(
                "service {service:?} takes no aws-chunked bodies; choose another payload mode for it"
            ))),
            BodyPlan::Chunk(..) | BodyPlan::Framed(_) if self.presigned.is_some() => {
                Err(Error::config(
                    "chunks cannot go with a signature in the query; choose another payload mode",
                ))
            }
            BodyPlan::Chunk(_, framing) | BodyPlan::Framed(framing)
                if regions.is_some() && framing.is_signed() =>
            {
                Err(Error::config(format!(
                    "chunks cannot be signed for the region set {:?}; choose another payload mode, or \
                     settings for one region",
                    self.settings.region(),
                )))
            }
            plan => Ok(plan),
        }
    }
}

/// The setters that [`Origin`](super::Origin) and [`UriOrigin`](super::UriOrigin) share.
macro_rules! option_setters {
    () => {
        /// Sets which requests are signed: [`Always`](crate::origin::SigningBehavior::Always) by default.
        pub fn with_signing(mut self, behavior: $crate::origin::SigningBehavior) -> Self {
            self.options_mut().behavior = behavior;
            self
        }

        /// Sets how path and query are sent: [`Preserve`](crate::origin::WireForm::Preserve) by default.
        pub fn with_wire_form(mut self, form: $crate::origin::WireForm) -> Self {
            self.options_mut().wire = form;
            self
        }

        /// Signs in the query instead of the header, as presigned URLs are.
        ///
        /// The parameters of the signature follow the request's own. They are a part of the URL, and the
        /// session token with them: whoever sees it, in a log or in a redirect that the origin builds of
        /// it, can send the request again until it expires.
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

        /// Sets what happens when a URL that [`with_query_signature`](Self::with_query_signature) signs
        /// would outlive the credentials: by default the request fails with
        /// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials), and nothing is sent.
        pub fn with_presign_expiry(mut self, expiry: $crate::sigv4::PresignExpiry) -> Self {
            self.options_mut().presign_expiry = expiry;
            self
        }

        /// Sets how bodies are signed: each is buffered by default, but unsigned for VPC Lattice
        /// (`vpc-lattice-svcs`), which takes no other; see [`PayloadMode`](crate::origin::PayloadMode).
        pub fn with_payload(
            mut self,
            policy: impl $crate::origin::PayloadPolicy + 'static,
        ) -> Self {
            self.options_mut().set_payload(policy);
            self
        }

        /// Sets where bodies go that are too large for memory, with
        /// [`PayloadMode::Spool`](crate::origin::PayloadMode::Spool) or
        /// [`Auto`](crate::origin::PayloadMode::Auto).
        #[cfg(feature = "spool")]
        #[cfg_attr(docsrs, doc(cfg(feature = "spool")))]
        pub fn with_spool(mut self, spool: $crate::origin::Spool) -> Self {
            self.options_mut().spool = Some(spool);
            self
        }

        /// Sets how many bytes of a body are buffered; 16 MiB by default.
        ///
        /// Such a body is held in memory as a whole, since its hash goes ahead of it. A larger one
        /// is an error of kind [`BodyTooLarge`](crate::ErrorKind::BodyTooLarge), before the first
        /// byte is read if its length is known, unless there is another way for it: see
        /// [`PayloadMode`](crate::origin::PayloadMode). Bodies that stream have no limit.
        pub fn with_body_limit(mut self, bytes: u64) -> Self {
            self.options_mut().body_limit = bytes;
            self
        }

        /// Enables or disables recovery from a wrong clock and from expired credentials.
        ///
        /// By default it is enabled for hosts of AWS and disabled for others: an application of your own may
        /// have carried out a request before it responds as AWS does. See
        /// [`SigningLayer::with_recovery`](crate::SigningLayer::with_recovery).
        pub fn with_recovery(mut self, enabled: bool) -> Self {
            self.options_mut().recovery = Some(enabled);
            self
        }

        /// Sets which forwarding headers the origin receives: a [`ForwardedHeaders`](crate::origin::ForwardedHeaders), or
        /// `true` for all and `false` for none.
        ///
        /// An [`Origin`](crate::Origin) of the S3 family receives none by default, since some servers of its
        /// protocol derive the signed host from `x-forwarded-host`. Other origins receive all. The requests of
        /// [`UriOrigin`](crate::origin::UriOrigin) are the caller's own, so their headers stay as they are by default.
        pub fn with_forwarded(
            mut self,
            forwarded: impl Into<$crate::origin::ForwardedHeaders>,
        ) -> Self {
            self.options_mut().forwarded = Some(forwarded.into());
            self
        }
    };
}
