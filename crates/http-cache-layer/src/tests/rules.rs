//! One row for each rule of RFC 9111 and RFC 5861, by section.

use super::*;

/// Name; status and headers of the origin; headers of the first request, a GET; seconds until the second request, its
/// method and headers, and its status.
type Row = (
    &'static str,
    u16,
    &'static str,
    &'static str,
    u64,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("3 max-age", 200, A, "", 0, "GET", "", "hit"),
    ("3 not found", 404, A, "", 0, "GET", "", "hit"),
    ("3 server error", 500, A, "", 0, "GET", "", "fwd=uri-miss"),
    ("3 no directives", 200, "", "", 0, "GET", "", "fwd=uri-miss"),
    ("3.3 partial", 206, A, "", 0, "GET", "", "fwd=uri-miss"),
    ("3.5 authorization", 200, A, "authorization: x", 0, "GET", "", "fwd=uri-miss; stored"),
    ("3.5 public", 200, "cache-control: public, max-age=60", "authorization: x", 0, "GET", "", "hit"),
    ("3.5 s-maxage", 200, "cache-control: s-maxage=60", "authorization: x", 0, "GET", "", "hit"),
    ("4 HEAD from a stored GET", 200, A, "", 0, "HEAD", "", "hit"),
    ("4.1 same", 200, "cache-control: max-age=60|vary: a", "a: 1", 0, "GET", "a: 1", "hit"),
    ("4.1 other", 200, "cache-control: max-age=60|vary: a", "a: 1", 0, "GET", "a: 2", "fwd=vary-miss; stored"),
    ("4.1 repeated", 200, "cache-control: max-age=60|vary: a", "a: 1", 0, "GET", "a: 1|a: 2", "fwd=vary-miss; stored"),
    ("4.1 absent", 200, "cache-control: max-age=60|vary: a", "a: 1", 0, "GET", "", "fwd=vary-miss; stored"),
    ("4.1 star", 200, "cache-control: max-age=60|vary: *", "", 0, "GET", "", "fwd=uri-miss"),
    ("4.1 the address", 200, "cache-control: max-age=60|vary: X-Forwarded-For", "", 0, "GET", "", "fwd=uri-miss"),
    ("4.1 forwarded", 200, A, "x-forwarded-host: a", 0, "GET", "", "fwd=vary-miss; stored"),
    ("4.1 scheme", 200, A, "", 0, "GET", "x-forwarded-proto: http", "fwd=vary-miss; stored"),
    ("4.1 RFC 7239", 200, A, "forwarded: host=a", 0, "GET", "", "fwd=vary-miss; stored"),
    ("4.2 fresh", 200, A, "", 59, "GET", "", "hit"),
    ("4.2 stale", 200, A, "", 61, "GET", "", "fwd=stale; stored"),
    ("4.2.1 s-maxage first", 200, "cache-control: max-age=60, s-maxage=5", "", 9, "GET", "", "fwd=stale; stored"),
    ("4.2.1 twice", 200, "cache-control: max-age=60|expires: 0", "", 9, "GET", "", "hit"),
    ("4.2.1 expires 0", 200, "expires: 0", "", 0, "GET", "", "fwd=uri-miss"),
    ("4.2.3 age", 200, "cache-control: max-age=60|age: 55", "", 9, "GET", "", "fwd=stale; stored"),
    ("4.2.3 huge age", 200, "etag: \"own\"|age: 18446744073709551615", "", 9, "GET", "", "fwd=stale; fwd-status=304"),
    ("4.3.1 tag", 200, TAG, "", 61, "GET", "", "fwd=stale; fwd-status=304"),
    ("4.3.2 client has it", 200, TAG, "", 0, "GET", "if-none-match: W/\"own\"", "hit"),
    ("4.3.2 if-match", 200, TAG, "", 0, "GET", "if-match: \"own\"", "fwd=bypass"),
    ("4.4 post", 200, A, "", 0, "POST", "", "fwd=method"),
    ("5.2 capitals", 200, "cache-control: Private, Max-Age=60", "", 0, "GET", "", "fwd=uri-miss"),
    ("5.2.1.1 max-age", 200, A, "", 9, "GET", "cache-control: max-age=5", "fwd=request; stored"),
    ("5.2.1.2 max-stale", 200, A, "", 61, "GET", "cache-control: max-stale", "fwd=stale; stored"),
    ("5.2.1.3 min-fresh", 200, A, "", 9, "GET", "cache-control: min-fresh=55", "fwd=request; stored"),
    ("5.2.1.4 no-cache", 200, A, "", 0, "GET", "cache-control: no-cache", "fwd=request; stored"),
    ("5.2.1.5 no-store", 200, A, "cache-control: no-store", 0, "GET", "", "fwd=uri-miss; stored"),
    ("5.2.1.7 cached", 200, A, "", 0, "GET", "cache-control: only-if-cached", "hit"),
    ("5.2.1.7 not", 200, "", "", 0, "GET", "cache-control: only-if-cached", "fwd=uri-miss"),
    ("5.2.2.4 no-cache", 200, "cache-control: no-cache|etag: \"own\"", "", 0, "GET", "", "fwd=stale; fwd-status=304"),
    ("5.2.2.5 no-store", 200, "cache-control: no-store, max-age=60", "", 0, "GET", "", "fwd=uri-miss"),
    ("5.2.2.7 private", 200, "cache-control: private, max-age=60", "", 0, "GET", "", "fwd=uri-miss"),
    ("5.4 pragma", 200, A, "", 0, "GET", "pragma: no-cache", "fwd=request; stored"),
    ("7.3 cookie", 200, "cache-control: public, max-age=60|set-cookie: a=b", "", 0, "GET", "", "fwd=uri-miss"),
    ("5861 3 in time", 200, SWR, "", 65, "GET", "", "hit; ttl=-5; detail=stale-while-revalidate"),
    ("5861 3 too late", 200, SWR, "", 91, "GET", "", "fwd=stale; stored"),
    ("5861 3 HEAD", 200, SWR, "", 65, "HEAD", "", "fwd=stale"),
    ("5861 3 pragma", 200, SWR, "", 65, "GET", "pragma: no-cache", "fwd=stale; stored"),
    ("5861 3 only-if-cached", 200, SWR, "", 65, "GET", "cache-control: only-if-cached", "hit; ttl=-5; detail=stale-while-revalidate"),
    ("range", 200, A, "", 0, "GET", "range: bytes=0-1", "fwd=bypass"),
    ("stale head", 200, A, "", 61, "HEAD", "", "fwd=stale"),
    ("options", 200, A, "", 0, "OPTIONS", "", "fwd=method"),
];

#[tokio::test(start_paused = true)]
async fn responses_are_stored_as_rfc_9111_requires() {
    for &(name, code, lines, first, wait, method, second, expected) in ROWS {
        let (stack, _) = cached(code, lines);
        send(&stack, request("GET", "/a?b", first)).await;
        time::advance(Duration::from_secs(wait)).await;
        let (head, _) = send(&stack, request(method, "/a?b", second)).await;
        assert_eq!(status(&head), expected, "{name}");
    }
}
