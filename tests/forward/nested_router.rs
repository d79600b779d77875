//! Rules below a router that removes a prefix from the path.

use std::convert::Infallible;

use axum::{Router, body::Body, response::Response};
use http::{Method, Request};
use http_body_util::BodyExt;
use tower::{ServiceExt, service_fn};
use tower_sigv4::{
    ErrorKind, Origin,
    origin::{OriginRule, OriginRules, ResolveOrigin},
};

use crate::common::settings;

fn rules(rule: OriginRule) -> OriginRules {
    let origin = Origin::new("https://origin.example.com", settings("execute-api"));
    OriginRules::new().add_rule(rule, origin.expect("an origin"))
}

fn api() -> OriginRule {
    OriginRule::path("/api").expect("a path").strip_prefix()
}

fn error(rules: &OriginRules, method: &str, uri: &str) -> String {
    let request = Request::builder().method(method).uri(uri).body(());
    let (head, ()) = request.expect("a request").into_parts();
    let error = rules.resolve(&head).expect_err(uri);
    assert_eq!(error.kind(), ErrorKind::NoMatch);
    error.to_string()
}

/// Sends a request for `/api/orders` through axum's `nest_service`, and returns the path that the origin receives or
/// the error.
async fn nested(rule: OriginRule) -> String {
    let rules = rules(rule);
    let resolve = service_fn(move |request: Request<Body>| {
        let (head, _) = request.into_parts();
        let text = match rules.resolve(&head) {
            Ok(_) => head.uri.path().to_owned(),
            Err(error) => error.to_string(),
        };
        async move { Ok::<_, Infallible>(Response::new(Body::from(text))) }
    });
    let router: Router = Router::new().nest_service("/api", resolve);
    let request = Request::get("/api/orders").body(Body::empty());
    let Ok(response) = router.oneshot(request.expect("a request")).await;
    let body = response.into_body().collect().await.expect("a body");
    String::from_utf8(body.to_bytes().into()).expect("UTF-8")
}

#[tokio::test]
async fn the_error_hints_at_a_prefix_that_a_router_has_removed() {
    assert_eq!(
        nested(api()).await,
        "no rule matches GET \"/orders\" for host \"\"; if a router in front has removed the prefix of a rule, use \
         `OriginRule::any`"
    );
    assert_eq!(nested(OriginRule::any()).await, "/orders");
}

#[test]
fn the_error_has_no_hint_if_another_condition_differs_or_the_prefix_is_there() {
    let get = rules(api().with_methods([Method::GET]));
    assert!(error(&get, "GET", "/orders").contains("`OriginRule::any`"));
    for uri in ["/orders", "/api/orders"] {
        let expected = format!("no rule matches POST {uri:?} for host \"\"");
        assert_eq!(error(&get, "POST", uri), expected);
    }
    let other = rules(api().with_host("other.example.com").expect("a host"));
    let uri = "https://api.example.com/orders";
    let expected = "no rule matches GET \"/orders\" for host \"api.example.com\"";
    assert_eq!(error(&other, "GET", uri), expected);
}
