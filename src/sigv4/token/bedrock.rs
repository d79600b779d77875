use std::time::Duration;

use aws_smithy_types::base64;
use http::Method;

use super::{Token, TokenParams, params::request};
use crate::error::Error;

/// Returns a short-term API key of Amazon Bedrock, which clients send as `Authorization: Bearer`.
///
/// `lifetime` is at most 12 hours. The key expires earlier with the credentials. The form is that of AWS's
/// `aws-bedrock-token-generator`. See the Amazon Bedrock User Guide, "Generate an Amazon Bedrock API key".
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_sigv4::{credentials::Credentials, sigv4::{Identity, token::{TokenParams, bedrock}}};
///
/// let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let identity = Identity::new(keys)?;
/// let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// let params = TokenParams::new("us-east-1", &identity, time);
///
/// let token = bedrock(&params, Duration::from_secs(12 * 60 * 60))?;
/// assert_eq!(
///     token.as_str(),
///     "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29tLz9BY3Rpb249Q2FsbFdpdGhCZWFyZXJUb2tlbiZYLUFtei1BbGdv\
///      cml0aG09QVdTNC1ITUFDLVNIQTI1NiZYLUFtei1DcmVkZW50aWFsPUFLSURFWEFNUExFJTJGMjAxNTA4MzAlMkZ1cy1lYXN0\
///      LTElMkZiZWRyb2NrJTJGYXdzNF9yZXF1ZXN0JlgtQW16LURhdGU9MjAxNTA4MzBUMTIzNjAwWiZYLUFtei1FeHBpcmVzPTQz\
///      MjAwJlgtQW16LVNpZ25lZEhlYWRlcnM9aG9zdCZYLUFtei1TaWduYXR1cmU9MTZhOTdlNDM3OTFiOTk1YmI5YmEwMmRmMjc5\
///      YzJiNTY2NzA0OTVhZDMwZjYwZTlmZTlhNjUyZGQ3NzcwMTRlMyZWZXJzaW9uPTE=",
/// );
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if the lifetime is shorter than a second or longer than 12 hours, or
/// the region is invalid; [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if the credentials have expired.
pub fn bedrock(params: &TokenParams<'_>, lifetime: Duration) -> Result<Token, Error> {
    const MAX_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
    // The endpoint has no region for any region.
    const HOST: &str = "bedrock.amazonaws.com";

    if lifetime > MAX_LIFETIME {
        return Err(Error::config(format!(
            "an API key of Amazon Bedrock cannot live for {lifetime:?}; give at most 12 hours"
        )));
    }
    let seconds = Duration::from_secs(lifetime.as_secs());
    let call = request(Method::POST, HOST, &[("Action", "CallWithBearerToken")]);
    let url = params.presign("bedrock", call, None, seconds)?;
    let encoded = base64::encode(format!("{url}&Version=1"));
    params.token(format!("bedrock-api-key-{encoded}"), seconds)
}
