//! Rewrite of a request's head for its origin.

use http::{Method, Uri, Version, header, request::Parts};

use super::{ClientAddr, ResolvedOrigin, VerifiedService, WireForm, forwarded, headers};
use crate::{
    error::Error,
    sigv4::{cookies::join_cookies, request_target, signed_headers::host_header},
};

/// Rewrites a request's head for its origin.
///
/// The client's own signature stays unless `signs`.
pub(crate) fn rewrite(
    parts: &mut Parts,
    resolved: &ResolvedOrigin,
    signs: bool,
) -> Result<(), Error> {
    let origin = &resolved.origin;
    if let Some(verified) = parts.extensions.get::<VerifiedService>() {
        verified.check(origin.options().settings.service())?;
    }
    let uri = uri(parts, resolved, signs)?;
    let host = parts.headers.remove(header::HOST);
    let is_websocket_upgrade = headers::is_websocket_upgrade(parts);
    let forwarded = origin.options().forwarded;
    let authorization = (signs && origin.options().forwards_authorization(&parts.headers))
        .then(|| parts.headers.remove(header::AUTHORIZATION))
        .flatten();
    headers::remove_for_origin(&mut parts.headers, signs, forwarded);
    if let Some(value) = authorization {
        parts.headers.insert(header::AUTHORIZATION, value);
    }
    join_cookies(&mut parts.headers);
    parts
        .headers
        .try_reserve(MAX_ADDED_HEADERS)
        .map_err(|_| Error::request("the request has more headers than can be sent; send fewer"))?;
    if is_websocket_upgrade {
        headers::insert_websocket_upgrade(&mut parts.headers);
    }
    if let (Some(selected), Some(client)) = (forwarded, parts.extensions.get::<ClientAddr>()) {
        let client_host = host_header(&parts.uri).or(host);
        forwarded::append(&mut parts.headers, selected, client, client_host);
    }
    parts
        .headers
        .insert(header::HOST, origin.host_value().clone());
    parts.uri = uri;
    parts.version = Version::HTTP_11; // each connection has its own version
    Ok(())
}

/// Maximum number of headers that rewriting and signing add, reserved at once.
const MAX_ADDED_HEADERS: usize = 13;

impl ResolvedOrigin {
    /// Returns the URI that a request is signed and sent with, without the parameters of the client's own signature.
    ///
    /// Use it to authorize a request by the path and query that the origin reads.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sigv4::{
    ///     Origin, SigningSettings,
    ///     origin::{OriginRule, OriginRules, ResolveOrigin},
    /// };
    ///
    /// let origin = Origin::new("https://s3.us-east-1.amazonaws.com", SigningSettings::new("s3", "us-east-1")?)?;
    /// let rules = OriginRules::new().add_rule(OriginRule::path("/files")?.strip_prefix(), origin);
    /// let (head, ()) = Request::get("/files/bucket%2Fa+b?prefix=x+y").body(()).unwrap().into_parts();
    /// let resolved = rules.resolve(&head)?;
    /// let uri = resolved.uri(&head)?;
    /// assert_eq!(uri.path_and_query().unwrap(), "/bucket/a%2Bb?prefix=x%20y");
    /// assert_eq!(resolved.host(), "s3.us-east-1.amazonaws.com");
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) if the request cannot be sent, as for a `%` without two hex
    /// digits.
    pub fn uri(&self, head: &Parts) -> Result<Uri, Error> {
        uri(head, self, self.origin.options().signs(head))
    }
}

fn uri(parts: &Parts, resolved: &ResolvedOrigin, signs: bool) -> Result<Uri, Error> {
    let origin = &resolved.origin;
    let options = origin.options();
    let client_path = parts.uri.path();
    if parts.method == Method::CONNECT || !client_path.starts_with('/') {
        return Err(Error::request(format!(
            "{} {client_path:?} has no path to sign; send a request with a path",
            parts.method,
        )));
    }
    let path = options.wire_path(client_path)?;
    let query = match parts.uri.query() {
        Some(query) => options.wire.query(query, signs)?,
        None => "".into(),
    };
    let mark = if query.is_empty() { "" } else { "?" };
    let rest = strip_segments(&path, resolved.strip);
    let added = resolved.prefix.as_deref().unwrap_or_default();
    let is_root = origin.prefix().is_empty() && added.is_empty() && rest.is_empty();
    let root = if is_root { "/" } else { "" };
    let mut target = [origin.prefix(), added, rest, root, mark, &query].concat();
    if options.wire == WireForm::Canonical {
        // Prefixes may have been configured before this form was chosen.
        let end = target.len() - mark.len() - query.len();
        let canonical = options.wire_path(&target[..end])?;
        target = [&canonical, mark, &query].concat();
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(origin.scheme().clone());
    uri.authority = Some(origin.authority().clone());
    uri.path_and_query = Some(request_target::path_and_query(target)?);
    Uri::from_parts(uri).map_err(request_target::invalid)
}

/// Removes the first `count` segments of a path. The rest is empty or starts with a slash.
fn strip_segments(path: &str, count: usize) -> &str {
    match path.match_indices('/').nth(count) {
        Some((at, _)) => &path[at..],
        None => "",
    }
}
