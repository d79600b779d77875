//! Requests to STS: shared, cached, and with responses that are not as documented.

use std::time::Duration;

use http::StatusCode;
use tokio::time;
use tower_sigv4_callers::iam::RejectionKind as Kind;

use crate::sts::{ALICE, Presign, Reply, Sts, head_with, identity, rejected, settings, verify_url};

/// A well-formed URL with a wrong signature.
fn forged(number: usize) -> String {
    let valid = Presign::default().url();
    let (before, signature) = valid.split_once("Signature=").expect("signed");
    format!("{before}Signature={number:032x}{}", &signature[32..])
}

#[tokio::test]
async fn concurrent_requests_share_a_request_to_sts() {
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier();
    let url = Presign::default().url();
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let (verifier, head) = (verifier.clone(), head_with(&[&url]));
            tokio::spawn(async move { verifier.verify(&head).await })
        })
        .collect();
    for waiter in waiters {
        let principal = waiter.await.expect("no panic").expect("accepted");
        assert_eq!(principal.arn(), ALICE);
    }
    assert_eq!(sts.requests(), 1);
}

#[tokio::test]
async fn parameters_in_another_order_are_the_same_url() {
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier();
    let url = Presign::default().url();
    let (base, query) = url.split_once('?').expect("a query");
    let mut pairs: Vec<_> = query.split('&').collect();
    for _ in 0..pairs.len() {
        pairs.rotate_left(1);
        let turned = format!("{base}?{}", pairs.join("&"));
        verify_url(&verifier, &turned).await.expect("accepted");
    }
    assert_eq!((sts.requests(), verifier.cached()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_leaves_nothing_behind() {
    let sts = Sts::new(Reply::Hang);
    let verifier = sts.verifier();
    let url = Presign::default().url();
    let hanging = time::timeout(Duration::from_millis(1), verify_url(&verifier, &url)).await;
    assert!(hanging.is_err());
    sts.set(Reply::Verify);
    verify_url(&verifier, &url).await.expect("accepted");
    assert_eq!(sts.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn cached_principals_are_accepted_while_sts_is_down() {
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier();
    let url = Presign::default().url();
    verify_url(&verifier, &url).await.expect("accepted");
    for (reply, cause) in [
        (Reply::Down, "connection refused"),
        (Reply::Hang, "deadline has elapsed"),
    ] {
        sts.set(reply);
        verify_url(&verifier, &url).await.expect("cached");
        let new = Presign {
            expires: 60,
            ..Presign::default()
        }
        .url();
        let rejection = verify_url(&verifier, &new).await.expect_err("rejected");
        assert_eq!(rejection.kind(), Kind::StsUnavailable);
        assert_eq!(
            rejection.to_response().status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
        let source = std::error::Error::source(&rejection).expect("a cause");
        assert_eq!(source.to_string(), cause);
    }
    // An outage is not cached.
    sts.set(Reply::Verify);
    let new = Presign {
        expires: 60,
        ..Presign::default()
    }
    .url();
    verify_url(&verifier, &new).await.expect("accepted");
}

#[tokio::test(start_paused = true)]
async fn rejections_of_sts_are_cached_for_30_seconds() {
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier();
    for (wait, requests) in [(0, 1), (29, 1), (1, 2)] {
        time::advance(Duration::from_secs(wait)).await;
        assert_eq!(rejected(&verifier, &forged(0)).await, Some(Kind::Denied));
        assert_eq!(sts.requests(), requests);
    }
}

#[tokio::test]
async fn strangers_evict_no_principal() {
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier_with(settings().with_capacity(10));
    let callers: Vec<_> = (1..=10)
        .map(|minutes| {
            Presign {
                expires: 60 * minutes,
                ..Presign::default()
            }
            .url()
        })
        .collect();
    for url in &callers {
        verify_url(&verifier, url).await.expect("accepted");
    }
    for number in 0..1_000 {
        assert_eq!(
            rejected(&verifier, &forged(number)).await,
            Some(Kind::Denied)
        );
        assert!(verifier.cached() <= 20);
    }
    sts.set(Reply::Down);
    for url in &callers {
        verify_url(&verifier, url).await.expect("cached");
    }
    assert_eq!(sts.requests(), 1_010);
}

#[tokio::test]
async fn responses_that_are_not_documented_make_no_principal() {
    let own = || identity("123456789012", ALICE, "AIDAALICE");
    let json = "application/json";
    let ok = StatusCode::OK;
    let error =
        |code: &str| format!(r#"{{"Error":{{"Code":"{code}","Message":"no","Type":"Sender"}}}}"#);
    let xml = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:root</Arn>\
               </GetCallerIdentityResult></GetCallerIdentityResponse>";
    for (status, content_type, text, kind) in [
        (StatusCode::FOUND, json, own(), Kind::StsUnavailable),
        (
            StatusCode::TEMPORARY_REDIRECT,
            json,
            own(),
            Kind::StsUnavailable,
        ),
        (StatusCode::CREATED, json, own(), Kind::StsUnavailable),
        (
            StatusCode::NO_CONTENT,
            json,
            String::new(),
            Kind::StsUnavailable,
        ),
        (StatusCode::NOT_FOUND, json, own(), Kind::StsUnavailable),
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            json,
            own(),
            Kind::StsUnavailable,
        ),
        (
            StatusCode::TOO_MANY_REQUESTS,
            json,
            error("Throttling"),
            Kind::StsUnavailable,
        ),
        (
            StatusCode::BAD_REQUEST,
            json,
            error("Throttling"),
            Kind::StsUnavailable,
        ),
        (
            StatusCode::BAD_REQUEST,
            json,
            error("IncompleteSignature"),
            Kind::Denied,
        ),
        (
            StatusCode::FORBIDDEN,
            json,
            error("SignatureDoesNotMatch"),
            Kind::Denied,
        ),
        (
            StatusCode::FORBIDDEN,
            "text/html",
            "Throttling".to_owned(),
            Kind::Denied,
        ),
        (ok, "text/xml", xml.to_owned(), Kind::StsUnavailable),
        (ok, "text/xml", own(), Kind::StsUnavailable),
        (ok, "text/html", own(), Kind::StsUnavailable),
        (ok, "application/jsonp", own(), Kind::StsUnavailable),
        (ok, json, String::new(), Kind::StsUnavailable),
        (ok, json, xml.to_owned(), Kind::StsUnavailable),
        (ok, json, own() + "x", Kind::StsUnavailable),
        (ok, json, own() + &own(), Kind::StsUnavailable),
        (ok, json, own() + &" ".repeat(17_000), Kind::StsUnavailable),
        (ok, json, "{}".to_owned(), Kind::StsUnavailable),
        (ok, json, "null".to_owned(), Kind::StsUnavailable),
        (
            ok,
            json,
            own().replace("Account", "account"),
            Kind::StsUnavailable,
        ),
        (
            ok,
            json,
            own().replace("\"123456789012\"", "123456789012"),
            Kind::StsUnavailable,
        ),
        (
            ok,
            json,
            identity("210987654321", ALICE, "AIDAALICE"),
            Kind::StsUnavailable,
        ),
        (
            ok,
            json,
            identity("123456789012", "arn:aws-cn:iam::123456789012:root", "AIDA"),
            Kind::StsUnavailable,
        ),
        (
            ok,
            json,
            identity("123456789012", ALICE, ""),
            Kind::StsUnavailable,
        ),
    ] {
        let shown = format!("{status} {content_type} {text:.100}");
        let sts = Sts::new(Reply::Always(status, content_type, text));
        let verifier = sts.verifier();
        assert_eq!(
            rejected(&verifier, &Presign::default().url()).await,
            Some(kind),
            "{shown}"
        );
        assert_eq!(sts.requests(), 1, "{shown}");
    }
}

#[tokio::test]
async fn results_survive_a_reload_with_the_same_settings() {
    let sts = Sts::new(Reply::Verify);
    let before = sts.verifier();
    let url = Presign::default().url();
    verify_url(&before, &url).await.expect("accepted");
    let same = sts.verifier().continuing(&before);
    verify_url(&same, &url).await.expect("accepted");
    assert_eq!(sts.requests(), 1);
    let limited = settings().with_accounts(["210987654321"]).expect("valid");
    let other = sts.verifier_with(limited).continuing(&before);
    assert_eq!(
        rejected(&other, &url).await,
        Some(Kind::PrincipalNotAllowed)
    );
}

#[tokio::test(start_paused = true)]
async fn strangers_cannot_open_more_than_64_requests_to_sts() {
    let sts = Sts::new(Reply::Hang);
    let verifier = sts.verifier();
    let waiters: Vec<_> = (0..200)
        .map(|number| {
            let (verifier, head) = (verifier.clone(), head_with(&[&forged(number)]));
            tokio::spawn(async move { verifier.verify(&head).await })
        })
        .collect();
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sts.requests(), 64);
    for waiter in waiters {
        let rejection = waiter.await.expect("no panic").expect_err("rejected");
        assert_eq!(rejection.kind(), Kind::StsUnavailable);
    }
}
