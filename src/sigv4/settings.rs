use std::sync::Arc;

use http::header;

#[cfg(feature = "sigv4a")]
use super::RegionSet;
use super::{
    scope::{check_scope_part, matches_pattern},
    service_rules::{PathForm, SessionToken, service_rules},
    signed_headers::{AllowList, SignedHeaders},
};
use crate::error::Error;

/// Service, region and signing rules of an origin.
///
/// [`new`](SigningSettings::new) selects the rules by the signing name, and each can be changed. They are those of
/// the AWS IAM User Guide, "Create a signed AWS API request", and of the services' own guides:
///
/// | signing name | path encoded | dot segments and `//` | headers | session token | payload | clock window |
/// |---|---|---|---|---|---|---|
/// | `s3`, `s3-outposts`, `s3-object-lambda` | once | kept | `x-amz-content-sha256` required, `range` signed | signed | hash, chunks or `UNSIGNED-PAYLOAD` | 15 minutes |
/// | `s3express` | once | kept | `x-amz-content-sha256` required, `range` signed | signed, as `x-amz-s3session-token` | hash, chunks or `UNSIGNED-PAYLOAD` | 15 minutes |
/// | `iotdevicegateway` | twice | folded | no rules | added after signing | hash | 5 minutes |
/// | `vpc-lattice-svcs` | twice | folded | `x-amz-content-sha256` required | signed | only `UNSIGNED-PAYLOAD` | 5 minutes |
/// | `aoss` | twice | folded | `x-amz-content-sha256` required, `content-length` not signed | signed | hash | 5 minutes |
/// | all others | twice | folded | no rules | signed | hash | 5 minutes |
///
/// `x-amz-content-sha256` is sent to all services, and `content-length` is never signed. The clock window is that of
/// the servers, and of the [verifier](crate::verify::VerifySettings).
///
/// ```
/// use tower_sigv4::{SigningSettings, sigv4::PathForm};
///
/// let settings = SigningSettings::new("execute-api", "us-east-1")?;
/// assert_eq!(settings.service(), "execute-api");
/// assert_eq!(settings.path_form(), PathForm::TwiceFolded);
///
/// let error = SigningSettings::new("execute-api", "us east").unwrap_err();
/// assert!(error.to_string().contains(r#""us east""#));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SigningSettings {
    service: Arc<str>,
    /// The region set if `multi_region`.
    region: Arc<str>,
    multi_region: bool,
    path_form: PathForm,
    session_token: SessionToken,
    payload_header: bool,
    signed_headers: Arc<dyn SignedHeaders>,
}

impl SigningSettings {
    /// Creates settings for a signing name, such as `execute-api`, and a region, such as `us-east-1`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if either is empty or contains a character other than
    /// letters, digits, `-`, `_` and `.`, which would make the credential scope ambiguous.
    pub fn new(service: &str, region: &str) -> Result<Self, Error> {
        check_scope_part("service", service, "execute-api")?;
        check_scope_part("region", region, "us-east-1")?;
        Ok(Self::with_rules(service, region.into(), false))
    }

    /// Creates settings for a signing name and several regions: requests are signed with SigV4a
    /// (`AWS4-ECDSA-P256-SHA256`), and each region of the set accepts the signature.
    ///
    /// Hosts without a region require it, such as S3's `*.accesspoint.s3-global.amazonaws.com` and EventBridge's
    /// `*.endpoint.events.amazonaws.com`. A signature takes about 50 µs, fifty times as long as one for a single
    /// region; bodies cannot be signed in chunks. See the AWS IAM User Guide, "AWS Signature Version 4 for API
    /// requests", "How AWS SigV4a works".
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use http::Request;
    /// use tower_sigv4::{
    ///     SigningSettings,
    ///     credentials::Credentials,
    ///     sigv4::{Identity, PayloadHash, RegionSet, Signer, SigningParams},
    /// };
    ///
    /// let settings = SigningSettings::multi_region("s3", RegionSet::new("us-east-1,eu-*")?)?;
    /// assert_eq!(settings.region(), "us-east-1,eu-*");
    ///
    /// let identity =
    ///     Identity::new(Credentials::new("AKIDEXAMPLE", "secret", None, None, "example"))?;
    /// let url = "https://mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com/test.txt";
    /// let (mut head, ()) = Request::get(url).body(()).unwrap().into_parts();
    /// let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    /// let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, time);
    /// Signer::new().sign(&mut head, &params)?;
    /// assert_eq!(head.headers["x-amz-region-set"], "us-east-1,eu-*");
    /// assert!(head.headers["authorization"].to_str().unwrap().starts_with(
    ///     "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/s3/aws4_request, \
    ///      SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-region-set, Signature=30"
    /// ));
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the name cannot be part of a credential scope.
    #[cfg(feature = "sigv4a")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sigv4a")))]
    pub fn multi_region(service: &str, regions: RegionSet) -> Result<Self, Error> {
        check_scope_part("service", service, "execute-api")?;
        Ok(Self::with_rules(service, regions.into_inner(), true))
    }

    fn with_rules(service: &str, region: Arc<str>, multi_region: bool) -> Self {
        let rules = service_rules(service);
        let mut signed_headers = AllowList::default();
        if rules.s3_family {
            signed_headers = signed_headers.add_header(header::RANGE);
        }
        Self {
            service: service.into(),
            region,
            multi_region,
            path_form: rules.path_form,
            session_token: rules.session_token,
            payload_header: true,
            signed_headers: Arc::new(signed_headers),
        }
    }

    /// Returns the same settings for one region, which is valid in a credential scope.
    pub(crate) fn for_region(&self, region: &str) -> Self {
        Self {
            region: region.into(),
            multi_region: false,
            ..self.clone()
        }
    }

    /// Sets the derivation of the canonical path.
    pub fn with_path_form(mut self, form: PathForm) -> Self {
        self.path_form = form;
        self
    }

    /// Sets the header of the session token, and whether it is signed.
    pub fn with_session_token(mut self, token: SessionToken) -> Self {
        self.session_token = token;
        self
    }

    /// Sets the headers to sign.
    pub fn with_signed_headers(mut self, policy: impl SignedHeaders + 'static) -> Self {
        self.signed_headers = Arc::new(policy);
        self
    }

    /// Excludes headers from those that the policy signs.
    #[cfg(feature = "cloudfront")]
    pub(crate) fn without_signed(self, is_excluded: fn(&http::HeaderName) -> bool) -> Self {
        let policy = self.signed_headers.clone();
        self.with_signed_headers(move |name: &http::HeaderName| {
            !is_excluded(name) && policy.is_signed(name)
        })
    }

    /// Enables `x-amz-content-sha256` (on by default).
    ///
    /// S3, OpenSearch Serverless and VPC Lattice require it, and no service rejects it. The signature covers the
    /// payload's hash either way.
    pub fn with_payload_header(mut self, enabled: bool) -> Self {
        self.payload_header = enabled;
        self
    }

    /// Returns the signing name.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns the region or the region set, such as `us-east-1,eu-*`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the region set of SigV4a.
    pub(crate) fn region_set(&self) -> Option<&str> {
        self.multi_region.then_some(&*self.region)
    }

    /// Returns `true` if signatures are valid in this region.
    pub(crate) fn covers(&self, region: &str) -> bool {
        let mut names = self.region.split(',');
        names.any(|name| matches_pattern(name, region))
    }

    /// Returns the derivation of the canonical path.
    #[must_use]
    pub fn path_form(&self) -> PathForm {
        self.path_form
    }

    pub(crate) fn session_token(&self) -> SessionToken {
        self.session_token
    }

    pub(crate) fn payload_header(&self) -> bool {
        self.payload_header
    }

    pub(crate) fn signed_headers(&self) -> &dyn SignedHeaders {
        &*self.signed_headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_scope_parts_are_rejected() {
        for bad in ["", " ", "us east", "us/east", "a,b", "é", "a\n", "a=b"] {
            assert!(SigningSettings::new("s3", bad).is_err(), "region {bad:?}");
            assert!(
                SigningSettings::new(bad, "us-east-1").is_err(),
                "service {bad:?}"
            );
        }
    }

    #[test]
    fn s3_family_encodes_once_and_signs_range() {
        for service in ["s3", "s3express", "s3-outposts", "s3-object-lambda"] {
            let settings = SigningSettings::new(service, "us-east-1").expect("valid");
            assert_eq!(settings.path_form(), PathForm::Once);
            assert!(settings.signed_headers().is_signed(&header::RANGE));
        }
        let settings = SigningSettings::new("s3tables", "us-east-1").expect("valid");
        assert_eq!(settings.path_form(), PathForm::TwiceFolded);
        assert!(!settings.signed_headers().is_signed(&header::RANGE));
    }
}
