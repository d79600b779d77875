//! User and password that are loaded, and renewed before they expire.

use std::{
    error::Error,
    fmt::{self, Debug, Formatter},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{Stream, stream};
use redis::{
    ErrorKind, RedisError, RedisResult,
    auth::{BasicAuth, StreamingCredentialsProvider},
};
use tokio::time::{Instant, sleep, sleep_until};
use zeroize::Zeroizing;

/// Detail of the error of a connection without a login.
pub(super) const NOT_LOADED: &str = "its login cannot be loaded; the log has the reason";

/// Pause after a failed renewal.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// User and password of a Redis server, and the time for which the server accepts them.
///
/// `Debug` prints no password, and the memory is cleared on drop.
#[derive(Clone)]
pub struct RedisLogin {
    user: String,
    password: Zeroizing<String>,
    valid_for: Duration,
}

impl RedisLogin {
    /// Creates a login that is valid for a time from now on.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>, valid_for: Duration) -> Self {
        Self {
            user: user.into(),
            password: Zeroizing::new(password.into()),
            valid_for,
        }
    }
}

impl Debug for RedisLogin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLogin")
            .field("user", &self.user)
            .field("password", &format_args!("[redacted]"))
            .field("valid_for", &self.valid_for)
            .finish()
    }
}

type Loading =
    Pin<Box<dyn Future<Output = Result<RedisLogin, Box<dyn Error + Send + Sync>>> + Send>>;

/// Loads logins.
#[derive(Clone)]
pub(super) struct LoginSource(Arc<dyn Fn() -> Loading + Send + Sync>);

impl LoginSource {
    pub(super) fn new<F, R>(load: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<RedisLogin, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(load())))
    }
}

/// State of the logins of one connection.
enum Renewal {
    First,
    At(Instant),
    /// The first login could not be loaded.
    Ended,
}

impl StreamingCredentialsProvider for LoginSource {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send + 'static>> {
        Box::pin(stream::unfold(
            (self.clone(), Renewal::First),
            |(source, renewal)| async move {
                let (login, next) = source.next(renewal).await?;
                Some((login, (source, next)))
            },
        ))
    }
}

impl LoginSource {
    async fn next(&self, renewal: Renewal) -> Option<(RedisResult<BasicAuth>, Renewal)> {
        match renewal {
            Renewal::First => {}
            Renewal::At(time) => sleep_until(time).await,
            Renewal::Ended => return None,
        }
        loop {
            match (self.0)().await {
                Ok(login) => {
                    let renew_at = Instant::now() + login.valid_for * 2 / 3;
                    let auth = BasicAuth::new(login.user, login.password.to_string());
                    return Some((Ok(auth), Renewal::At(renew_at)));
                }
                Err(error) => {
                    tracing::warn!("the login of redis cannot be loaded: {error}");
                    if matches!(renewal, Renewal::First) {
                        let kind = ErrorKind::AuthenticationFailed;
                        let failure = RedisError::from((kind, "no login", NOT_LOADED.to_owned()));
                        return Some((Err(failure), Renewal::Ended));
                    }
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}

impl Debug for LoginSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("LoginSource")
    }
}
