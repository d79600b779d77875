//! The request that the benchmarks sign and verify.

/// Signing name.
pub const SERVICE: &str = "execute-api";
/// Region of the credential scope.
pub const REGION: &str = "us-east-1";
/// Access key ID.
pub const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// Secret access key; scratchstack requires 40 bytes.
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// Length of a session token of STS.
pub const TOKEN_LEN: usize = 560;
/// The time of signing, in seconds since 1970.
pub const TIME: u64 = 1_714_564_800;

/// Scheme and host.
pub const ORIGIN: &str = "https://abc123.execute-api.us-east-1.amazonaws.com";
/// Headers of a browser with Amplify.
pub const HEADERS: [(&str, &str); 6] = [
    ("host", "abc123.execute-api.us-east-1.amazonaws.com"),
    ("accept", "application/json, text/plain, */*"),
    ("accept-encoding", "gzip, deflate, br"),
    ("content-type", "application/json"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    ("x-amz-user-agent", "aws-amplify/6.0.27 api/1 framework/2"),
];
/// The `HEADERS` that `AllowList` does not sign.
pub const UNSIGNED: [&str; 3] = ["accept", "accept-encoding", "user-agent"];

/// A target with four parameters.
pub const GET: &str = "/prod/orders?status=open&limit=50&since=2024-05-01T00%3A00%3A00Z&page=3";
/// A target for a request with a body.
pub const POST: &str = "/prod/orders";

/// Returns a session token of this length, or `None` for 0.
#[must_use]
pub fn token(len: usize) -> Option<String> {
    (len > 0).then(|| "IQoJb3Jp".repeat(len / 8))
}

/// Returns a body of this length.
#[must_use]
pub fn body(len: usize) -> Vec<u8> {
    b"{\"id\":7}".repeat(len / 8)
}
