//! Changes of signed requests.

use bytes::Bytes;
use http::{HeaderValue, Request, Uri};

pub(super) fn edit(request: &mut Request<Bytes>, from: &str, to: &str) {
    let uri = request.uri().to_string();
    assert!(uri.contains(from), "{uri} has no {from}");
    *request.uri_mut() = Uri::try_from(uri.replacen(from, to, 1)).expect("a URI");
}

pub(super) fn replace(request: &mut Request<Bytes>, from: &str, to: &str) {
    let value = request.headers()["authorization"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    assert!(value.contains(from), "{value} has no {from}");
    set(request, "authorization", &value.replacen(from, to, 1));
}

pub(super) fn set(request: &mut Request<Bytes>, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("a value");
    request.headers_mut().insert(name, value);
}

pub(super) fn add(request: &mut Request<Bytes>, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("a value");
    request.headers_mut().append(name, value);
}

pub(super) fn remove(request: &mut Request<Bytes>, name: &str) {
    request.headers_mut().remove(name).expect("it was there");
}

pub(super) fn body(request: &mut Request<Bytes>, body: &'static str) {
    *request.body_mut() = Bytes::from_static(body.as_bytes());
}
