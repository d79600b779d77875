//! Signatures in the query: presigned URLs.

use std::time::{Duration, UNIX_EPOCH};

use http::{Uri, header::AUTHORIZATION, request::Parts};

use super::{
    Explanation, Payload, PresignExpiry, SessionToken, Signer, SigningParams,
    authorization::{LONGEST, pairs, signature_parameter},
    encode, request_target,
    scope::Timestamp,
    service_rules::service_rules,
    signed_headers::{
        X_AMZ_CONTENT_SHA256, X_AMZ_DATE, X_AMZ_REGION_SET, X_AMZ_S3SESSION_TOKEN,
        X_AMZ_SECURITY_TOKEN,
    },
    signer::{add_host, canonical},
};
use crate::error::{Error, ErrorKind};

impl Signer {
    /// Signs a request in its query, so that whoever has the URL can send it until it `expires`, from
    /// 1 second to 604,800, counted from the time of signing; a fraction of a second is cut off.
    ///
    /// The parameters `X-Amz-*` of a presigned URL take the place of any that were there, and so do they
    /// of the headers by which a request is signed. `host` is covered, and the other headers that the
    /// settings sign, which have to be sent with the URL then, as they are. What is said of the payload is
    /// what the service takes it for anyway: the S3 family for [unsigned](Payload::Unsigned), others for
    /// what they receive. If it is something else it has to be told: to the S3 family a hash in the header
    /// `x-amz-content-sha256`, which has to be sent with the URL too, to others in the parameter
    /// `X-Amz-Content-Sha256`.
    ///
    /// The form is that of the AWS IAM User Guide, "Create a signed AWS API request", "Query string
    /// parameters".
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use http::Request;
    /// use tower_sigv4::{
    ///     SigningSettings,
    ///     credentials::Credentials,
    ///     sigv4::{Identity, Payload, Signer, SigningParams},
    /// };
    ///
    /// let settings = SigningSettings::new("s3", "us-east-1")?;
    /// let credentials = Credentials::new(
    ///     "AKIAIOSFODNN7EXAMPLE",
    ///     "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ///     None,
    ///     None,
    ///     "example",
    /// );
    /// let identity = Identity::new(credentials)?;
    /// let time = UNIX_EPOCH + Duration::from_secs(1_369_353_600); // 24 May 2013
    /// let params = SigningParams::new(&settings, &identity, Payload::Unsigned, time);
    ///
    /// // The example of the Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters".
    /// let url = "https://examplebucket.s3.amazonaws.com/test.txt";
    /// let (mut head, ()) = Request::get(url).body(()).unwrap().into_parts();
    /// Signer::new().presign(&mut head, &params, Duration::from_secs(86_400))?;
    /// let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    /// assert!(head.uri.query().unwrap().ends_with(&format!("X-Amz-Signature={signature}")));
    ///
    /// let error = Signer::new().presign(&mut head, &params, Duration::from_secs(700_000)).unwrap_err();
    /// assert!(error.to_string().contains("700000"));
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Signer::sign); [`ErrorKind::Config`](crate::ErrorKind::Config) as well if the
    /// time is shorter than a second or longer than a week,
    /// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if the credentials expire earlier than the URL
    /// and the [`PresignExpiry`] does not allow that, and
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) if the URL becomes too long. The request is
    /// then as it was.
    pub fn presign(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        expires: Duration,
    ) -> Result<(), Error> {
        self.presign_capturing(parts, params, expires, None)
    }

    /// As [`presign`](Signer::presign), and leaves the canonical request in `kept`.
    pub(crate) fn presign_capturing(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        expires: Duration,
        kept: Option<&mut Vec<u8>>,
    ) -> Result<(), Error> {
        let (mut signed, time) = self.with_parameters(parts, params, expires)?;
        let request = canonical(&signed, params.settings, params.payload.as_bytes());
        let hash = request.hash(kept);
        drop(request);
        let signature = self.with_any_key(params, &time, |key| key.sign(&time, &hash));

        let mut query = signed.uri.query().unwrap_or_default().to_owned();
        add(&mut query, "X-Amz-Signature", &signature);
        if let (SessionToken::Unsigned, Some(token)) =
            (params.settings.session_token(), params.identity.token())
        {
            add(
                &mut query,
                params.settings.session_token().parameter(),
                token.as_bytes(),
            );
        }
        set_query(&mut signed, &query)?;
        *parts = signed;
        Ok(())
    }

    /// The canonical request, the string to sign and the signature that [`presign`](Signer::presign)
    /// arrives at for the same arguments.
    ///
    /// # Errors
    ///
    /// Those of [`presign`](Signer::presign).
    pub fn explain_presigned(
        &self,
        parts: &Parts,
        params: &SigningParams<'_>,
        expires: Duration,
    ) -> Result<Explanation, Error> {
        let (parts, time) = self.with_parameters(parts, params, expires)?;
        let mut canonical_request = Vec::new();
        canonical(&parts, params.settings, params.payload.as_bytes()).write(&mut canonical_request);
        Ok(self.explain_text(canonical_request, params, &time))
    }

    /// The request with all of its parameters but the signature.
    fn with_parameters(
        &self,
        parts: &Parts,
        params: &SigningParams<'_>,
        expires: Duration,
    ) -> Result<(Parts, Timestamp), Error> {
        let seconds = lifetime(params, expires)?;
        let mut parts = parts.clone();
        for name in [
            AUTHORIZATION,
            X_AMZ_DATE,
            X_AMZ_CONTENT_SHA256,
            X_AMZ_REGION_SET,
            X_AMZ_S3SESSION_TOKEN,
            X_AMZ_SECURITY_TOKEN,
        ] {
            parts.headers.remove(name);
        }
        add_host(&mut parts)?;
        let s3_family = service_rules(params.settings.service()).s3_family;
        if s3_family && params.payload != Payload::Unsigned {
            parts
                .headers
                .insert(X_AMZ_CONTENT_SHA256, params.payload.header_value());
        }
        let (time, date) = self.stamp(params.time)?;
        let (algorithm, credential) = self.with_any_key(params, &time, |key| {
            (
                key.algorithm(),
                [key.access_key_id().as_bytes(), b"/", key.scope()].concat(),
            )
        });
        let mut names = Vec::new();
        canonical(&parts, params.settings, params.payload.as_bytes())
            .write_signed_headers(&mut names);

        let kept = pairs(parts.uri.query().unwrap_or_default())
            .filter(|pair| !pair.is_empty() && signature_parameter(pair).is_none());
        let mut query = kept.collect::<Vec<_>>().join("&");
        add(&mut query, "X-Amz-Algorithm", algorithm.as_bytes());
        add(&mut query, "X-Amz-Credential", &credential);
        add(&mut query, "X-Amz-Date", date.as_bytes());
        add(
            &mut query,
            "X-Amz-Expires",
            itoa::Buffer::new().format(seconds).as_bytes(),
        );
        add(&mut query, "X-Amz-SignedHeaders", &names);
        if let Some(regions) = params.settings.region_set() {
            add(&mut query, "X-Amz-Region-Set", regions.as_bytes());
        }
        if !s3_family && params.payload == Payload::Unsigned {
            add(
                &mut query,
                "X-Amz-Content-Sha256",
                params.payload.as_bytes(),
            );
        }
        let session_token = params.settings.session_token();
        if let Some(token) = params
            .identity
            .token()
            .filter(|_| session_token.is_signed())
        {
            add(&mut query, session_token.parameter(), token.as_bytes());
        }
        set_query(&mut parts, &query)?;
        Ok((parts, time))
    }
}

/// The seconds for which a presigned URL is valid, with the expiry of the credentials taken into account.
fn lifetime(params: &SigningParams<'_>, expires: Duration) -> Result<u64, Error> {
    let seconds = check_expiry(expires)?;
    let Some(expiry) = params.identity.credentials().expiry() else {
        return Ok(seconds);
    };
    // The URL is dated by the whole second.
    let signed = Timestamp::seconds_of(params.time)?;
    let expiry = expiry
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let left = expiry.saturating_sub(signed);
    match params.presign_expiry {
        _ if seconds <= left => Ok(seconds),
        PresignExpiry::Ignore => Ok(seconds),
        PresignExpiry::Shorten if left > 0 => Ok(left),
        PresignExpiry::Shorten | PresignExpiry::Reject => Err(Error::new(
            ErrorKind::Credentials,
            format!(
                "the presigned URL would be valid for {seconds} seconds, but the credentials expire in {left}; \
                 ask for less, or allow it by `PresignExpiry::Shorten` or `PresignExpiry::Ignore`"
            ),
        )),
    }
}

/// The whole seconds for which a presigned URL is valid.
pub(crate) fn check_expiry(expires: Duration) -> Result<u64, Error> {
    if (Duration::from_secs(1)..=Duration::from_secs(LONGEST)).contains(&expires) {
        return Ok(expires.as_secs());
    }
    Err(Error::config(format!(
        "a presigned URL cannot expire after {expires:?}; give 1 to {LONGEST} seconds"
    )))
}

fn add(query: &mut String, name: &str, value: &[u8]) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(name);
    query.push('=');
    query.extend(encode::encoded(value));
}

fn set_query(parts: &mut Parts, query: &str) -> Result<(), Error> {
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(request_target::path_and_query(
        [parts.uri.path(), "?", query].concat(),
    )?);
    parts.uri = Uri::from_parts(uri).map_err(request_target::invalid)?;
    Ok(())
}
