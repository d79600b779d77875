use std::time::Duration;

use http::{HeaderName, header};

use crate::{
    error::Error,
    sigv4::{
        PathForm, SessionToken,
        authorization::is_same_cgi_variable,
        scope::check_scope_part,
        service_rules::service_rules,
        signed_headers::{
            X_AMZ_CONTENT_SHA256, X_AMZ_DATE, X_AMZ_REGION_SET, X_AMZ_S3SESSION_TOKEN,
            X_AMZ_SECURITY_TOKEN,
        },
    },
};

/// What a request must be like to be accepted.
///
/// [`new`](VerifySettings::new) takes the rules from the signing name. They are those of the AWS IAM
/// User Guide, "Create a signed AWS API request", and of the Amazon S3 API Reference, "Authenticating
/// Requests":
///
/// | signing name | payload's hash |
/// |---|---|
/// | `s3`, `s3express`, `s3-outposts`, `s3-object-lambda` | in `x-amz-content-sha256`, or that of each chunk; a presigned URL without one means `UNSIGNED-PAYLOAD` |
/// | `vpc-lattice-svcs` | none: `UNSIGNED-PAYLOAD` is accepted |
/// | all others | in `x-amz-content-sha256`, else of the body received |
///
/// The other rules are in the table of [`SigningSettings`](crate::SigningSettings). Whatever they are, these
/// must be signed where they are present: `host`, every `x-amz-*`, and `content-type`.
/// In these names every byte but a letter or a digit counts as `-`, since CGI and WSGI read `x_amz_acl` as
/// `x-amz-acl` (RFC 3875, section 4.1.18); so it does in the names of all headers that are signed.
///
/// `UNSIGNED-PAYLOAD` is accepted for VPC Lattice, and in presigned requests to the S3 family that have no
/// body. Elsewhere it is rejected unless it is allowed:
///
/// | request | allowed by |
/// |---|---|
/// | presigned, with a body | [`with_presigned_uploads`](VerifySettings::with_presigned_uploads) |
/// | any | [`with_unsigned_payload`](VerifySettings::with_unsigned_payload) |
///
/// # Limits
///
/// `SignedHeaders` holds 1,024 names at most, and a query 4,096 parameters. Requests beyond that are rejected
/// before a key is looked up.
///
/// ```
/// use std::time::Duration;
/// use tower_sigv4::verify::VerifySettings;
///
/// let settings = VerifySettings::new("execute-api", "us-east-1")?
///     .add_region("eu-west-1")?
///     .with_clock_window(Duration::from_secs(60));
///
/// let error = settings.add_service("s3").unwrap_err();
/// assert!(error.to_string().contains(r#""s3""#));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct VerifySettings {
    pub(super) services: Vec<String>,
    pub(super) regions: Vec<String>,
    pub(super) sigv4a: bool,
    pub(super) s3_family: bool,
    pub(super) path_form: PathForm,
    pub(super) session_token: SessionToken,
    pub(super) clock_window: Duration,
    pub(super) unsigned_payload: bool,
    pub(super) presigned_uploads: bool,
    pub(super) required_headers: Vec<HeaderName>,
    pub(super) unsigned_headers: Vec<HeaderName>,
    pub(super) explain: bool,
}

impl VerifySettings {
    /// Accepts requests signed for this service and this region.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if either cannot be a part of a credential
    /// scope.
    pub fn new(service: &str, region: &str) -> Result<Self, Error> {
        check_scope_part("service", service, "execute-api")?;
        check_scope_part("region", region, "us-east-1")?;
        let rules = service_rules(service);
        Ok(Self {
            services: vec![service.to_owned()],
            regions: vec![region.to_owned()],
            sigv4a: false,
            s3_family: rules.s3_family,
            path_form: rules.path_form,
            session_token: rules.session_token,
            clock_window: rules.clock_window,
            unsigned_payload: rules.requires_unsigned_payload,
            presigned_uploads: false,
            required_headers: vec![header::CONTENT_TYPE],
            unsigned_headers: Vec::new(),
            explain: false,
        })
    }

    /// Accepts another service as well.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it cannot be a part of a credential scope,
    /// or if its rules are not those of the first service: a few have their own
    /// ([`SigningSettings`](crate::SigningSettings)).
    pub fn add_service(mut self, service: &str) -> Result<Self, Error> {
        check_scope_part("service", service, "execute-api")?;
        if !service_rules(service).verifies_like(service_rules(&self.services[0])) {
            return Err(Error::config(format!(
                "service {service:?} has other rules than {:?}; give it a VerifyLayer of its own",
                self.services[0],
            )));
        }
        self.services.push(service.to_owned());
        Ok(self)
    }

    /// Accepts another region as well.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it cannot be a part of a credential scope.
    pub fn add_region(mut self, region: &str) -> Result<Self, Error> {
        check_scope_part("region", region, "us-east-1")?;
        self.regions.push(region.to_owned());
        Ok(self)
    }

    /// Sets whether signatures for several regions are accepted as well, SigV4a
    /// (`AWS4-ECDSA-P256-SHA256`); they are not by default.
    ///
    /// The region set that was signed has to contain one of the regions here, by its name or by a
    /// beginning of it and `*`. Such a signature takes about 150 µs to verify, a hundred times as long as
    /// one for a single region, and a wrong one takes 200: whoever knows an access key id can have that
    /// done, so limit rates in front.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use http::Request;
    /// use tower_sigv4::{
    ///     SigningSettings,
    ///     credentials::Credentials,
    ///     sigv4::{Identity, PayloadHash, RegionSet, Signer, SigningParams},
    ///     verify::{RejectionKind, Verifier, VerifySettings},
    /// };
    ///
    /// let key = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
    /// let (mut head, ()) = Request::get("https://api.example.com/orders").body(()).unwrap().into_parts();
    /// let settings = SigningSettings::multi_region("execute-api", RegionSet::new("us-*,eu-west-1")?)?;
    /// let (identity, payload) = (Identity::new(key.clone())?, PayloadHash::EMPTY);
    /// let now = SystemTime::now();
    /// Signer::new().sign(&mut head, &SigningParams::new(&settings, &identity, payload, now))?;
    ///
    /// let settings = VerifySettings::new("execute-api", "us-east-1")?;
    /// let refused = Verifier::new(settings.clone()).claim(&head, now).unwrap_err();
    /// assert_eq!(refused.kind(), RejectionKind::UnsupportedAlgorithm);
    ///
    /// let verifier = Verifier::new(settings.with_sigv4a(true));
    /// let accepted = verifier.verify(verifier.claim(&head, now)?, &key, &payload)?;
    /// assert_eq!(accepted.to_verified().region(), "us-*,eu-west-1");
    /// # Ok::<(), tower_sigv4::BoxError>(())
    /// ```
    #[cfg(feature = "sigv4a")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sigv4a")))]
    pub fn with_sigv4a(mut self, accepted: bool) -> Self {
        self.sigv4a = accepted;
        self
    }

    /// Sets how the canonical path is formed.
    pub fn with_path_form(mut self, form: PathForm) -> Self {
        self.path_form = form;
        self
    }

    /// Sets whether the signature covers the session token. Where it does not, as with AWS IoT, the
    /// token is compared all the same.
    pub fn with_session_token(mut self, token: SessionToken) -> Self {
        self.session_token = token;
        self
    }

    /// Sets how far the time of signing may lie from the clock, in the past and in the future.
    ///
    /// A presigned URL says itself how long it is valid; the window is for its beginning alone.
    pub fn with_clock_window(mut self, window: Duration) -> Self {
        self.clock_window = window;
        self
    }

    /// Accepts another kind of payload; [`PayloadKind::Signed`] always is.
    ///
    /// Clients of S3 send [`PayloadKind::Unsigned`] in presigned URLs, and the SDKs in what they upload over
    /// TLS: chunks that are not signed, with a checksum in a trailer. Where presigned URLs are all you mean to
    /// accept, use [`with_presigned_uploads`](VerifySettings::with_presigned_uploads). Signed chunks (`aws-chunked`), with
    /// and without a trailer, are accepted for the S3 family without being asked for.
    pub fn with_unsigned_payload(mut self, accepted: bool) -> Self {
        self.unsigned_payload = accepted;
        self
    }

    /// Accepts presigned requests that have a body which their signature does not cover (off by default).
    ///
    /// A URL presigned for S3 covers no body, since it is made before the body is known: with this, whoever has
    /// the URL of a `PUT` may upload any body until the URL expires. Requests that carry `UNSIGNED-PAYLOAD` and
    /// a signature in a header are still rejected. Presigned requests to the S3 family without a body need no
    /// setting.
    ///
    /// A request has no body if it has neither a `transfer-encoding` nor a `content-length` other than 0, its
    /// body announces no bytes, and none is read. The inner service is called after that is known.
    pub fn with_presigned_uploads(mut self, accepted: bool) -> Self {
        self.presigned_uploads = accepted;
        self
    }

    /// Sets the headers that must be signed where they are present, besides `host` and every
    /// `x-amz-*`; `content-type` is all there is by default.
    ///
    /// The SDKs sign it. Two kinds of clients do not: curl, where it adds the header by itself (give it
    /// by `-H` then), and browsers that send a file to a URL which was presigned without one. To accept
    /// those, require nothing: `with_required_headers([])`; then the `content-type` may be anyone's.
    pub fn with_required_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.required_headers = names.into_iter().collect();
        self
    }

    /// Accepts an `x-amz-*` header that is not signed, since something between client and here adds it:
    /// CloudFront's `x-amz-cf-id`, for one.
    ///
    /// What the inner service reads there anyone may have written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for the headers that a signature is made with:
    /// `x-amz-date`, `x-amz-content-sha256`, `x-amz-region-set`, `x-amz-security-token`,
    /// `x-amz-s3session-token`.
    pub fn add_unsigned_header(mut self, name: HeaderName) -> Result<Self, Error> {
        let parts = [
            X_AMZ_DATE,
            X_AMZ_CONTENT_SHA256,
            X_AMZ_REGION_SET,
            X_AMZ_SECURITY_TOKEN,
            X_AMZ_S3SESSION_TOKEN,
        ];
        if parts
            .iter()
            .any(|part| is_same_cgi_variable(part.as_str(), name.as_str()))
        {
            return Err(Error::config(format!(
                "{name} is a part of the signature and cannot be left unsigned; name a header that \
                 a proxy adds, such as \"x-amz-cf-id\""
            )));
        }
        self.unsigned_headers.push(name);
        Ok(self)
    }

    /// Sets whether a refusal says what differs (it does not by default).
    ///
    /// Then an answer has a sentence on what was wrong and, for a signature that does not match, the
    /// canonical request and the string to sign, as AWS's answers do; the session token in them is
    /// blotted out, and the signature that was expected is never shown. For clients in development:
    /// who is refused learns which regions, services and headers would do.
    pub fn with_explain(mut self, explain: bool) -> Self {
        self.explain = explain;
        self
    }
}
