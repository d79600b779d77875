//! Responses made from stored ones.

use http::{HeaderMap, Method, Response, StatusCode, header, request, response::Parts};
use http_body::Body;

use crate::{
    conditional::{BODY_HEADERS, client_has},
    range::{self, Selection},
    stored_body::{Replay, StoredBody},
};

pub(crate) fn new_head(status: StatusCode, headers: HeaderMap) -> Parts {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = status;
    head.headers = headers;
    head
}

/// Returns the response to a request: a 304 if the client holds it (section 4.3.2), the part that the client wants, and
/// no body for HEAD.
pub(crate) fn respond(
    mut head: Parts,
    body: StoredBody,
    request: &request::Parts,
) -> Response<Replay> {
    if head.status == StatusCode::OK && client_has(&head.headers, &request.headers) {
        return not_modified(head).map(|()| Replay::default());
    }
    let length = body.len() as u64;
    if request.method == Method::HEAD {
        // RFC 9110, section 9.3.2: the length is that of the body for GET; a 204 has none (section 8.6).
        if head.status != StatusCode::NO_CONTENT {
            head.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        return Response::from_parts(head, Replay::default());
    }
    let selection = if head.status == StatusCode::OK {
        range::select(&head.headers, &request.headers, length)
    } else {
        Selection::Whole
    };
    let (status, content_range, replay) = match selection {
        Selection::Whole => return Response::from_parts(head, body.into()),
        Selection::Part(part) => {
            let content_range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            let replay = Replay::part(body, part);
            (StatusCode::PARTIAL_CONTENT, content_range, replay)
        }
        Selection::Unsatisfiable => {
            let content_range = format!("bytes */{length}");
            let replay = Replay::default();
            (StatusCode::RANGE_NOT_SATISFIABLE, content_range, replay)
        }
    };
    head.status = status;
    let sent = replay.size_hint().lower();
    head.headers.insert(header::CONTENT_LENGTH, sent.into());
    if let Ok(value) = content_range.try_into() {
        head.headers.insert(header::CONTENT_RANGE, value);
    }
    Response::from_parts(head, replay)
}

/// Returns the 304 for a response that the client holds.
pub(crate) fn not_modified(mut head: Parts) -> Response<()> {
    head.status = StatusCode::NOT_MODIFIED;
    for name in BODY_HEADERS {
        head.headers.remove(name);
    }
    Response::from_parts(head, ())
}
