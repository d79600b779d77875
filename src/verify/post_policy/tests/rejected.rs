//! Forms that are rejected.

use super::{attacks::*, *};

#[tokio::test]
async fn forms_are_rejected_unless_they_are_accepted() {
    let settings = VerifySettings::new("s3", "us-east-1").expect("valid");
    let read = send_with(settings, &Form::new(), 1).await;
    assert_eq!(read, Err("AccessDenied".to_owned()));
}

#[tokio::test]
async fn headers_that_must_be_signed_are_rejected() {
    let settings = || settings().with_required_headers([HOST, CONTENT_TYPE, RANGE]);
    let mut form = Form::new();
    assert_eq!(send_with(settings(), &form, 1).await, Ok(form.text()));
    form.headers.push(("range", "bytes=0-1".to_owned()));
    let read = send_with(settings(), &form, 1).await;
    assert_eq!(read, Err(DENIED.to_owned()));
}

#[tokio::test]
async fn forms_that_differ_from_their_policy_are_rejected() {
    for attacks in [SIGNATURE, POLICY, REQUEST, MULTIPART] {
        for (name, code, change) in attacks {
            let mut form = Form::new();
            change(&mut form);
            // The end of the form arrives with its fields, or the inner service reads it.
            let whole = match *code {
                FAILED => MALFORMED,
                TOO_LARGE => "EntityTooLarge",
                TOO_SMALL => "EntityTooSmall",
                other => other,
            };
            for (frames, expected) in [(1, whole), (5000, *code)] {
                let read = send_with(settings(), &form, frames).await;
                assert_eq!(read, Err(expected.to_owned()), "{name}, {frames} frames");
            }
        }
    }
    let count: usize = [SIGNATURE, POLICY, REQUEST, MULTIPART]
        .map(<[_]>::len)
        .iter()
        .sum();
    assert!(count >= 90, "{count}");
}

#[tokio::test]
async fn form_without_a_signature_is_not_anonymous() {
    let keys = StaticKeys::new([]).expect("valid");
    let layer = VerifyLayer::new(keys, settings()).with_anonymous(true);
    let inner = service_fn(|_: Request<VerifiedBody<Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--b--\r\n";
    let request = Request::post("https://s3.example.com/bucket")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(Full::from(form));
    let response = layer.layer(inner).oneshot(request.expect("valid")).await;
    assert_eq!(response.expect("infallible").status(), 400);
}

#[tokio::test]
async fn form_that_ends_early_fails_for_the_inner_service() {
    let mut form = Form::new();
    form.body = Box::new(|body| body.replace("\r\n--boundary-1--\r\n", ""));
    for frames in [1, 5000] {
        let read = send_with(settings(), &form, frames).await;
        assert_eq!(read, Err(FAILED.to_owned()), "{frames} frames");
    }
}
