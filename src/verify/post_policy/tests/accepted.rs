//! Forms that are accepted.

use super::*;
use crate::sigv4::post_policy::published::{PUBLISHED_POLICY, PUBLISHED_SIGNATURE};

#[tokio::test]
async fn forms_reach_the_inner_service_unchanged_however_they_are_split() {
    let form = Form::new();
    for frames in [1, 2, 3, 7, 50, 5000] {
        let read = send_with(settings(), &form, frames).await;
        assert_eq!(read, Ok(form.text()), "{frames} frames");
    }
}

#[tokio::test]
async fn the_file_is_read_without_the_fields_however_it_is_split() {
    for content in ["content", "c\r\n--bound", "con\r\n--\r\n", "12345678\r\n"] {
        for end in ["--\r\n", "--"] {
            let mut form = Form::new();
            form.file = Some(("photo.png", content));
            if end == "--" {
                form.body = Box::new(|body| body.trim_end().to_owned());
            }
            for frames in [1, 2, 3, 7, 50, 5000] {
                let read =
                    send_and_read(settings(), &form, frames, VerifiedBody::into_form_file).await;
                assert_eq!(read.as_deref(), Ok(content), "{frames} frames, {end:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_its_policy_does_not_allow_fails_without_the_fields_too() {
    for (content, kind) in [("x", "BodyTooSmall"), ("more than ten", "BodyTooLarge")] {
        let mut form = Form::new();
        form.file = Some(("photo.png", content));
        let read = send_and_read(settings(), &form, 5000, VerifiedBody::into_form_file).await;
        assert_eq!(read, Err(kind.to_owned()), "{content}");
    }
}

#[test]
fn fields_of_a_verified_form_have_the_name_of_the_file_and_no_signature() {
    let fields = [
        ("Key", "user/${filename}"),
        ("x-amz-meta-Name", "${filename}"),
        ("X-Amz-Security-Token", "hunter2"),
        ("policy", "hunter2"),
    ];
    let form = VerifiedForm::new(
        "bucket".to_owned(),
        Fields {
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            file_name: Some("folder/photo.png".to_owned()),
        },
    );
    assert_eq!(form.key(), "user/photo.png");
    assert_eq!(form.file_name(), Some("folder/photo.png"));
    let named = [("key", "user/photo.png"), ("x-amz-meta-name", "photo.png")];
    assert!(form.fields().eq(named), "{form:?}");
    assert!(!format!("{form:?}").contains("hunter2"));
}

#[tokio::test]
async fn the_published_form_is_accepted() {
    let mut form = Form::new();
    form.uri = "http://sigv4examplebucket.s3.amazonaws.com/".to_owned();
    form.policy = Some(base64::encode(PUBLISHED_POLICY));
    form.signature = Some(PUBLISHED_SIGNATURE.to_owned());
    let credential = format!("{ID}/20151229/us-east-1/s3/aws4_request");
    form.fields = [
        ("key", "user/user1/${filename}"),
        ("acl", "public-read"),
        (
            "success_action_redirect",
            "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
        ),
        ("Content-Type", "image/jpeg"),
        ("x-amz-meta-uuid", "14365123651274"),
        ("x-amz-server-side-encryption", "AES256"),
        ("X-Amz-Credential", &*credential),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Date", DATE),
        ("x-amz-meta-tag", ""),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    assert_eq!(send(&form).await, Ok(form.text()));
}

#[tokio::test]
async fn forms_of_this_crate_are_accepted() {
    let signing = SigningSettings::new("s3", "us-east-1").expect("valid");
    let keys = Credentials::new(ID, SECRET, Some("a token".to_owned()), None, "test");
    let identity = Identity::new(keys).expect("valid");
    let params = SigningParams::new(&signing, &identity, Payload::Unsigned, time(DATE));
    let policy = PostPolicy::new("bucket", "user/${filename}", Duration::from_secs(7200))
        .and_then(|policy| policy.add_field("acl", "private"))
        .and_then(|policy| policy.with_content_length(1..=100))
        .expect("valid");
    let mut form = Form::new();
    form.session_token = Some("a token");
    form.fields = policy.sign(&params).expect("signed").fields().to_vec();
    form.signature = form.fields.pop().map(|(_, value)| value);
    form.policy = form.fields.pop().map(|(_, value)| value);
    assert_eq!(send(&form).await, Ok(form.text()));
}

#[tokio::test]
async fn the_longest_domain_names_the_bucket() {
    let orders = [
        ["example.org", "s3.example.org"],
        ["s3.example.org", "example.org"],
    ];
    for (domains, uri) in orders.iter().flat_map(|domains| {
        [
            "https://bucket.s3.example.org/",
            "https://s3.example.org/bucket",
            "https://bucket.example.org/",
        ]
        .map(|uri| (domains, uri))
    }) {
        let settings = domains.iter().try_fold(settings(), |settings, domain| {
            settings.add_post_domain(domain)
        });
        let mut form = Form::new();
        form.uri = uri.to_owned();
        let read = send_with(settings.expect("domains"), &form, 3).await;
        assert_eq!(read, Ok(form.text()), "{domains:?} {uri}");
    }
}

#[tokio::test]
async fn variants_are_accepted() {
    type Change = fn(&mut Form);
    let rows: [(&str, Change); 16] = [
        ("a bucket with a slash", |f| f.uri.push('/')),
        ("an empty query", |f| f.uri.push('?')),
        ("a host of AWS", |f| {
            f.uri = "https://bucket.s3.us-east-1.amazonaws.com/".to_owned();
        }),
        ("a dual-stack host", |f| {
            f.uri = "https://bucket.s3.dualstack.us-east-1.amazonaws.com/".to_owned();
        }),
        ("a host of a domain", |f| {
            f.uri = "https://bucket.s3.example.org:8443/".to_owned();
        }),
        ("a quoted boundary", |f| {
            f.headers[0].1 = format!("multipart/form-data; boundary=\"{BOUNDARY}\"");
        }),
        ("a field that is ignored", |f| f.add("x-ignore-me", "any")),
        ("the name of the file", |f| f.set("key", "user/${filename}")),
        ("a file in a folder", |f| {
            f.conditions.push(json!({ "key": "user/photo.png" }));
            f.set("key", "user/${filename}");
            f.file = Some(("images/2026/photo.png", "content"));
        }),
        ("an empty prefix", |f| {
            f.add("x-amz-meta-tag", "any");
            f.conditions
                .push(json!(["starts-with", "$x-amz-meta-tag", ""]));
        }),
        ("an empty prefix without the field", |f| {
            f.conditions
                .push(json!(["starts-with", "$x-amz-meta-tag", ""]));
        }),
        ("several content types", |f| {
            f.set("Content-Type", "image/png,image/gif")
        }),
        ("a range of strings", |f| {
            f.conditions[4] = json!(["content-length-range", "7", "7"]);
        }),
        ("an empty file", |f| {
            f.conditions[4] = json!(["content-length-range", 0, 0]);
            f.file = Some(("empty", ""));
        }),
        ("an expiration in whole seconds", |f| {
            f.expiration = "2016-01-04T00:00:00Z".to_owned();
        }),
        ("a header that a proxy adds", |f| {
            f.headers.push(("x-amz-cf-id", "abc".to_owned()));
        }),
    ];
    for (name, change) in rows {
        let mut form = Form::new();
        change(&mut form);
        let settings = settings()
            .add_post_domain("S3.example.org")
            .and_then(|it| it.add_unsigned_header(http::HeaderName::from_static("x-amz-cf-id")))
            .expect("valid");
        let read = send_with(settings, &form, 3).await;
        assert_eq!(read, Ok(form.text()), "{name}");
    }
}
