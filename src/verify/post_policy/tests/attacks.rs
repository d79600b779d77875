//! Changes of a form, each with the code of its rejection.

use super::*;

pub(super) const DENIED: &str = "AccessDenied";
pub(super) const MALFORMED: &str = "MalformedPOSTRequest";
pub(super) const SCOPE: &str = "AuthorizationQueryParametersError";
pub(super) const MISMATCH: &str = "SignatureDoesNotMatch";
pub(super) const TARGET: &str = "InvalidURI";
/// The fields are valid, and the body fails at its end.
pub(super) const FAILED: &str = "PayloadMismatch";

pub(super) const TOO_LARGE: &str = "BodyTooLarge";
pub(super) const TOO_SMALL: &str = "BodyTooSmall";

pub(super) type Attack = (&'static str, &'static str, fn(&mut Form));

/// Replaces a part of the body.
pub(super) fn replace(form: &mut Form, from: &'static str, to: &'static str) {
    form.body = Box::new(move |body| {
        assert!(body.contains(from), "{from:?} in {body}");
        body.replacen(from, to, 1)
    });
}

pub(super) const SIGNATURE: &[Attack] = &[
    ("no signature", MALFORMED, |f| {
        replace(f, "x-amz-signature", "x-ignore-it")
    }),
    ("no policy", MALFORMED, |f| {
        replace(f, "\"policy\"", "\"x-ignore-policy\"")
    }),
    ("no credential", MALFORMED, |f| f.remove("x-amz-credential")),
    ("no date", MALFORMED, |f| f.remove("x-amz-date")),
    ("no algorithm", MALFORMED, |f| f.remove("x-amz-algorithm")),
    ("no key", MALFORMED, |f| f.remove("key")),
    ("another algorithm", "InvalidArgument", |f| {
        f.set("x-amz-algorithm", "AWS4-HMAC-SHA1")
    }),
    ("version 2", "InvalidArgument", |f| {
        f.add("AWSAccessKeyId", ID)
    }),
    ("an empty signature", MISMATCH, |f| {
        f.signature = Some(String::new())
    }),
    ("half a signature", MISMATCH, |f| {
        f.signature = Some("8afdbf40".to_owned())
    }),
    ("a signature in upper case", MISMATCH, |f| {
        let policy = json!({"expiration": f.expiration, "conditions": f.conditions});
        let text = base64::encode(policy.to_string());
        f.signature = Some(signature(&text, SECRET).to_uppercase());
        f.policy = Some(text);
    }),
    ("another secret", MISMATCH, |f| {
        let policy = json!({"expiration": f.expiration, "conditions": f.conditions});
        let text = base64::encode(policy.to_string());
        f.signature = Some(signature(&text, "guess"));
        f.policy = Some(text);
    }),
    ("a changed policy", MISMATCH, |f| {
        f.signature = Some(signature("e30=", SECRET));
    }),
    ("an unknown key", "InvalidAccessKeyId", |f| {
        f.scope("AKIDOTHER/20151229/us-east-1/s3/aws4_request");
    }),
    ("another region", SCOPE, |f| {
        f.scope(&format!("{ID}/20151229/eu-west-1/s3/aws4_request"));
    }),
    ("another service", SCOPE, |f| {
        f.scope(&format!("{ID}/20151229/us-east-1/sqs/aws4_request"));
    }),
    ("another terminator", SCOPE, |f| {
        f.scope(&format!("{ID}/20151229/us-east-1/s3/aws5_request"));
    }),
    ("another day in the scope", SCOPE, |f| {
        f.scope(&format!("{ID}/20151228/us-east-1/s3/aws4_request"));
    }),
    ("a short credential", MALFORMED, |f| f.scope(ID)),
    ("no key ID", MALFORMED, |f| {
        f.scope("/20151229/us-east-1/s3/aws4_request")
    }),
    ("a key ID with a line break", MALFORMED, |f| {
        f.scope("AKID\r\nOTHER/20151229/us-east-1/s3/aws4_request");
    }),
    ("a malformed date", SCOPE, |f| f.date("yesterday")),
    ("a date in the future", DENIED, |f| {
        f.date("20151229T020000Z")
    }),
    ("a token that the key does not have", "InvalidToken", |f| {
        f.add("x-amz-security-token", "token");
        f.conditions.push(json!({"x-amz-security-token": "token"}));
    }),
    ("a long token", "InvalidToken", |f| {
        f.add("x-amz-security-token", &"a".repeat(9000))
    }),
    ("no token of a temporary key", "InvalidToken", |f| {
        f.session_token = Some("token")
    }),
    ("a header too", "InvalidArgument", |f| {
        let value = "AWS4-HMAC-SHA256 Credential=a".to_owned();
        f.headers.push(("authorization", value.clone()));
        f.headers.push(("authorization", value));
    }),
];

pub(super) const POLICY: &[Attack] = &[
    ("an expired policy", DENIED, |f| {
        f.expiration = "2015-12-29T01:00:00Z".to_owned()
    }),
    ("no expiration", MALFORMED, |f| f.expiration = String::new()),
    ("a malformed expiration", MALFORMED, |f| {
        f.expiration = "tomorrow".to_owned()
    }),
    ("no conditions", DENIED, |f| f.conditions.clear()),
    ("no JSON", MALFORMED, |f| {
        f.policy = Some(base64::encode("policy"))
    }),
    ("no base64", MALFORMED, |f| f.policy = Some("{}".to_owned())),
    ("conditions in an object", MALFORMED, |f| {
        let policy = json!({"expiration": f.expiration, "conditions": {"key": "user/photo.png"}});
        f.policy = Some(base64::encode(policy.to_string()));
    }),
    ("an unknown operator", MALFORMED, |f| {
        f.conditions.push(json!(["ends-with", "$key", ".png"]));
    }),
    ("a field without a dollar", MALFORMED, |f| {
        f.conditions.push(json!(["eq", "acl", "private"]));
    }),
    ("two fields in a condition", MALFORMED, |f| {
        f.conditions
            .push(json!({"acl": "private", "key": "user/photo.png"}));
    }),
    ("a number as the value", MALFORMED, |f| {
        f.conditions.push(json!({"acl": 1}))
    }),
    ("a negative size", MALFORMED, |f| {
        f.conditions[4] = json!(["content-length-range", -1, 10]);
    }),
    ("another bucket", DENIED, |f| {
        f.conditions[0] = json!({"bucket": "other"})
    }),
    ("no bucket", DENIED, |f| drop(f.conditions.remove(0))),
    ("another key", DENIED, |f| f.set("key", "admin/photo.png")),
    ("no condition on the key", DENIED, |f| {
        drop(f.conditions.remove(1))
    }),
    ("another value", DENIED, |f| f.set("acl", "public-read")),
    ("a value in another case", DENIED, |f| {
        f.set("acl", "Private")
    }),
    ("a field that is missing", DENIED, |f| f.remove("acl")),
    ("another content type", DENIED, |f| {
        f.set("Content-Type", "text/html")
    }),
    ("another content type in a list", DENIED, |f| {
        f.set("Content-Type", "image/png,text/html");
    }),
    ("a field without a condition", DENIED, |f| {
        f.add("x-amz-meta-a", "b")
    }),
    ("a redirect without a condition", DENIED, |f| {
        f.add("success_action_redirect", "https://example.com");
    }),
    ("a token without a condition", DENIED, |f| {
        f.session_token = Some("token");
        f.add("x-amz-security-token", "token");
    }),
    ("the name of the file leaves the prefix", DENIED, |f| {
        f.set("key", "${filename}");
        f.file = Some(("admin/photo.png", "content"));
    }),
    ("a file that is too large", TOO_LARGE, |f| {
        f.file = Some(("a", "12345678901"))
    }),
    ("a file that is too small", TOO_SMALL, |f| {
        f.file = Some(("a", "1"))
    }),
    ("the strictest of two sizes", TOO_LARGE, |f| {
        f.conditions.push(json!(["content-length-range", 0, 3]));
    }),
];

pub(super) const REQUEST: &[Attack] = &[
    ("another bucket in a field", DENIED, |f| {
        f.add("bucket", "other")
    }),
    ("a bucket that looks like a host", DENIED, |f| {
        f.uri = "https://bucket.s3.us-east-1.b.s3.us-east-1.amazonaws.com/".to_owned();
    }),
    ("a query", TARGET, |f| f.uri.push_str("?delete")),
    ("a key in the path", TARGET, |f| {
        f.uri.push_str("/user/photo.png")
    }),
    ("two slashes", TARGET, |f| f.uri.push_str("//")),
    ("an escaped bucket", TARGET, |f| {
        f.uri = "https://s3.example.com/b%75cket".to_owned()
    }),
    ("a parent", TARGET, |f| {
        f.uri = "https://s3.example.com/..".to_owned()
    }),
    ("no bucket in the request", TARGET, |f| {
        f.uri = "https://s3.example.com/".to_owned()
    }),
    ("the bucket of an unknown domain", TARGET, |f| {
        f.uri = "https://bucket.s3.example.com/".to_owned();
    }),
    ("another bucket's host", DENIED, |f| {
        f.uri = "https://bucket.other.s3.us-east-1.amazonaws.com/".to_owned();
    }),
    ("a bucket in the host and in the path", TARGET, |f| {
        f.uri = "https://bucket.s3.us-east-1.amazonaws.com/bucket".to_owned();
    }),
    ("another host than that of the URI", TARGET, |f| {
        f.headers.push(("host", "other.example.com".to_owned()));
    }),
    ("an x-amz header", DENIED, |f| {
        f.headers.push(("x-amz-acl", "public-read".to_owned()));
    }),
    ("an x-amz header for CGI", DENIED, |f| {
        f.headers
            .push(("x_amz_copy-source", "/other/key".to_owned()));
    }),
    ("a header that is read as content-length", DENIED, |f| {
        f.headers.push(("content_length", "1".to_owned()));
    }),
    ("a content-encoding", MALFORMED, |f| {
        f.headers.push(("content-encoding", "gzip".to_owned()));
    }),
    ("another method", DENIED, |f| f.method = "PUT"),
    ("two content types", MALFORMED, |f| {
        f.headers
            .push(("content-type", "multipart/form-data; boundary=x".to_owned()));
    }),
    ("no boundary", MALFORMED, |f| {
        f.headers[0].1 = "multipart/form-data".to_owned()
    }),
    ("two boundaries", MALFORMED, |f| {
        f.headers[0].1 = format!("multipart/form-data; boundary={BOUNDARY}; boundary=x");
    }),
    ("an empty boundary", MALFORMED, |f| {
        f.headers[0].1 = "multipart/form-data; boundary=\"\"".to_owned();
    }),
    ("another boundary", MALFORMED, |f| {
        f.headers[0].1 = "multipart/form-data; boundary=boundary-2".to_owned();
    }),
    ("another type", DENIED, |f| {
        f.headers[0].1 = "application/x-www-form-urlencoded".to_owned();
    }),
];

pub(super) const MULTIPART: &[Attack] = &[
    ("a preamble", MALFORMED, |f| {
        f.body = Box::new(|body| format!("preamble\r\n{body}"))
    }),
    ("an empty line first", MALFORMED, |f| {
        f.body = Box::new(|body| format!("\r\n{body}"))
    }),
    ("line feeds", MALFORMED, |f| {
        f.body = Box::new(|body| body.replace("\r\n", "\n"))
    }),
    ("no body", MALFORMED, |f| {
        f.body = Box::new(|_| String::new())
    }),
    ("no file", MALFORMED, |f| f.file = None),
    ("half a form", MALFORMED, |f| {
        f.body = Box::new(|body| body[..200].to_owned())
    }),
    ("a field twice", MALFORMED, |f| {
        f.add("key", "user/photo.png")
    }),
    ("a field twice in another case", MALFORMED, |f| {
        f.add("Key", "admin/x")
    }),
    ("a field with a file name", MALFORMED, |f| {
        replace(f, "name=\"key\"", "name=\"key\"; filename=\"x\"");
    }),
    ("two names", MALFORMED, |f| {
        replace(f, "name=\"key\"", "name=\"key\"; name=\"acl\"");
    }),
    ("an extended file name", MALFORMED, |f| {
        replace(f, "filename=\"photo.png\"", "filename*=utf-8''photo.png");
    }),
    ("a backslash in a name", MALFORMED, |f| {
        replace(
            f,
            "filename=\"photo.png\"",
            "filename=\"a\\\"; name=\"key\"",
        );
    }),
    ("a name without quotes", MALFORMED, |f| {
        replace(f, "name=\"key\"", "name=key")
    }),
    ("an empty name", MALFORMED, |f| {
        replace(f, "name=\"key\"", "name=\"\"")
    }),
    ("no disposition", MALFORMED, |f| {
        replace(f, "Content-Disposition", "Content-Type")
    }),
    ("another disposition", MALFORMED, |f| {
        replace(f, "form-data; name", "attachment; name")
    }),
    ("another header", MALFORMED, |f| {
        replace(
            f,
            "Content-Disposition",
            "Content-Transfer-Encoding: base64\r\nContent-Disposition",
        );
    }),
    ("a folded header", MALFORMED, |f| {
        replace(f, "form-data; name", "form-data;\r\n name")
    }),
    ("a boundary with more in its line", MALFORMED, |f| {
        replace(f, "boundary-1\r\n", "boundary-1 \r\n");
    }),
    ("a boundary in a field", MALFORMED, |f| {
        replace(f, "user/photo.png", "user/photo.png\n--boundary-1");
    }),
    ("a boundary at the start of a field", MALFORMED, |f| {
        replace(f, "user/photo.png", "--boundary-1");
    }),
    ("more than 20 KiB of fields", MALFORMED, |f| {
        f.add("x-ignore-a", &"a".repeat(20 * 1024));
    }),
    ("a field after the file", FAILED, |f| {
        f.body = Box::new(|body| {
            let end = "--boundary-1--\r\n";
            let field =
                "--boundary-1\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nadmin/x\r\n";
            body.replace(end, &format!("{field}{end}"))
        });
    }),
    ("a second file", FAILED, |f| {
        f.body = Box::new(|body| {
            let end = "--boundary-1--\r\n";
            let file = "--boundary-1\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n";
            body.replace(end, &format!("{file}{end}"))
        });
    }),
    ("an epilogue", FAILED, |f| {
        f.body = Box::new(|body| body + "epilogue")
    }),
    ("a boundary in the file", FAILED, |f| {
        f.file = Some(("a", "a\n--boundary-1\r\n"))
    }),
];
