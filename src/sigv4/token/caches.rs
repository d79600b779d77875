use http::Method;

use super::{
    Token, TokenParams,
    params::{MINUTES_15, host_name, request, user_name},
};
use crate::error::Error;

/// Returns the password of a user of a node-based cache of Amazon ElastiCache, valid for 15 minutes.
///
/// `replication_group` is the ID of the replication group, not a host; the token contains it in lower case. `user` is
/// both ID and name of the ElastiCache user. The connection requires TLS, and ends after 12 hours unless the client
/// sends `AUTH` with a new token. See the Amazon ElastiCache User Guide, "Authenticating with IAM".
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_sigv4::{credentials::Credentials, sigv4::{Identity, token::{TokenParams, elasticache}}};
///
/// let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let identity = Identity::new(keys)?;
/// let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// let params = TokenParams::new("us-east-1", &identity, time);
///
/// let token = elasticache(&params, "My-Group", "jane")?;
/// assert_eq!(
///     token.as_str(),
///     "my-group/?Action=connect&User=jane&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE\
///      %2F20150830%2Fus-east-1%2Felasticache%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=9\
///      00&X-Amz-SignedHeaders=host&X-Amz-Signature=df894c561637d40bd4427e1c85c16d46563bf10195b379e76063\
///      31700f168b40",
/// );
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if a name or the region is invalid;
/// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if the credentials have expired.
pub fn elasticache(
    params: &TokenParams<'_>,
    replication_group: &str,
    user: &str,
) -> Result<Token, Error> {
    connect(params, "elasticache", replication_group, user, &[])
}

/// Returns the password of a user of a serverless cache of Amazon ElastiCache, valid for 15 minutes.
///
/// `cache` is the name of the cache, not a host. Otherwise it is like [`elasticache`].
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// # use tower_sigv4::{credentials::Credentials, sigv4::{Identity, token::{TokenParams, elasticache_serverless}}};
/// # let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// # let identity = Identity::new(keys)?;
/// # let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// # let params = TokenParams::new("us-east-1", &identity, time);
/// let token = elasticache_serverless(&params, "my-cache", "jane")?;
/// assert_eq!(
///     token.as_str(),
///     "my-cache/?Action=connect&User=jane&ResourceType=ServerlessCache&X-Amz-Algorithm=AWS4-HMAC-SHA256\
///      &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Felasticache%2Faws4_request&X-Amz-Date=201\
///      50830T123600Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=8a1b4d3f68f62680acdc84b\
///      66d9b7128c9c49765254ddf0bcf60d7b553b3da26",
/// );
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`elasticache`].
pub fn elasticache_serverless(
    params: &TokenParams<'_>,
    cache: &str,
    user: &str,
) -> Result<Token, Error> {
    let kind = [("ResourceType", "ServerlessCache")];
    connect(params, "elasticache", cache, user, &kind)
}

/// Returns the password of a user of Amazon MemoryDB, valid for 15 minutes.
///
/// `cluster` is the name of the cluster, not a host. The connection requires TLS, and ends after 12 hours unless the
/// client sends `AUTH` with a new token. See the Amazon MemoryDB Developer Guide, "Authenticating with IAM".
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// # use tower_sigv4::{credentials::Credentials, sigv4::{Identity, token::{TokenParams, memorydb}}};
/// # let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// # let identity = Identity::new(keys)?;
/// # let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// # let params = TokenParams::new("us-east-1", &identity, time);
/// let token = memorydb(&params, "my-cluster", "jane")?;
/// assert_eq!(
///     token.as_str(),
///     "my-cluster/?Action=connect&User=jane&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMP\
///      LE%2F20150830%2Fus-east-1%2Fmemorydb%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=90\
///      0&X-Amz-SignedHeaders=host&X-Amz-Signature=78a9663f3bac5d02f369516d158d2719b94bcd72e81bc5ce6e136\
///      5e79ab6540a",
/// );
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`elasticache`].
pub fn memorydb(params: &TokenParams<'_>, cluster: &str, user: &str) -> Result<Token, Error> {
    connect(params, "memorydb", cluster, user, &[])
}

fn connect(
    params: &TokenParams<'_>,
    service: &str,
    name: &str,
    user: &str,
    more: &[(&str, &str)],
) -> Result<Token, Error> {
    let mut query = vec![("Action", "connect"), ("User", user_name(user)?)];
    query.extend_from_slice(more);
    let connect = request(Method::GET, &host_name("cache", name)?, &query);
    let url = params.presign(service, connect, None, MINUTES_15)?;
    params.token(url, MINUTES_15)
}
