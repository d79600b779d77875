use std::{
    fmt,
    ops::RangeInclusive,
    time::{Duration, UNIX_EPOCH},
};

use aws_smithy_types::base64;
use hmac::Mac;

use super::{PostForm, condition::Condition, json::push_string};
use crate::{
    error::Error,
    sigv4::{
        SigningParams, encode,
        presign::lifetime,
        scope::Timestamp,
        service_rules::service_rules,
        signature::{ALGORITHM, Signature},
        signer::with_key,
    },
};

/// The part of a key that S3 replaces by the name of the uploaded file.
const FILE_NAME: &str = "${filename}";

/// Fields that the signature or the form itself has.
const RESERVED: [&str; 9] = [
    "bucket",
    "file",
    "key",
    "policy",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
];

/// A policy that lets browsers upload files to a bucket of Amazon S3, without credentials of their own.
///
/// A web page sends the [fields](PostForm::fields) of the signed policy and then the file, as `multipart/form-data` in a
/// `POST` to the bucket's URL. Each field of the form has a condition in the policy. The policy equals that of botocore's
/// `generate_presigned_post`. See the Amazon S3 API Reference, "Browser-Based Uploads Using POST (AWS Signature Version
/// 4)".
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_sigv4::{
///     SigningSettings,
///     credentials::Credentials,
///     sigv4::{Identity, Payload, PostPolicy, SigningParams},
/// };
///
/// let settings = SigningSettings::new("s3", "us-east-1")?;
/// let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let identity = Identity::new(keys)?;
/// let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// let params = SigningParams::new(&settings, &identity, Payload::Unsigned, time);
///
/// // Images of at most 1 MiB, below uploads/jane/.
/// let policy = PostPolicy::new("bucket", "uploads/jane/${filename}", Duration::from_secs(3600))?
///     .add_field("acl", "private")?
///     .add_starts_with("Content-Type", "image/")?
///     .with_content_length(1..=1 << 20)?;
/// let form = policy.sign(&params)?;
/// assert_eq!(
///     policy.json(&params)?,
///     "{\"expiration\": \"2015-08-30T13:36:00Z\", \"conditions\": [{\"acl\": \"private\"}, \
///      [\"starts-with\", \"$Content-Type\", \"image/\"], [\"content-length-range\", 1, 1048576], \
///      {\"bucket\": \"bucket\"}, [\"starts-with\", \"$key\", \"uploads/jane/\"], \
///      {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"}, \
///      {\"x-amz-credential\": \"AKIDEXAMPLE/20150830/us-east-1/s3/aws4_request\"}, \
///      {\"x-amz-date\": \"20150830T123600Z\"}]}",
/// );
/// let (name, signature) = form.fields().last().unwrap();
/// assert_eq!(name, "x-amz-signature");
/// assert_eq!(signature, "2e95564c966dd8833d044d6d5a3a496e6b63be8b4e7c2708dbcf688af25a901b");
///
/// let error = PostPolicy::new("bucket", "key", Duration::from_secs(3600))?.add_field("policy", "").unwrap_err();
/// assert!(error.to_string().contains("policy"));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct PostPolicy {
    bucket: String,
    key: String,
    expires: Duration,
    /// Fields with their values, in the order of the form.
    fields: Vec<(String, String)>,
    conditions: Vec<Condition>,
}

impl PostPolicy {
    /// Creates a policy for one key, or with `${filename}` at its end for all keys that start with the part before
    /// it. The policy is valid until it `expires`, 1 to 604,800 seconds after the time of signing, truncated to
    /// seconds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if bucket or key is empty, or `${filename}` is not at the end.
    pub fn new(bucket: &str, key: &str, expires: Duration) -> Result<Self, Error> {
        if bucket.is_empty() || key.is_empty() {
            return Err(Error::config(
                "the bucket or the key of a POST policy is empty; name both",
            ));
        }
        if key
            .strip_suffix(FILE_NAME)
            .unwrap_or(key)
            .contains(FILE_NAME)
        {
            return Err(Error::config(format!(
                "key {key:?} has {FILE_NAME} before its end, which no condition can express; put it at the end"
            )));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            expires,
            fields: Vec::new(),
            conditions: Vec::new(),
        })
    }

    /// Adds a field to the form, with the condition that it has this value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the name is empty or [`sign`](Self::sign) adds the field.
    pub fn add_field(mut self, name: &str, value: &str) -> Result<Self, Error> {
        check_name(name)?;
        self.fields.push((name.to_owned(), value.to_owned()));
        self.conditions.push(Condition::equals(name, value));
        Ok(self)
    }

    /// Adds the condition that a field of the form starts with `prefix`. The page adds the field, such as the
    /// `Content-Type` of the file. An empty prefix allows any value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the name is empty or [`sign`](Self::sign) adds the field.
    pub fn add_starts_with(mut self, name: &str, prefix: &str) -> Result<Self, Error> {
        check_name(name)?;
        self.conditions.push(Condition::starts_with(name, prefix));
        Ok(self)
    }

    /// Limits the size of the file, in bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the range is empty.
    pub fn with_content_length(mut self, bytes: RangeInclusive<u64>) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Err(Error::config(format!(
                "the range {bytes:?} of a file's size is empty; give the smaller number first"
            )));
        }
        self.conditions
            .retain(|condition| !matches!(condition, Condition::ContentLength(_)));
        self.conditions.push(Condition::ContentLength(bytes));
        Ok(self)
    }

    /// Signs the policy for a service of the S3 family. The payload of the parameters is ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the lifetime is out of range, or the settings are those of
    /// another service or of several regions; [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if the
    /// credentials expire before the policy and the [`PresignExpiry`](super::super::PresignExpiry) does not allow that.
    pub fn sign(&self, params: &SigningParams<'_>) -> Result<PostForm, Error> {
        let time = Timestamp::new(params.time)?;
        let policy = base64::encode(self.json(params)?);
        let signature = sign_policy(params, &time, policy.as_bytes());
        let mut fields = self.fields.clone();
        fields.push(("key".to_owned(), self.key.clone()));
        fields.extend(signature_fields(params, &time));
        fields.push(("policy".to_owned(), policy));
        let hex = String::from_utf8_lossy(&signature).into_owned();
        fields.push(("x-amz-signature".to_owned(), hex));
        Ok(PostForm::new(fields))
    }

    /// Returns the policy that [`sign`](Self::sign) encodes in base64.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Self::sign).
    pub fn json(&self, params: &SigningParams<'_>) -> Result<String, Error> {
        let settings = params.settings;
        if !service_rules(settings.service()).s3_family || settings.region_set().is_some() {
            return Err(Error::config(format!(
                "service {:?} in {:?} has no POST policies; use the settings of \"s3\" in one region",
                settings.service(),
                settings.region()
            )));
        }
        let time = Timestamp::new(params.time)?;
        let seconds = lifetime(params, self.expires)?;
        let expires_at = UNIX_EPOCH + Duration::from_secs(time.seconds() + seconds);
        let end = Timestamp::new(expires_at)?;

        let mut conditions = self.conditions.clone();
        conditions.push(Condition::equals("bucket", &self.bucket));
        conditions.push(match self.key.strip_suffix(FILE_NAME) {
            Some(prefix) => Condition::starts_with("key", prefix),
            None => Condition::equals("key", &self.key),
        });
        for (name, value) in signature_fields(params, &time) {
            conditions.push(Condition::equals(&name, &value));
        }
        let mut json = String::from("{\"expiration\": ");
        push_string(&mut json, &iso_8601(&end));
        json.push_str(", \"conditions\": [");
        for (index, condition) in conditions.iter().enumerate() {
            if index > 0 {
                json.push_str(", ");
            }
            condition.push_json(&mut json);
        }
        json.push_str("]}");
        Ok(json)
    }
}

/// The conditions may contain names of users, but no secret.
impl fmt::Debug for PostPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostPolicy")
            .field("bucket", &self.bucket)
            .field("key", &self.key)
            .field("expires", &self.expires)
            .field("conditions", &self.conditions)
            .finish_non_exhaustive()
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || RESERVED.contains(&&*lower) {
        return Err(Error::config(format!(
            "field {name:?} of a POST policy is empty or reserved; name another one"
        )));
    }
    Ok(())
}

/// Returns the fields of a signature, except the policy and the signature itself.
fn signature_fields(params: &SigningParams<'_>, time: &Timestamp) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let credential = with_key(params, time, |key| text(key.credential()));
    let mut fields = vec![
        ("x-amz-algorithm".to_owned(), ALGORITHM.to_owned()),
        ("x-amz-credential".to_owned(), credential),
        ("x-amz-date".to_owned(), text(time.as_bytes())),
    ];
    if let Some(token) = params.identity.token() {
        fields.push(("x-amz-security-token".to_owned(), text(token.as_bytes())));
    }
    fields
}

/// Signs a policy in base64, which is the string to sign.
fn sign_policy(params: &SigningParams<'_>, time: &Timestamp, policy: &[u8]) -> Signature {
    with_key(params, time, |key| {
        let mut mac = key.mac();
        mac.update(policy);
        encode::hex(&mac.finalize().into_bytes().into())
    })
}

/// Converts `20150830T123600Z` to `2015-08-30T12:36:00Z`.
fn iso_8601(time: &Timestamp) -> String {
    let text = String::from_utf8_lossy(time.as_bytes());
    let (date, clock) = text.split_at(8);
    format!(
        "{}-{}-{}{}:{}:{}",
        &date[..4],
        &date[4..6],
        &date[6..],
        &clock[..3],
        &clock[3..5],
        &clock[5..]
    )
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;
    use crate::{
        SigningSettings,
        sigv4::{
            Identity, Payload,
            post_policy::published::{PUBLISHED_POLICY, PUBLISHED_SIGNATURE},
        },
    };

    #[test]
    fn published_policy_has_the_published_signature() {
        let settings = SigningSettings::new("s3", "us-east-1").expect("valid");
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, None, None, "test");
        let identity = Identity::new(keys).expect("valid");
        let time = Timestamp::parse(b"20151229T000000Z").expect("valid");
        let params =
            SigningParams::new(&settings, &identity, Payload::Unsigned, time.system_time());
        let encoded = base64::encode(PUBLISHED_POLICY);
        assert!(
            encoded.starts_with("eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0K")
        );
        let signature = sign_policy(&params, &time, encoded.as_bytes());
        assert_eq!(String::from_utf8_lossy(&signature), PUBLISHED_SIGNATURE);
    }

    #[test]
    fn invalid_policies_are_rejected() {
        let hour = Duration::from_secs(3600);
        let new = || PostPolicy::new("bucket", "key", hour).expect("valid");
        for policy in [
            PostPolicy::new("", "key", hour),
            PostPolicy::new("bucket", "", hour),
            PostPolicy::new("bucket", "${filename}/x", hour),
            PostPolicy::new("bucket", "${filename}${filename}", hour),
            new().add_field("", "x"),
            new().add_field("Key", "x"),
            new().add_field("X-Amz-Signature", "x"),
            new().add_starts_with("bucket", ""),
            new().with_content_length(RangeInclusive::new(2, 1)),
        ] {
            let error = policy.expect_err("invalid");
            assert_eq!(error.kind(), crate::ErrorKind::Config);
        }
    }

    #[test]
    fn strings_are_escaped_as_in_python() {
        let mut json = String::new();
        push_string(&mut json, "a\"\\\u{8}\t\n\u{c}\r\u{1}\u{7f}é\u{1f600}/");
        let expected = "\"a\\\"\\\\\\b\\t\\n\\f\\r\\u0001\\u007f\\u00e9\\ud83d\\ude00/\"";
        assert_eq!(json, expected);
    }
}
