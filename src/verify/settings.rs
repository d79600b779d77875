use std::time::Duration;

use http::{HeaderName, header};

use super::BodyCheck;
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

/// Requirements for accepted requests.
///
/// [`new`](VerifySettings::new) derives the rules from the signing name. They are those of the AWS IAM
/// User Guide, "Create a signed AWS API request", and of the Amazon S3 API Reference, "Authenticating
/// Requests":
///
/// | signing name | payload's hash |
/// |---|---|
/// | `s3`, `s3express`, `s3-outposts`, `s3-object-lambda` | in `x-amz-content-sha256`, or that of each chunk; a presigned URL without one means `UNSIGNED-PAYLOAD` |
/// | `vpc-lattice-svcs` | none: `UNSIGNED-PAYLOAD` is accepted |
/// | all others | in `x-amz-content-sha256`, or else of the body received |
///
/// The other rules are in the table of [`SigningSettings`](crate::SigningSettings). For every service these
/// headers must be signed if they are present: `host`, every `x-amz-*`, and `content-type`, except that of a
/// presigned request to the S3 family.
/// In the names of these and of all signed headers, any byte other than a letter or a digit counts as `-`, since
/// CGI and WSGI read `x_amz_acl` as `x-amz-acl` (RFC 3875, section 4.1.18).
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
/// `SignedHeaders` has at most 1,024 names, and a query 4,096 parameters. Requests over a limit are rejected
/// before the key lookup.
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
    pub(super) post_policy: bool,
    /// Domains of hosts that start with a bucket, in lower case.
    pub(super) post_domains: Vec<String>,
    /// `None` for the default of the service.
    pub(super) required_headers: Option<Vec<HeaderName>>,
    pub(super) unsigned_headers: Vec<HeaderName>,
    pub(super) explain: bool,
    /// `None` for that of the layer.
    pub(super) body_check: Option<BodyCheck>,
}

impl VerifySettings {
    /// Accepts requests signed for this service and this region.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if either is not valid in a credential scope.
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
            post_policy: false,
            post_domains: Vec::new(),
            required_headers: None,
            unsigned_headers: Vec::new(),
            explain: false,
            body_check: None,
        })
    }

    /// Accepts another service as well.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is not valid in a credential scope, or if its
    /// rules differ from those of the first service; see [`SigningSettings`](crate::SigningSettings).
    pub fn add_service(mut self, service: &str) -> Result<Self, Error> {
        check_scope_part("service", service, "execute-api")?;
        if !service_rules(service).verifies_like(service_rules(&self.services[0])) {
            return Err(Error::config(format!(
                "service {service:?} has other rules than {:?}; give it settings of its own, and both to \
                 `VerifyServices::new`",
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
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is not valid in a credential scope.
    pub fn add_region(mut self, region: &str) -> Result<Self, Error> {
        check_scope_part("region", region, "us-east-1")?;
        self.regions.push(region.to_owned());
        Ok(self)
    }

    /// Accepts SigV4a signatures too, which are valid in several regions (`AWS4-ECDSA-P256-SHA256`; off by
    /// default).
    ///
    /// The signed region set must contain one of the accepted regions, by its name or by a prefix and `*`. A
    /// valid signature takes about 150 µs to verify, a hundred times as long as one for a single region, and an
    /// invalid one takes 200 µs. Anyone who knows an access key ID can cause this cost, so limit rates in front.
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
    /// let rejection = Verifier::new(settings.clone()).parse(&head, now).unwrap_err();
    /// assert_eq!(rejection.kind(), RejectionKind::UnsupportedAlgorithm);
    ///
    /// let verifier = Verifier::new(settings.with_sigv4a(true));
    /// let verified = verifier.verify(verifier.parse(&head, now)?, &key, &payload)?.to_verified();
    /// assert_eq!(verified.region(), "us-*,eu-west-1");
    /// # Ok::<(), tower_sigv4::BoxError>(())
    /// ```
    #[cfg(feature = "sigv4a")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sigv4a")))]
    pub fn with_sigv4a(mut self, accepted: bool) -> Self {
        self.sigv4a = accepted;
        self
    }

    /// Sets the form of the canonical path.
    pub fn with_path_form(mut self, form: PathForm) -> Self {
        self.path_form = form;
        self
    }

    /// Sets the handling of session tokens. The token is compared even if the signature does not cover it, as
    /// with AWS IoT.
    pub fn with_session_token(mut self, token: SessionToken) -> Self {
        self.session_token = token;
        self
    }

    /// Sets the maximum difference between the signing time and the clock, in the past and in the future.
    ///
    /// A presigned URL has its own expiry; for it the window applies only to the start.
    pub fn with_clock_window(mut self, window: Duration) -> Self {
        self.clock_window = window;
        self
    }

    /// Accepts requests of [`PayloadKind::Unsigned`](super::PayloadKind::Unsigned) too.
    ///
    /// Clients of S3 send them with presigned URLs, and the SDKs for uploads over TLS: unsigned chunks with a
    /// checksum in a trailer. To accept presigned URLs only, use
    /// [`with_presigned_uploads`](VerifySettings::with_presigned_uploads). Signed chunks (`aws-chunked`), with or
    /// without a trailer, are always accepted for the S3 family.
    pub fn with_unsigned_payload(mut self, accepted: bool) -> Self {
        self.unsigned_payload = accepted;
        self
    }

    /// Accepts presigned requests with a body that their signature does not cover (off by default).
    ///
    /// A URL presigned for S3 covers no body, since it is created before the body is known. With this setting,
    /// anyone with the URL of a `PUT` can upload any body until the URL expires. Requests with
    /// `UNSIGNED-PAYLOAD` and a signature in a header are still rejected. Presigned requests to the S3 family
    /// without a body need no setting.
    ///
    /// A request has no body if it has neither a `transfer-encoding` nor a `content-length` other than 0, its
    /// body declares no bytes, and none arrive. The inner service is called after that is known.
    pub fn with_presigned_uploads(mut self, accepted: bool) -> Self {
        self.presigned_uploads = accepted;
        self
    }

    /// Accepts forms that upload a file with a signed policy, such as those of
    /// [`PostPolicy`](crate::sigv4::PostPolicy) (off by default; for the S3 family).
    ///
    /// Such a form is a `POST` of `multipart/form-data` to a bucket, without a query, `x-amz-*` headers and
    /// `authorization`. Its policy must be valid, and cover each field except `file`, `policy`, `x-amz-signature` and
    /// `x-ignore-*`. The fields, at most 20 KiB, are verified before the inner service is called, which then reads the
    /// whole form. Its body ends in an error if the policy does not allow the size of the file, or if a field follows.
    /// The [payload](super::Verified::payload) is unsigned, and the limits for collected bodies do not apply.
    ///
    /// The bucket is the path, or the start of the host: of AWS's hosts, and of
    /// [others](VerifySettings::add_post_domain). See the Amazon S3 API Reference, "Browser-Based Uploads Using POST
    /// (AWS Signature Version 4)". Every form then needs a policy, also if anonymous requests are accepted. A
    /// [`Verifier`](super::Verifier) reads no body and rejects forms.
    pub fn with_post_policy(mut self, accepted: bool) -> Self {
        self.post_policy = accepted;
        self
    }

    /// Reads the bucket of a form from hosts of this domain: `bucket.s3.example.com` for `s3.example.com`.
    ///
    /// If several domains match, the longest one does: `s3.example.com` itself is not a bucket of `example.com`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is not a domain.
    pub fn add_post_domain(mut self, domain: &str) -> Result<Self, Error> {
        let is_label = |label: &str| {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !label.is_empty() && label.bytes().all(is_allowed)
        };
        if !domain.split('.').all(is_label) {
            return Err(Error::config(format!(
                "{domain:?} is not a domain; give one such as \"s3.example.com\", without scheme, port and bucket"
            )));
        }
        self.post_domains.push(domain.to_ascii_lowercase());
        Ok(self)
    }

    /// Sets the headers that must be signed if they are present, besides `host` and every `x-amz-*`
    /// (by default `content-type`, except in presigned requests to the S3 family).
    ///
    /// The SDKs sign `content-type`. Two kinds of clients do not: curl, if it adds the header itself (pass it
    /// with `-H` instead), and browsers that upload to a URL presigned without one, which S3 accepts. To accept the
    /// former too, pass `[]`; then anyone may have set the `content-type`.
    pub fn with_required_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.required_headers = Some(names.into_iter().collect());
        self
    }

    /// Returns `true` for a header that must be signed if it is present. `is_name` compares names.
    pub(super) fn requires(&self, presigned: bool, is_name: impl Fn(&HeaderName) -> bool) -> bool {
        match &self.required_headers {
            Some(names) => names.iter().any(is_name),
            None => !(presigned && self.s3_family) && is_name(&header::CONTENT_TYPE),
        }
    }

    /// Sets the time at which bodies of requests to this service are checked, in place of that of the layer.
    ///
    /// See [`VerifyLayer::with_body_check`](crate::VerifyLayer::with_body_check). A [`Verifier`](super::Verifier) reads
    /// no body and ignores it.
    pub fn with_body_check(mut self, check: BodyCheck) -> Self {
        self.body_check = Some(check);
        self
    }

    /// Accepts an unsigned `x-amz-*` header that a proxy adds, such as CloudFront's `x-amz-cf-id`, or before the S3 family
    /// one of [another vendor](crate::sigv4::is_vendor_header), such as `x-goog-iap-jwt-assertion`.
    ///
    /// Anyone may have written its value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for the headers that a signature depends on:
    /// `x-amz-date`, `x-amz-content-sha256`, `x-amz-region-set`, `x-amz-security-token`,
    /// `x-amz-s3session-token`.
    pub fn add_unsigned_header(mut self, name: HeaderName) -> Result<Self, Error> {
        let signature_headers = [
            X_AMZ_DATE,
            X_AMZ_CONTENT_SHA256,
            X_AMZ_REGION_SET,
            X_AMZ_SECURITY_TOKEN,
            X_AMZ_S3SESSION_TOKEN,
        ];
        if signature_headers
            .iter()
            .any(|header| is_same_cgi_variable(header.as_str(), name.as_str()))
        {
            return Err(Error::config(format!(
                "{name} is a part of the signature and must be signed; name a header that a proxy \
                 adds, such as \"x-amz-cf-id\""
            )));
        }
        self.unsigned_headers.push(name);
        Ok(self)
    }

    /// Adds the reason of a rejection to its response (off by default).
    ///
    /// The response contains the message of the [`Rejection`](super::Rejection) or, if the signature does not
    /// match, the canonical request and the string to sign, as AWS's responses do. The session token is
    /// redacted, and the expected signature is never shown. Intended for clients in development: a rejected
    /// client learns the accepted regions, services and headers.
    pub fn with_explain(mut self, explain: bool) -> Self {
        self.explain = explain;
        self
    }
}
