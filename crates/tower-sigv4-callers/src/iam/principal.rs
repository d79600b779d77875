use std::{fmt, sync::Arc, time::SystemTime};

/// Proof that a request comes from an IAM principal: STS has accepted its signature.
///
/// Only an [`IamVerifier`](super::IamVerifier) creates it. [`IamLayer`](super::IamLayer) puts it into the extensions of
/// the request. Clones share one allocation.
///
/// ```
/// use http::Request;
/// use tower_sigv4_callers::iam::VerifiedPrincipal;
///
/// fn greeting<B>(request: &Request<B>) -> Option<String> {
///     let principal = request.extensions().get::<VerifiedPrincipal>()?;
///     Some(format!("hello {} of {}", principal.arn(), principal.account()))
/// }
/// assert_eq!(greeting(&Request::new(())), None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedPrincipal {
    inner: Arc<Inner>,
}

#[derive(PartialEq, Eq)]
struct Inner {
    account: String,
    arn: String,
    user_id: String,
    role_arn: Option<String>,
    expires_at: SystemTime,
}

impl VerifiedPrincipal {
    /// Creates the proof if the response of STS is consistent.
    pub(super) fn new(
        account: &str,
        arn: &str,
        user_id: &str,
        partition: &str,
        expires_at: SystemTime,
    ) -> Option<Self> {
        let role_arn = check_arn(account, arn, partition)?;
        let is_user_id = !user_id.is_empty() && user_id.bytes().all(|byte| byte.is_ascii_graphic());
        is_user_id.then(|| Self {
            inner: Arc::new(Inner {
                account: account.to_owned(),
                arn: arn.to_owned(),
                user_id: user_id.to_owned(),
                role_arn,
                expires_at,
            }),
        })
    }

    /// Returns the ID of the account, 12 digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.inner.account
    }

    /// Returns the ARN, such as `arn:aws:iam::123456789012:user/team/alice` or
    /// `arn:aws:sts::123456789012:assumed-role/orders/session`.
    ///
    /// The caller that assumes a role chooses the name of its session, unless the role's trust policy says otherwise.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.inner.arn
    }

    /// Returns the unique ID, such as `AIDAEXAMPLE` or `AROAEXAMPLE:session`. A user or role that is deleted and
    /// created again has another one.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.inner.user_id
    }

    /// Returns the ARN of the role of a session, such as `arn:aws:iam::123456789012:role/orders`.
    ///
    /// It has no path, since STS names none. Names of roles are unique in an account.
    #[must_use]
    pub fn role_arn(&self) -> Option<&str> {
        self.inner.role_arn.as_deref()
    }

    /// Returns the end of the URL's validity.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.inner.expires_at
    }
}

/// Checks an ARN of IAM or STS, and returns that of the role of a session.
///
/// Forms: IAM User Guide, "IAM identifiers".
fn check_arn(account: &str, arn: &str, partition: &str) -> Option<Option<String>> {
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    let (prefix, arn_partition, service) = (next()?, next()?, next()?);
    let (region, arn_account, resource) = (next()?, next()?, next()?);
    if !is_account
        || (prefix, arn_partition, region, arn_account) != ("arn", partition, "", account)
    {
        return None;
    }
    let names: Vec<_> = resource.split('/').collect();
    match (service, names.as_slice()) {
        ("iam", ["root"]) => Some(None),
        ("iam", ["user", path @ ..]) if !path.is_empty() && path.iter().all(is_name) => Some(None),
        ("sts", ["federated-user", name]) if is_name(name) => Some(None),
        ("sts", ["assumed-role", role, session]) if is_name(role) && is_name(session) => {
            Some(Some(format!("arn:{partition}:iam::{account}:role/{role}")))
        }
        _ => None,
    }
}

/// Returns `true` for a part of a path of IAM, which allows more characters than a name.
fn is_name(name: &&str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':' && byte != b'*')
}

impl fmt::Debug for VerifiedPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedPrincipal")
            .field("arn", &self.arn())
            .field("user_id", &self.user_id())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const ACCOUNT: &str = "123456789012";

    fn principal(arn: &str) -> Option<VerifiedPrincipal> {
        VerifiedPrincipal::new(ACCOUNT, arn, "AIDAEXAMPLE", "aws", UNIX_EPOCH)
    }

    #[test]
    fn principals_of_sts_are_accepted() {
        for (arn, role_arn) in [
            ("arn:aws:iam::123456789012:root", None),
            ("arn:aws:iam::123456789012:user/alice", None),
            (
                "arn:aws:iam::123456789012:user/team/a/alice@example.com",
                None,
            ),
            ("arn:aws:sts::123456789012:federated-user/bob", None),
            (
                "arn:aws:sts::123456789012:assumed-role/orders/i-0123",
                Some("arn:aws:iam::123456789012:role/orders"),
            ),
        ] {
            let accepted = principal(arn).expect(arn);
            assert_eq!((accepted.arn(), accepted.role_arn()), (arn, role_arn));
            assert_eq!(accepted.account(), ACCOUNT);
        }
    }

    #[test]
    fn other_arns_are_rejected() {
        for arn in [
            "",
            "arn",
            "arn:aws:iam::123456789012",
            "arn:aws:iam::123456789012:",
            "arn:aws:iam::123456789012:user",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:user/a/",
            "arn:aws:iam::123456789012:user/a b",
            "arn:aws:iam::123456789012:user/*",
            "arn:aws:iam::123456789012:role/orders",
            "arn:aws:iam::123456789012:group/admins",
            "arn:aws:iam:us-east-1:123456789012:user/alice",
            "arn:aws:iam::210987654321:user/alice",
            "arn:aws-cn:iam::123456789012:user/alice",
            "ARN:aws:iam::123456789012:user/alice",
            "arn:aws:s3::123456789012:user/alice",
            "arn:aws:sts::123456789012:user/alice",
            "arn:aws:sts::123456789012:assumed-role/orders",
            "arn:aws:sts::123456789012:assumed-role/orders/",
            "arn:aws:sts::123456789012:assumed-role/orders/a/b",
            "arn:aws:sts::123456789012:assumed-role//session",
            "arn:aws:iam::123456789012:root/",
            "arn:aws:iam::123456789012:root:x",
        ] {
            assert_eq!(principal(arn), None, "{arn}");
        }
        let arn = "arn:aws:iam::123456789012:root";
        for (account, user_id) in [
            ("123456789012", ""),
            ("123456789012", "a\n"),
            ("1234", "AIDA"),
        ] {
            let made = VerifiedPrincipal::new(account, arn, user_id, "aws", UNIX_EPOCH);
            assert_eq!(made, None, "{account} {user_id}");
        }
        let short = VerifiedPrincipal::new("12", "arn:aws:iam::12:root", "AIDA", "aws", UNIX_EPOCH);
        assert_eq!(short, None);
    }
}
