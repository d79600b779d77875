//! JSON of `credential_process` (AWS SDKs and Tools Reference Guide, "Process credential provider").

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_smithy_types::{DateTime, date_time::Format};
use serde::Deserialize;

use super::error::SourceError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

const REMEDY: &str = "print or write {\"Version\": 1, \"AccessKeyId\": ..., \"SecretAccessKey\": ..., \
                      \"SessionToken\": ..., \"Expiration\": \"2030-01-01T00:00:00Z\"}";

/// Parses credentials. No error quotes the text, since it holds secrets.
pub(super) fn parse(text: &[u8], provider: &'static str) -> Result<Credentials, SourceError> {
    let output: Output = serde_json::from_slice(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        SourceError::new(
            format!("the source has no valid JSON of credential_process ({place})"),
            REMEDY,
        )
    })?;
    if output.version != 1 {
        let cause = format!("the source has JSON of version {}", output.version);
        return Err(SourceError::new(cause, "use version 1"));
    }
    let expiry = match output.expiration.filter(|it| !it.is_empty()) {
        None => None,
        Some(time) => Some(
            parse_time(&time)
                .ok_or_else(|| SourceError::new("the source has an invalid Expiration", REMEDY))?,
        ),
    };
    Ok(Credentials::new(
        output.access_key_id,
        output.secret_access_key,
        output.session_token.filter(|token| !token.is_empty()),
        expiry,
        provider,
    ))
}

/// Parses a time of RFC 3339, such as `2030-01-01T00:00:00Z`.
pub(crate) fn parse_time(text: &str) -> Option<SystemTime> {
    let parsed = DateTime::from_str(text, Format::DateTimeWithOffset).ok()?;
    parsed.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn all_members_are_read() {
        let text = br#"{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "s3cret", "SessionToken": "t",
            "Expiration": "2030-01-01T01:00:00+01:00", "Other": []}"#;
        let credentials = parse(text, "test").expect("valid");
        assert_eq!(credentials.access_key_id(), "AKID");
        assert_eq!(credentials.secret_access_key(), "s3cret");
        assert_eq!(credentials.session_token(), Some("t"));
        let expiry = UNIX_EPOCH + Duration::from_secs(1_893_456_000);
        assert_eq!(credentials.expiry(), Some(expiry));
    }

    #[test]
    fn errors_name_the_cause_and_no_secret() {
        for (text, cause) in [
            ("", "no valid JSON"),
            ("usage: helper hunter2", "no valid JSON"),
            (r#"{"Version": "hunter2"}"#, "no valid JSON"),
            (
                r#"{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": 2}"#,
                "no valid JSON",
            ),
            (
                r#"{"Version": 2, "AccessKeyId": "a", "SecretAccessKey": "hunter2"}"#,
                "version 2",
            ),
            (
                r#"{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s", "Expiration": "hunter2"}"#,
                "invalid Expiration",
            ),
        ] {
            let error = parse(text.as_bytes(), "test").expect_err(text);
            let message = format!("{error} {error:?}");
            assert!(message.contains(cause), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
