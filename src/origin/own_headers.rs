use std::sync::Arc;

use http::HeaderName;

/// Extension of a request: headers that your program has set in place of the client's.
///
/// The limit of [`OriginRule::with_amz_headers`](super::OriginRule::with_amz_headers) is for clients, and does not
/// apply to these. Remove the client's own headers of the names first.
///
/// ```
/// use http::{HeaderName, Request};
/// use tower_sigv4::{
///     Origin,
///     origin::{OriginRule, OriginRules, OwnHeaders, ResolveOrigin},
/// };
///
/// let bucket = Origin::infer("https://bucket.s3.eu-west-1.amazonaws.com")?;
/// let no_amz_headers: [&str; 0] = [];
/// let rules = OriginRules::new()
///     .add_rule(OriginRule::any().with_amz_headers(no_amz_headers)?, bucket);
///
/// let name = HeaderName::from_static("x-amz-acl");
/// let request = Request::put("/file").header(&name, "private").body(()).unwrap();
/// let (mut head, ()) = request.into_parts();
/// assert!(rules.resolve(&head).is_err());
/// head.extensions.insert(OwnHeaders::new([name]));
/// assert!(rules.resolve(&head).is_ok());
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OwnHeaders(Arc<[HeaderName]>);

impl OwnHeaders {
    /// Creates the list of names.
    pub fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self(names.into_iter().collect())
    }

    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        self.0.contains(name)
    }
}
