use http::Method;

use super::{
    Token, TokenParams,
    params::{MINUTES_15, host_name, request, user_name},
};
use crate::error::Error;

/// Returns the password of a user of Amazon RDS or Amazon Aurora, valid for 15 minutes.
///
/// `host` is the endpoint's own name: a database rejects a token for a CNAME record. The connection requires TLS. See
/// the Amazon RDS User Guide, "Connecting to your DB instance using IAM authentication".
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_sigv4::{credentials::Credentials, sigv4::{Identity, token::{TokenParams, rds}}};
///
/// let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let identity = Identity::new(keys)?;
/// let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// let params = TokenParams::new("us-east-1", &identity, time);
///
/// let token = rds(&params, "db.abc123.us-east-1.rds.amazonaws.com", 3306, "jane")?;
/// assert_eq!(
///     token.as_str(),
///     "db.abc123.us-east-1.rds.amazonaws.com:3306/?Action=connect&DBUser=jane&X-Amz-Algorithm=AWS4-HMAC\
///      -SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Frds-db%2Faws4_request&X-Amz-Date=2\
///      0150830T123600Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=dbb217450e99ebecd1249\
///      8d732f18803c32ea4745a58c0ab7ec17b96b5aec46a",
/// );
/// assert_eq!(token.expires_at(), time + Duration::from_secs(900));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if the host, the port, the user or the region is invalid;
/// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if the credentials have expired.
pub fn rds(params: &TokenParams<'_>, host: &str, port: u16, user: &str) -> Result<Token, Error> {
    let name = host_name("host", host)?;
    if port == 0 {
        return Err(Error::config(
            "the database's port is 0; give its number, such as 5432",
        ));
    }
    let query = [("Action", "connect"), ("DBUser", user_name(user)?)];
    let connect = request(Method::GET, &format!("{name}:{port}"), &query);
    let url = params.presign("rds-db", connect, None, MINUTES_15)?;
    params.token(url, MINUTES_15)
}

/// Returns the password of a role of Amazon Aurora DSQL other than `admin`, valid for 15 minutes.
///
/// See the Amazon Aurora DSQL User Guide, "Generating an authentication token".
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_sigv4::{credentials::Credentials, sigv4::{Identity, token::{TokenParams, dsql}}};
///
/// let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let identity = Identity::new(keys)?;
/// let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// let params = TokenParams::new("us-east-1", &identity, time);
///
/// let token = dsql(&params, "abc123.dsql.us-east-1.on.aws")?;
/// assert_eq!(
///     token.as_str(),
///     "abc123.dsql.us-east-1.on.aws/?Action=DbConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential\
///      =AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fdsql%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expi\
///      res=900&X-Amz-SignedHeaders=host&X-Amz-Signature=01efb1d727f52e0adf6868d2896dd28336b0aa3b48a5025\
///      c9f119e8d7f62bfa7",
/// );
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if the host or the region is invalid;
/// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if the credentials have expired.
pub fn dsql(params: &TokenParams<'_>, host: &str) -> Result<Token, Error> {
    dsql_action(params, host, "DbConnect")
}

/// Returns the password of the role `admin` of Amazon Aurora DSQL, valid for 15 minutes.
///
/// The credentials need the permission `dsql:DbConnectAdmin`. Otherwise it is like [`dsql`].
///
/// # Errors
///
/// Those of [`dsql`].
pub fn dsql_admin(params: &TokenParams<'_>, host: &str) -> Result<Token, Error> {
    dsql_action(params, host, "DbConnectAdmin")
}

fn dsql_action(params: &TokenParams<'_>, host: &str, action: &str) -> Result<Token, Error> {
    let connect = request(
        Method::GET,
        &host_name("host", host)?,
        &[("Action", action)],
    );
    let url = params.presign("dsql", connect, None, MINUTES_15)?;
    params.token(url, MINUTES_15)
}
