use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_smithy_types::base64;
use hmac::Mac;
use http::{HeaderMap, HeaderValue, header, request::Parts};

use super::{
    VerifiedForm, document,
    multipart::{Fields, is_encoded, malformed},
};
use crate::{
    sigv4::{
        authorization::{MAX_EXPIRES, is_same_cgi_variable},
        encode,
        identity::is_access_key_id,
        infer::AwsHost,
        key::{KeyCache, SigningKey},
        scope::{Scope, Timestamp},
        service_rules::service_rules,
        signature::ALGORITHM,
    },
    verify::{
        KeyRequest, Rejection, RejectionKind as Kind, Verified, VerifyServices, VerifySettings,
        key_store::{MAX_SESSION_TOKEN, RequestToken},
        parsed_request::{check_key, check_region, find_settings},
        request_checks,
        signed_headers::imitates_framing,
        signing_time::parse_amz_date,
    },
};

/// A form whose signature is not verified yet.
pub(in crate::verify) struct ParsedForm {
    fields: Fields,
    bucket: String,
    access_key_id: String,
    region: String,
    service: String,
    time: Timestamp,
    now: SystemTime,
}

impl ParsedForm {
    /// Checks everything that needs no key.
    pub(in crate::verify) fn parse(
        fields: Fields,
        head: &Parts,
        services: &VerifyServices,
        now: SystemTime,
    ) -> Result<Self, Rejection> {
        let required = |name: &str| {
            fields.value(name).ok_or_else(|| {
                Kind::MalformedForm.rejection(format!("the form has no field {name}"))
            })
        };
        if fields.value("signature").is_some() || fields.value("awsaccesskeyid").is_some() {
            return Err(Kind::UnsupportedAlgorithm
                .rejection("the form is signed in version 2, which is not supported"));
        }
        if required("x-amz-algorithm")? != ALGORITHM {
            return Err(Kind::UnsupportedAlgorithm
                .rejection("the form's x-amz-algorithm is not AWS4-HMAC-SHA256"));
        }
        required("policy")?;
        required("key")?;
        required("x-amz-signature")?;
        if fields
            .value("x-amz-security-token")
            .is_some_and(|token| token.len() > MAX_SESSION_TOKEN)
        {
            return Err(Kind::SessionToken.rejection("the session token has more than 8192 bytes"));
        }
        let credential: Vec<_> = required("x-amz-credential")?.split('/').collect();
        let malformed_credential = || {
            malformed(
                "the form's x-amz-credential is not an ID, date, region, service and aws4_request",
            )
        };
        let [access_key_id, date, region, service, terminator] = credential[..] else {
            return Err(malformed_credential());
        };
        if !is_access_key_id(access_key_id) {
            return Err(malformed_credential());
        }
        let (_, settings) = find_settings(service, terminator, services)?;
        if !settings.post_policy || !service_rules(service).s3_family {
            return Err(Kind::Scope.rejection(
                "forms of this service are not accepted; allow them with `VerifySettings::with_post_policy`",
            ));
        }
        check_region(region, &settings.regions)?;
        let time = parse_amz_date(required("x-amz-date")?.as_bytes())?;
        if date.as_bytes() != &time.as_bytes()[..8] {
            return Err(Kind::Scope.rejection("the credential is not scoped to the day of signing"));
        }
        check_age(&time, settings.clock_window, now)?;
        check_head(head, settings)?;
        let bucket = bucket(head, settings)?;
        Ok(Self {
            bucket,
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            time,
            now,
            fields,
        })
    }

    /// Returns the proof of a form whose signature and policy are verified.
    pub(in crate::verify) fn into_verified(self) -> VerifiedForm {
        VerifiedForm::new(self.bucket, self.fields)
    }

    /// Returns what a [`KeyStore`](crate::verify::KeyStore) sees of the form.
    pub(in crate::verify) fn key_request(&self) -> KeyRequest<'_> {
        let token = self.fields.value("x-amz-security-token");
        KeyRequest::new(&self.access_key_id, &self.service, &self.region).with_received_token(
            token.map_or(RequestToken::None, |text| {
                RequestToken::Header(text.as_bytes())
            }),
        )
    }

    /// Verifies the signature, then the policy. Returns the range of the file's size as well.
    pub(in crate::verify) fn verify(
        &self,
        key: &Credentials,
        keys: &KeyCache,
    ) -> Result<(Verified, RangeInclusive<u64>), Rejection> {
        let token = self
            .fields
            .value("x-amz-security-token")
            .unwrap_or_default();
        let expected = key.session_token().unwrap_or_default();
        let has_token = encode::ct_eq(token.as_bytes(), expected.as_bytes());
        check_key(key, &self.access_key_id, self.now, has_token)?;
        let policy = self.fields.value("policy").unwrap_or_default();
        let signature = self.fields.value("x-amz-signature").unwrap_or_default();
        let scope = Scope {
            time: &self.time,
            region: &self.region,
            service: &self.service,
        };
        let is_signed = |signing_key: &SigningKey| {
            let mut mac = signing_key.mac();
            mac.update(policy.as_bytes());
            let computed = encode::hex(&mac.finalize().into_bytes().into());
            encode::ct_eq(&computed, signature.as_bytes())
        };
        // Only the keys of valid signatures are cached, so that no one else can fill the cache.
        if !keys.with_if(key, scope, is_signed, |matches| *matches) {
            return Err(Kind::SignatureMismatch
                .rejection("the form's x-amz-signature is not that of its policy"));
        }
        let json = base64::decode(policy)
            .map_err(|_| malformed("the form's policy is not JSON in base64"))?;
        let size = document::check(&json, &self.fields, &self.bucket, self.now)?;
        let verified = Verified::for_form(
            &self.access_key_id,
            &self.region,
            &self.service,
            self.time.system_time(),
        );
        Ok((verified, size))
    }
}

/// Rejects a date in the future, and one after which no signing key is valid anymore.
fn check_age(time: &Timestamp, window: Duration, now: SystemTime) -> Result<(), Rejection> {
    let signed_at = time.system_time();
    if signed_at > now + window {
        return Err(Kind::NotYetValid.rejection("the form's x-amz-date is in the future"));
    }
    let age = now.duration_since(signed_at).unwrap_or_default();
    if age > Duration::from_secs(MAX_EXPIRES) + window {
        return Err(Kind::Expired.rejection("the form's x-amz-date is more than a week ago"));
    }
    Ok(())
}

/// Rejects what no condition of a policy covers, and a service may follow.
fn check_head(head: &Parts, settings: &VerifySettings) -> Result<(), Rejection> {
    if head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Kind::Target.rejection(
            "a form is posted to a URL without a query, which would name another operation",
        ));
    }
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Kind::Target.rejection("the form's request has no host header, or several"));
    };
    request_checks::check_host(&head.uri, Some(host))?;
    if is_encoded(&head.headers) {
        return Err(malformed("the form has a content-encoding"));
    }
    check_headers(&head.headers, settings)
}

fn check_headers(
    headers: &HeaderMap<HeaderValue>,
    settings: &VerifySettings,
) -> Result<(), Rejection> {
    let is_amz = |name: &str| {
        let start = name.get(..6).unwrap_or_default();
        is_same_cgi_variable(start, "x-amz-")
    };
    let is_accepted = |name: &str| {
        let mut accepted = settings.unsigned_headers.iter();
        accepted.any(|one| is_same_cgi_variable(one.as_str(), name))
    };
    let not_signed = |name: &str, remedy: &str| {
        Kind::HeaderNotSigned
            .rejection(format!(
                "{name} is a header of a form, which no signature covers; {remedy}"
            ))
            .with_header_not_signed(name)
    };
    for name in headers.keys().map(header::HeaderName::as_str) {
        if is_amz(name) && !is_accepted(name) {
            let remedy =
                "send it as a field, or accept it with `VerifySettings::add_unsigned_header`";
            return Err(not_signed(name, remedy));
        }
        // The host names the bucket, and the type has the boundary: both are checked.
        let is_checked = matches!(name, "host" | "content-type");
        let is_required = !is_checked
            && settings.requires(false, |required| {
                is_same_cgi_variable(required.as_str(), name)
            });
        if is_required || imitates_framing(name) {
            return Err(not_signed(name, "remove it"));
        }
    }
    Ok(())
}

/// Returns the bucket that the form is posted to, from the path or from the host.
fn bucket(head: &Parts, settings: &VerifySettings) -> Result<String, Rejection> {
    let path = head.uri.path();
    let segment = path.strip_prefix('/').unwrap_or(path);
    let name = segment.strip_suffix('/').unwrap_or(segment);
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if name.is_empty() {
        return bucket_of_host(head, settings).ok_or_else(|| {
            Kind::Target.rejection(
                "a form is posted to a bucket, in the path or in the host; name the host's domain with \
                 `VerifySettings::add_post_domain`",
            )
        });
    }
    let is_bucket = name.bytes().all(is_allowed) && name != "." && name != "..";
    if !is_bucket || bucket_of_host(head, settings).is_some() {
        return Err(Kind::Target.rejection("a form is posted to a bucket, not to a key"));
    }
    Ok(name.to_owned())
}

fn bucket_of_host(head: &Parts, settings: &VerifySettings) -> Option<String> {
    let value = head.headers.get(header::HOST)?.to_str().ok()?;
    let lower = value.to_ascii_lowercase();
    let host = lower.split(':').next()?;
    let before = |domain: &String| {
        let labels = host.strip_suffix(domain.as_str())?;
        (labels.is_empty() || labels.ends_with('.')).then_some(labels)
    };
    // The longest domain decides: `s3.example.com` is not a bucket of `example.com`.
    let domains = settings.post_domains.iter();
    if let Some(labels) = domains.filter_map(before).min_by_key(|labels| labels.len()) {
        let bucket = labels.strip_suffix('.').unwrap_or_default();
        return (!bucket.is_empty()).then(|| bucket.to_owned());
    }
    let Ok(AwsHost::Regional("s3", region)) = AwsHost::parse(host) else {
        return None;
    };
    let service = ["s3", "s3-fips", "s3.dualstack", "s3-fips.dualstack"];
    let regional = service.map(|name| format!("{name}.{region}."));
    let at = regional
        .iter()
        .map(|name| format!(".{name}"))
        .chain([".s3.amazonaws.".to_owned()])
        // The last one: a bucket's name may contain such labels, too.
        .find_map(|name| host.rfind(&name))?;
    Some(host[..at].to_owned())
}
