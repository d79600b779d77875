//! Accepted principals, and the request that STS gets.

use tower_sigv4_callers::iam::{IamSettings, RejectionKind as Kind};

use crate::sts::{
    ALICE, ORDERS, Presign, Reply, SERVER_ID, Sts, head_with, now, rejected, role_key, settings,
    verify_url,
};

#[tokio::test]
async fn principals_are_those_that_sts_names() {
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier();
    let user = verify_url(&verifier, &Presign::default().url())
        .await
        .expect("accepted");
    assert_eq!(
        (user.account(), user.arn(), user.user_id()),
        ("123456789012", ALICE, "AIDAALICE")
    );
    assert_eq!(
        (user.role_arn(), user.expires_at()),
        (None, now() + std::time::Duration::from_secs(300))
    );
    let url = Presign {
        key: role_key(),
        ..Presign::default()
    }
    .url();
    let session = verify_url(&verifier, &url).await.expect("accepted");
    assert_eq!(
        (session.arn(), session.user_id()),
        (ORDERS, "AROAORDERS:session")
    );
    assert_eq!(
        session.role_arn(),
        Some("arn:aws:iam::123456789012:role/orders")
    );
}

#[tokio::test]
async fn requests_to_sts_contain_only_what_was_checked() {
    let sts = Sts::new(Reply::Verify);
    let url = Presign::default().url();
    verify_url(&sts.verifier(), &url).await.expect("accepted");
    let sent = sts.last();
    assert_eq!((sent.method.as_str(), sent.uri.to_string()), ("GET", url));
    let mut headers: Vec<_> = sent
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    headers.sort_unstable();
    assert_eq!(
        headers,
        [
            ("accept", &b"application/json"[..]),
            ("host", b"sts.us-east-1.amazonaws.com"),
            ("x-sigv4-server-id", SERVER_ID.as_bytes()),
        ]
    );
}

#[tokio::test]
async fn each_endpoint_of_an_accepted_region_is_accepted() {
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier();
    for (host, region) in [
        ("sts.amazonaws.com", "us-east-1"),
        ("sts.us-east-1.amazonaws.com", "us-east-1"),
        ("sts.eu-west-1.amazonaws.com", "eu-west-1"),
    ] {
        let url = format!("https://{host}/?Action=GetCallerIdentity&Version=2011-06-15");
        let url = Presign {
            url,
            region,
            ..Presign::default()
        }
        .url();
        verify_url(&verifier, &url).await.expect(host);
    }
}

#[tokio::test]
async fn accounts_and_principals_can_be_limited() {
    let sts = Sts::new(Reply::Verify);
    let (user, role) = (
        Presign::default().url(),
        Presign {
            key: role_key(),
            ..Presign::default()
        }
        .url(),
    );
    let with = |change: &dyn Fn(IamSettings) -> Result<IamSettings, tower_sigv4_callers::Error>| {
        sts.verifier_with(change(settings()).expect("valid"))
    };
    let other_account = with(&|settings| settings.with_accounts(["210987654321"]));
    let own_account = with(&|settings| settings.with_accounts(["210987654321", "123456789012"]));
    let team =
        with(&|settings| settings.with_principals(["arn:aws:iam::123456789012:user/team/*"]));
    let orders = with(&|settings| settings.with_principals(["arn:aws:iam::*:role/orders"]));
    let sessions = with(&|settings| {
        settings.with_principals(["arn:aws:sts::123456789012:assumed-role/orders/*"])
    });
    let rejection = Some(Kind::PrincipalNotAllowed);
    for (verifier, of_user, of_role) in [
        (other_account, rejection, rejection),
        (own_account, None, None),
        (team, None, rejection),
        (orders, rejection, None),
        (sessions, rejection, None),
    ] {
        assert_eq!(rejected(&verifier, &user).await, of_user, "{verifier:?}");
        assert_eq!(rejected(&verifier, &role).await, of_role, "{verifier:?}");
    }
}

#[tokio::test]
async fn requests_need_exactly_one_url() {
    let sts = Sts::new(Reply::Verify);
    let url = Presign::default().url();
    for (urls, kind) in [
        (&[][..], Kind::MissingUrl),
        (&[&*url, &*url], Kind::AmbiguousUrl),
    ] {
        let rejection = sts
            .verifier()
            .verify(&head_with(urls))
            .await
            .expect_err("rejected");
        assert_eq!(rejection.kind(), kind);
    }
    assert_eq!(sts.requests(), 0);
}

#[tokio::test]
async fn endpoints_can_be_replaced_without_changing_the_signed_host() {
    let sts = Sts::new(Reply::Verify);
    let private = settings().with_endpoint("https://vpce-1.sts.us-east-1.vpce.amazonaws.com");
    let verifier = sts.verifier_with(private.expect("valid"));
    verify_url(&verifier, &Presign::default().url())
        .await
        .expect("accepted");
    let sent = sts.last();
    assert_eq!(
        sent.uri.host(),
        Some("vpce-1.sts.us-east-1.vpce.amazonaws.com")
    );
    assert_eq!(sent.headers["host"], "sts.us-east-1.amazonaws.com");
}

#[test]
fn contradicting_settings_are_rejected() {
    let new = || IamSettings::new(SERVER_ID).expect("valid");
    let header = |name| new().with_server_id_header(http::HeaderName::from_static(name));
    for (error, message) in [
        (IamSettings::new("").err(), "server id \"\""),
        (IamSettings::new("a b").err(), "without spaces"),
        (IamSettings::new(&"a".repeat(256)).err(), "server id"),
        (new().with_regions([""; 0]).err(), "no region"),
        (
            new().with_regions(["us-east-1.evil.example.com"]).err(),
            "is not a region",
        ),
        (new().with_accounts(["1234"]).err(), "12 digits"),
        (new().with_principals(["orders"]).err(), "pattern of ARNs"),
        (
            new().with_endpoint("http://sts.example.com").err(),
            "use https",
        ),
        (
            new().with_endpoint("https://sts.example.com/x").err(),
            "has a path",
        ),
        (header("host").err(), "meaning of its own"),
        (header("x-amz-date").err(), "meaning of its own"),
    ] {
        let text = error.expect(message).to_string();
        assert!(text.contains(message), "{text}");
    }
}
