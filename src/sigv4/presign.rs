//! Signatures in the query: presigned URLs.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderValue, Uri, request::Parts};

use super::{
    Explanation, Payload, PresignExpiry, SessionToken, Signer, SigningParams,
    authorization::{MAX_EXPIRES, pairs, signature_parameter},
    encode, request_target,
    scope::Timestamp,
    service_rules::service_rules,
    signed_headers::{SIGNATURE_HEADERS, X_AMZ_CONTENT_SHA256},
    signer::{add_host, canonicalize, with_any_key},
};
use crate::error::{Error, ErrorKind};

impl Signer {
    /// Signs a request in its query. The URL is valid until it `expires`, 1 to 604,800 seconds after the time of
    /// signing, truncated to seconds.
    ///
    /// Existing `X-Amz-*` parameters and headers of a signature are replaced. The signature covers `host` and the
    /// other headers that the settings sign; the client has to send those unchanged with the URL. The payload needs
    /// no declaration if it is the one that the service assumes: [unsigned](Payload::Unsigned) for the S3 family,
    /// the hash of the received body for others. Otherwise a hash for the S3 family goes into the header
    /// `x-amz-content-sha256`, which the client has to send too, and an unsigned payload for others into the
    /// parameter `X-Amz-Content-Sha256`.
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
    /// A `+` in a path of the S3 family becomes `%2B`, since S3 would read it as a space.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Signer::sign), [`ErrorKind::Config`](crate::ErrorKind::Config) if the time is shorter than a
    /// second or longer than a week, [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if the credentials
    /// expire before the URL and the [`PresignExpiry`] does not allow that, and
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) if the URL becomes too long. The request is unchanged then.
    pub fn presign(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        expires: Duration,
    ) -> Result<(), Error> {
        self.presign_capturing(parts, params, expires, None)
    }

    /// As [`presign`](Signer::presign), and stores the canonical request in `capture`.
    pub(crate) fn presign_capturing(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        expires: Duration,
        capture: Option<&mut Vec<u8>>,
    ) -> Result<(), Error> {
        let (mut signed, time) = self.add_parameters(parts, params, expires)?;
        let hash = canonicalize(&signed, params.settings, params.payload.as_bytes()).hash(capture);
        let signature = with_any_key(params, &time, |key| key.sign(&time, &hash));

        let mut query = signed.uri.query().unwrap_or_default().to_owned();
        push_parameter(&mut query, "X-Amz-Signature", &signature);
        let session_token = params.settings.session_token();
        if let (SessionToken::Unsigned, Some(token)) = (session_token, params.identity.token()) {
            push_parameter(&mut query, session_token.parameter(), token.as_bytes());
        }
        set_query(&mut signed, &query)?;
        *parts = signed;
        Ok(())
    }

    /// Returns the canonical request, the string to sign and the signature of [`presign`](Signer::presign) with the
    /// same arguments.
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
        let (signed, time) = self.add_parameters(parts, params, expires)?;
        Ok(self.explain_signed(&signed, params, &time))
    }

    /// Returns the request with all parameters except the signature.
    fn add_parameters(
        &self,
        unsigned: &Parts,
        params: &SigningParams<'_>,
        expires: Duration,
    ) -> Result<(Parts, Timestamp), Error> {
        let seconds = lifetime(params, expires)?;
        let mut parts = unsigned.clone();
        for name in SIGNATURE_HEADERS {
            parts.headers.remove(name);
        }
        add_host(&mut parts)?;
        let s3_family = service_rules(params.settings.service()).s3_family;
        if s3_family && params.payload != Payload::Unsigned {
            parts
                .headers
                .insert(X_AMZ_CONTENT_SHA256, params.payload.header_value());
        }
        let (time, date) = self.date_header(params.time)?;
        let (algorithm, credential) = with_any_key(params, &time, |key| {
            (key.algorithm(), key.credential().to_vec())
        });
        let mut signed_headers = Vec::new();
        canonicalize(&parts, params.settings, params.payload.as_bytes())
            .write_signed_headers(&mut signed_headers);

        let mut query = pairs(parts.uri.query().unwrap_or_default())
            .filter(|pair| !pair.is_empty() && signature_parameter(pair).is_none())
            .collect::<Vec<_>>()
            .join("&");
        let settings = params.settings;
        let mut digits = itoa::Buffer::new();
        let is_declared = !s3_family && params.payload == Payload::Unsigned;
        let session_token = settings.session_token();
        let token = params.identity.token();
        let parameters = [
            ("X-Amz-Algorithm", Some(algorithm.as_bytes())),
            ("X-Amz-Credential", Some(&*credential)),
            ("X-Amz-Date", Some(date.as_bytes())),
            ("X-Amz-Expires", Some(digits.format(seconds).as_bytes())),
            ("X-Amz-SignedHeaders", Some(&*signed_headers)),
            ("X-Amz-Region-Set", settings.region_set().map(str::as_bytes)),
            (
                "X-Amz-Content-Sha256",
                is_declared.then(|| params.payload.as_bytes()),
            ),
            (
                session_token.parameter(),
                token
                    .filter(|_| session_token.is_signed())
                    .map(HeaderValue::as_bytes),
            ),
        ];
        for (name, value) in parameters {
            if let Some(present) = value {
                push_parameter(&mut query, name, present);
            }
        }
        let path = unsigned.uri.path();
        if s3_family && path.contains('+') {
            // S3 reads it as a space, and other servers of its protocol as itself.
            set_target(&mut parts, &path.replace('+', "%2B"), &query)?;
        } else {
            set_query(&mut parts, &query)?;
        }
        Ok((parts, time))
    }
}

/// Returns the lifetime of a presigned URL or a POST policy in seconds, limited by the expiry of the credentials.
pub(super) fn lifetime(params: &SigningParams<'_>, expires: Duration) -> Result<u64, Error> {
    let seconds = check_expiry(expires)?;
    let Some(expiry) = params.identity.credentials().expiry() else {
        return Ok(seconds);
    };
    // The date of the URL is in whole seconds.
    let signed_at = Timestamp::seconds_of(params.time)?;
    let expires_at = expiry
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let left = expires_at.saturating_sub(signed_at);
    match params.presign_expiry {
        _ if seconds <= left => Ok(seconds),
        PresignExpiry::Ignore => Ok(seconds),
        PresignExpiry::Shorten if left > 0 => Ok(left),
        PresignExpiry::Shorten => Err(Error::new(
            ErrorKind::Credentials,
            "the credentials have expired, so a presigned URL would be invalid at once; renew them",
        )),
        PresignExpiry::Reject => Err(Error::new(
            ErrorKind::Credentials,
            format!(
                "the presigned URL would be valid for {seconds} seconds, but the credentials expire in {left}; \
                 request less, or allow it with `PresignExpiry::Shorten` or `PresignExpiry::Ignore`"
            ),
        )),
    }
}

/// Returns the lifetime of a presigned URL in seconds.
pub(crate) fn check_expiry(expires: Duration) -> Result<u64, Error> {
    if (Duration::from_secs(1)..=Duration::from_secs(MAX_EXPIRES)).contains(&expires) {
        return Ok(expires.as_secs());
    }
    Err(Error::config(format!(
        "a presigned URL cannot expire after {expires:?}; give 1 to {MAX_EXPIRES} seconds"
    )))
}

fn push_parameter(query: &mut String, name: &str, value: &[u8]) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(name);
    query.push('=');
    query.extend(encode::encode_query(value));
}

fn set_query(parts: &mut Parts, query: &str) -> Result<(), Error> {
    let unchanged = parts.uri.clone();
    set_target(parts, unchanged.path(), query)
}

fn set_target(parts: &mut Parts, path: &str, query: &str) -> Result<(), Error> {
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(request_target::path_and_query([path, "?", query].concat())?);
    parts.uri = Uri::from_parts(uri).map_err(request_target::invalid)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use http::Request;

    use super::*;
    use crate::{
        SigningSettings,
        sigv4::{Identity, Payload},
    };

    #[test]
    fn literal_plus_in_a_key_is_escaped() {
        let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let identity = Identity::new(keys).expect("valid");
        for (service, path) in [("s3", "/a%2Bb%20c"), ("execute-api", "/a+b%20c")] {
            let settings = SigningSettings::new(service, "us-east-1").expect("valid");
            let params = SigningParams::new(&settings, &identity, Payload::Unsigned, UNIX_EPOCH);
            let request = Request::get("https://example.com/a+b%20c").body(());
            let (mut head, ()) = request.expect("valid").into_parts();
            let signer = Signer::new();
            let minute = Duration::from_secs(60);
            signer.presign(&mut head, &params, minute).expect("signed");
            assert_eq!(head.uri.path(), path);
        }
    }
}
