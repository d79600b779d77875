use std::time::Duration;

use http::{HeaderName, Method};

use super::{
    Token, TokenParams,
    params::{MINUTES_15, base64_url, request},
};
use crate::{
    error::Error,
    sigv4::{encode, infer::dns_suffix},
};

const X_K8S_AWS_ID: HeaderName = HeaderName::from_static("x-k8s-aws-id");

/// Returns the bearer token of the Kubernetes API of an Amazon EKS cluster, valid for 14 minutes.
///
/// `cluster` is the name of the cluster, or the ID of a local cluster on AWS Outposts. The token is a presigned
/// `GetCallerIdentity` of the regional AWS STS endpoint, with the form and the lifetime of `aws eks get-token`. See the
/// Amazon EKS User Guide, "Connect kubectl to an EKS cluster by creating a kubeconfig file".
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_sigv4::{credentials::Credentials, sigv4::{Identity, token::{TokenParams, eks}}};
///
/// let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let identity = Identity::new(keys)?;
/// let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// let params = TokenParams::new("us-east-1", &identity, time);
///
/// let token = eks(&params, "my-cluster")?;
/// assert_eq!(
///     token.as_str(),
///     "k8s-aws-v1.aHR0cHM6Ly9zdHMudXMtZWFzdC0xLmFtYXpvbmF3cy5jb20vP0FjdGlvbj1HZXRDYWxsZXJJZGVudGl0eSZWZ\
///      XJzaW9uPTIwMTEtMDYtMTUmWC1BbXotQWxnb3JpdGhtPUFXUzQtSE1BQy1TSEEyNTYmWC1BbXotQ3JlZGVudGlhbD1BS0lER\
///      VhBTVBMRSUyRjIwMTUwODMwJTJGdXMtZWFzdC0xJTJGc3RzJTJGYXdzNF9yZXF1ZXN0JlgtQW16LURhdGU9MjAxNTA4MzBUM\
///      TIzNjAwWiZYLUFtei1FeHBpcmVzPTYwJlgtQW16LVNpZ25lZEhlYWRlcnM9aG9zdCUzQngtazhzLWF3cy1pZCZYLUFtei1Ta\
///      WduYXR1cmU9ZjgzMjk1NzU4MjM3ZWY1YmM3OWNmYTAwYjdlYTE1NTk0NWI2ZTA2YTE0MzQxNzM1NTk0Y2IzZDlkYmU4ZmJkO\
///      A",
/// );
/// assert_eq!(token.expires_at(), time + Duration::from_secs(14 * 60));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if the cluster's name or the region is invalid;
/// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if the credentials have expired.
pub fn eks(params: &TokenParams<'_>, cluster: &str) -> Result<Token, Error> {
    /// Value of `X-Amz-Expires`. EKS accepts a token for 15 minutes all the same.
    const EXPIRES: Duration = Duration::from_secs(60);
    const LIFETIME: Duration = Duration::from_secs(14 * 60);

    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let starts_well = cluster.starts_with(|first: char| first.is_ascii_alphanumeric());
    if !starts_well || cluster.len() > 100 || !cluster.bytes().all(is_allowed) {
        return Err(Error::config(format!(
            "cluster {cluster:?} is not the name of an EKS cluster; give a letter or a digit, then at most 99 of \
             letters, digits, \"-\" and \"_\""
        )));
    }
    let host = format!("sts.{}.{}", params.region, dns_suffix(params.region));
    let query = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    let identify = request(Method::GET, &host, &query).header(X_K8S_AWS_ID, cluster);
    let url = params.presign("sts", identify, Some(X_K8S_AWS_ID), EXPIRES)?;
    let text = format!("k8s-aws-v1.{}", base64_url(&format!("https://{url}")));
    params.token(text, LIFETIME)
}

/// Returns the token of `SASL/OAUTHBEARER` for Amazon MSK, valid for 15 minutes.
///
/// `user_agent` names the program, such as `my-consumer/1.0`. MSK logs it, and the signature does not cover it. The
/// form is that of AWS's signers for Kafka clients. See the Amazon MSK Developer Guide, "IAM access control".
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_sigv4::{credentials::Credentials, sigv4::{Identity, token::{TokenParams, msk}}};
///
/// let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let identity = Identity::new(keys)?;
/// let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// let params = TokenParams::new("us-east-1", &identity, time);
///
/// let token = msk(&params, "my-consumer/1.0")?;
/// assert_eq!(
///     token.as_str(),
///     "aHR0cHM6Ly9rYWZrYS51cy1lYXN0LTEuYW1hem9uYXdzLmNvbS8_QWN0aW9uPWthZmthLWNsdXN0ZXIlM0FDb25uZWN0Jlgt\
///      QW16LUFsZ29yaXRobT1BV1M0LUhNQUMtU0hBMjU2JlgtQW16LUNyZWRlbnRpYWw9QUtJREVYQU1QTEUlMkYyMDE1MDgzMCUy\
///      RnVzLWVhc3QtMSUyRmthZmthLWNsdXN0ZXIlMkZhd3M0X3JlcXVlc3QmWC1BbXotRGF0ZT0yMDE1MDgzMFQxMjM2MDBaJlgt\
///      QW16LUV4cGlyZXM9OTAwJlgtQW16LVNpZ25lZEhlYWRlcnM9aG9zdCZYLUFtei1TaWduYXR1cmU9Nzg4MzAwMjFkOWJlNTJl\
///      MTgyZjNiM2Q5NzJjYzU3NTRmNDFkNDQ3YTJiZTBjYWUyODQ5Zjk4MjRjNDJiN2I1NSZVc2VyLUFnZW50PW15LWNvbnN1bWVy\
///      JTJGMS4w",
/// );
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if the region is invalid;
/// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if the credentials have expired.
pub fn msk(params: &TokenParams<'_>, user_agent: &str) -> Result<Token, Error> {
    let host = format!("kafka.{}.amazonaws.com", params.region);
    let connect = request(Method::GET, &host, &[("Action", "kafka-cluster:Connect")]);
    let url = params.presign("kafka-cluster", connect, None, MINUTES_15)?;
    let agent = encode::encode_query(user_agent.as_bytes());
    let text = base64_url(&format!("https://{url}&User-Agent={agent}"));
    params.token(text, MINUTES_15)
}
