//! The request as the origin is to receive it, but for body and signature.

use http::{Method, Uri, Version, header, request::Parts};

use super::{ClientAddr, ResolvedOrigin, WireForm, forwarded, headers};
use crate::{
    error::Error,
    sigv4::{cookies::join_cookies, request_target, signed_headers::host_header},
};

/// Rewrites a request's head for its destination.
///
/// `signs` tells whether it is signed afterwards; the client's own signature is kept if not.
pub(crate) fn rewrite(
    parts: &mut Parts,
    destination: &ResolvedOrigin,
    signs: bool,
) -> Result<(), Error> {
    let origin = &destination.origin;
    let uri = uri(parts, destination, signs)?;
    let host = parts.headers.remove(header::HOST);
    let opens_websocket = headers::opens_websocket(parts);
    let selected = origin.options().forwarded;
    headers::remove_for_origin(&mut parts.headers, signs, selected);
    join_cookies(&mut parts.headers);
    parts
        .headers
        .try_reserve(ADDED)
        .map_err(|_| Error::request("the request has more headers than can be sent; send fewer"))?;
    if opens_websocket {
        headers::open_websocket(&mut parts.headers);
    }
    if let Some(selected) = selected {
        let reached = host_header(&parts.uri).or(host);
        let peer = parts.extensions.get::<ClientAddr>();
        forwarded::append(&mut parts.headers, selected, peer, reached);
    }
    parts
        .headers
        .insert(header::HOST, origin.host_value().clone());
    parts.uri = uri;
    parts.version = Version::HTTP_11; // the client's own; the next connection has one of its own
    Ok(())
}

/// Headers that rewriting and signing add at most, reserved at once.
const ADDED: usize = 13;

fn uri(parts: &Parts, destination: &ResolvedOrigin, signs: bool) -> Result<Uri, Error> {
    let origin = &destination.origin;
    let path = parts.uri.path();
    if parts.method == Method::CONNECT || !path.starts_with('/') {
        return Err(Error::request(format!(
            "{} {path:?} asks for no resource, so there is nothing to sign; send a request with a path",
            parts.method,
        )));
    }
    let path = origin.options().wire_path(path)?;
    let query = parts
        .uri
        .query()
        .map(|query| origin.options().wire.query(query, signs));
    let query = query.transpose()?.filter(|query| !query.is_empty());
    let rest = strip_segments(&path, destination.strip);
    let added = destination.prefix.as_deref().unwrap_or_default();

    let nothing = origin.prefix().is_empty() && added.is_empty() && rest.is_empty();
    let root = if nothing { "/" } else { "" };
    let (mark, query) = query.as_deref().map_or(("", ""), |query| ("?", query));
    let mut target = [origin.prefix(), added, rest, root, mark, query].concat();
    if origin.options().wire == WireForm::Canonical {
        // Prefixes stand as they were configured, maybe before this form was chosen.
        let end = target.len() - mark.len() - query.len();
        let path = origin.options().wire_path(&target[..end])?;
        target = [&path, mark, query].concat();
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(origin.scheme().clone());
    uri.authority = Some(origin.authority().clone());
    uri.path_and_query = Some(request_target::path_and_query(target)?);
    Uri::from_parts(uri).map_err(request_target::invalid)
}

/// What is left of a path without its first `count` segments: empty, or starting with a slash.
fn strip_segments(path: &str, count: usize) -> &str {
    match path.match_indices('/').nth(count) {
        Some((at, _)) => &path[at..],
        None => "",
    }
}
