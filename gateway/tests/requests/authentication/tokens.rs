//! Callers that send a token.

use super::{get, issuer::Issuer, key, metrics, signatures, signed_status, start, verified_config};
use crate::support::{
    Gateway, TestOrigin,
    logging::{LoggingGateway, OK, with_log},
};

#[tokio::test]
async fn requests_need_one_valid_token() {
    let issuer = Issuer::start().await;
    let stranger = Issuer::start().await;
    let (origin, gateway) = start(&issuer.verify()).await;
    let valid = issuer.token("alice");
    let (text, signature) = valid.rsplit_once('.').expect("a signature");
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let tampered = format!("{text}.{first}{}", &signature[1..]);
    let expired = {
        let mut claims = issuer.claims(&valid).expect("claims");
        claims["exp"] = 1_000_000_000.into();
        issuer.sign(&claims)
    };
    let signature_header = "authorization: AWS4-HMAC-SHA256 Credential=a\r\n";
    for (headers, target, status, error) in [
        (bearer(&valid), "/orders", 200, ""),
        (
            format!("authorization: bearer {valid}\r\n"),
            "/orders/1",
            200,
            "",
        ),
        (String::new(), "/orders", 401, ""),
        (
            "authorization: Basic YTpi\r\n".to_owned(),
            "/orders",
            401,
            "",
        ),
        (bearer(&tampered), "/orders", 401, "invalid_token"),
        (bearer(&expired), "/orders", 401, "invalid_token"),
        (
            bearer(&stranger.token("alice")),
            "/orders",
            401,
            "invalid_token",
        ),
        (bearer(&valid), "/elsewhere", 404, ""),
        (String::new(), "/elsewhere", 401, ""),
        (bearer(&valid) + &bearer(&valid), "/orders", 400, ""),
        (bearer(&valid) + signature_header, "/orders", 400, ""),
        (bearer(&valid), "/orders?X-Amz-Signature=a", 400, ""),
    ] {
        let response = get(&gateway, target, &headers).await;
        assert_eq!(
            response.status, status,
            "{target} {headers}{}",
            response.body
        );
        let challenge = response.header("www-authenticate");
        assert_eq!(challenge.is_some(), status == 401, "{challenge:?}");
        assert!(
            challenge.unwrap_or_default().contains(error),
            "{challenge:?}"
        );
    }
    let seen = origin.requests();
    assert_eq!(seen.len(), 2);
    for head in &seen {
        assert_eq!(head.matches("authorization:").count(), 1, "{head}");
        assert!(
            head.contains("Credential=AKID/") && !head.contains(&valid),
            "{head}"
        );
    }
    let text = metrics(&gateway).await;
    for (mechanism, kind, count) in [
        ("jwt", "missing-token", 2),
        ("jwt", "invalid-signature", 1),
        ("jwt", "expired", 1),
        ("jwt", "unknown-issuer", 1),
        ("several", "several-credentials", 3),
    ] {
        let labels = format!("kind=\"{kind}\",mechanism=\"{mechanism}\",origin=\"orders\"");
        let sample = text.lines().find(|line| line.contains(&labels));
        let expected = format!("}} {count}");
        assert!(
            sample.is_some_and(|it| it.ends_with(&expected)),
            "{labels}\n{text}"
        );
    }
    let issuer_label = format!("{{issuer=\"{}\"}}", issuer.url);
    assert!(
        text.contains(&format!("sigv4_gateway_jwks_keys{issuer_label} 1\n")),
        "{text}"
    );
    assert!(text.contains(&format!("sigv4_gateway_jwks_age_seconds{issuer_label} ")));
}

#[tokio::test]
async fn callers_choose_between_token_and_signature() {
    let issuer = Issuer::start().await;
    let verify = format!(
        "{}[[verify.key]]\n{}{}",
        signatures(),
        key("AKIDALICE"),
        issuer.verify()
    );
    let (origin, gateway) = start(&verify).await;
    let bearer = format!("authorization: Bearer {}\r\n", issuer.token("alice"));
    assert_eq!(get(&gateway, "/orders", &bearer).await.status, 200);
    assert_eq!(signed_status(&gateway, "AKIDALICE").await, 200);
    assert_eq!(signed_status(&gateway, "AKIDBOB").await, 403);
    assert_eq!(get(&gateway, "/orders", "").await.status, 403);
    let both = format!("{bearer}authorization: AWS4-HMAC-SHA256 Credential=AKIDALICE\r\n");
    assert_eq!(get(&gateway, "/orders", &both).await.status, 400);
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn bearer_tokens_without_issuers_are_rejected_with_a_reason() {
    let verify = format!("{}[[verify.key]]\n{}", signatures(), key("AKIDALICE"));
    let (origin, gateway) = start(&verify).await;
    let response = get(&gateway, "/orders", "authorization: Bearer abc\r\n").await;
    assert_eq!(response.status, 401);
    assert!(
        response.body.contains("bearer tokens are not accepted"),
        "{}",
        response.body
    );
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn token_in_its_own_header_is_removed() {
    let issuer = Issuer::start().await;
    let open = "[[route]]\npath = \"/open\"\norigin = \"orders\"\nverify = false\n";
    let verify = issuer.verify() + "header = \"x-id-token\"\n" + open;
    let (origin, gateway) = start(&verify).await;
    let token = issuer.token("alice");
    let own = format!("x-id-token: {token}\r\n");
    // Also where no caller is verified.
    assert_eq!(get(&gateway, "/open", &own).await.status, 200);
    let bearer = format!("authorization: Bearer {token}\r\n");
    assert_eq!(get(&gateway, "/orders", &own).await.status, 200);
    let unexpected = get(&gateway, "/orders", &bearer).await;
    assert_eq!(unexpected.status, 401);
    assert!(
        unexpected.body.contains("send the token in x-id-token"),
        "{}",
        unexpected.body
    );
    for headers in [own.clone() + &own, own.clone() + &bearer] {
        assert_eq!(
            get(&gateway, "/orders", &headers).await.status,
            400,
            "{headers}"
        );
    }
    let seen = origin.requests();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert!(
            !request.contains("x-id-token") && !request.contains(&token),
            "{request}"
        );
    }
}

#[tokio::test]
async fn route_can_send_the_verified_token_to_its_origin() {
    let issuer = Issuer::start().await;
    let verify = format!(
        "authorization = \"move:x-client-authorization\"\n{}",
        issuer.verify()
    );
    let (origin, gateway) = start(&verify).await;
    let token = issuer.token("alice");
    let bearer = format!("authorization: Bearer {token}\r\n");
    assert_eq!(get(&gateway, "/orders", &bearer).await.status, 200);
    let seen = origin.requests();
    let moved = format!("x-client-authorization: Bearer {token}\r\n");
    assert!(seen[0].contains(&moved), "{}", seen[0]);
}

#[tokio::test]
async fn web_pages_can_read_the_challenge() {
    let issuer = Issuer::start().await;
    let origin = TestOrigin::start(OK).await;
    let cors = "[route.cors]\norigins = [\"https://app.example.com\"]\nheaders = [\"authorization\"]\n\
                expose = [\"etag\"]\n";
    let gateway = Gateway::with_config(&verified_config(
        &origin,
        &(cors.to_owned() + &issuer.verify()),
    ));
    let page = "origin: https://app.example.com\r\n";
    let rejected = get(&gateway, "/orders", page).await;
    assert_eq!(rejected.status, 401);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-expose-headers", "etag,www-authenticate"),
        ("www-authenticate", "Bearer"),
    ] {
        assert_eq!(rejected.header(name), Some(value), "{name}");
    }
    let preflight = crate::support::logging::request(
        "OPTIONS",
        "/orders",
        &format!(
            "{page}access-control-request-method: GET\r\naccess-control-request-headers: authorization\r\n"
        ),
    );
    let response = crate::support::exchange(gateway.address, &preflight).await;
    assert_eq!(response.status, 200);
    let token = format!("{page}authorization: Bearer {}\r\n", issuer.token("alice"));
    assert_eq!(get(&gateway, "/orders", &token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_names_the_caller_and_the_cause_but_no_token() {
    let issuer = Issuer::start().await;
    let origin = TestOrigin::start(OK).await;
    let config = verified_config(&origin, &issuer.verify());
    let logged = LoggingGateway::start(&with_log(
        &config,
        "format = \"json\"\nlevel = \"trace\"\naccess = true\n",
    ));
    let valid = issuer.token("alice");
    let foreign = Issuer::start().await.token("mallory");
    for token in [&valid, &foreign] {
        let headers = format!("authorization: Bearer {token}\r\n");
        logged.send("GET", "/orders", &headers).await;
    }
    let events = logged.access_events();
    let [accepted, rejected] = &events[..] else {
        panic!("{events:?}");
    };
    let caller = format!("{}|alice", issuer.url);
    assert_eq!(accepted["caller"], caller.as_str(), "{accepted}");
    assert_eq!(accepted["mechanism"], "jwt");
    assert_eq!(rejected["rejection"], "unknown-issuer", "{rejected}");
    assert_eq!(rejected["mechanism"], "jwt");
    let log = logged.lines().join("\n");
    for token in [&valid, &foreign] {
        let (_, signature) = token.rsplit_once('.').expect("a signature");
        assert!(!log.contains(signature), "{log}");
    }
}
