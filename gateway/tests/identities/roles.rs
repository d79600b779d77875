//! Roles, and chains of them.

use std::{collections::BTreeSet, fs};

use crate::{
    KEY_ID, VARIABLES, base, gateway, get, get_until, role, route, server,
    standins::{Origin, Sts},
    support::{Gateway, TempFile},
};

#[tokio::test]
async fn three_origins_call_sts_once_for_each_role() {
    let sts = Sts::start().await;
    let mut config = server() + &base();
    let mut origins = Vec::new();
    for name in ["orders", "users", "files"] {
        let origin = Origin::start(sts.keys.clone()).await;
        config += &role(name, &sts, "");
        config += &route(name, &origin, name);
        origins.push((name, origin));
    }
    let gateway = gateway(&config);
    for number in 0..1000 {
        let (name, _) = &origins[number % 3];
        let response = get(&gateway, &format!("/{name}")).await;
        assert_eq!(response.status, 200, "{}", response.body);
        assert!(response.body.ends_with(name), "{}", response.body);
    }
    let calls = sts.calls();
    assert_eq!(calls.len(), 3);
    let roles: BTreeSet<_> = calls.iter().map(|call| call.role().to_owned()).collect();
    assert_eq!(
        roles,
        ["files", "orders", "users"].map(str::to_owned).into()
    );
    for (name, origin) in &origins {
        assert_eq!(origin.different().len(), 1, "{name}");
    }
    assert_eq!(
        origins.iter().map(|(_, it)| it.seen().len()).sum::<usize>(),
        1000
    );
}

#[tokio::test]
async fn chained_roles_are_assumed_with_the_keys_of_the_role_before() {
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let end = role("end", &sts, "").replace("[\"base\"]", "[\"base\", \"hop\"]");
    let config = server() + &base() + &role("hop", &sts, "") + &end;
    let config = config + &route("orders", &origin, "end") + &route("hops", &origin, "hop");
    let gateway = gateway(&config);
    assert_eq!(get(&gateway, "/orders").await.status, 200);
    assert_eq!(get(&gateway, "/hops").await.status, 200);
    let calls = sts.calls();
    let [hop, end] = &calls[..] else {
        panic!("the first role is assumed once: {calls:?}");
    };
    assert_eq!(
        (hop.role(), hop.signed_by.as_deref()),
        ("hop", Some(KEY_ID))
    );
    assert_eq!(end.role(), "end");
    let [second, first] = [&origin.different()[0], &origin.different()[1]];
    assert_eq!(end.signed_by.as_ref(), Some(first));
    assert!(second.ends_with("end"));
}

#[tokio::test]
async fn parameters_arrive_as_sts_documents_them() {
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let more = "external_id = \"ext:1\"\nsession_name = \"gateway\"\nduration = \"30m\"\n\
                policy = '{\"Version\":\"2012-10-17\"}'\npolicy_arns = [\"arn:aws:iam::aws:policy/ReadOnlyAccess\"]\n\
                tags = { team = \"a b\", cost = \"1\" }\ntransitive_tags = [\"team\"]";
    let config = server() + &base() + &role("orders", &sts, more);
    let gateway = gateway(&(config + &route("orders", &origin, "orders")));
    assert_eq!(get(&gateway, "/orders").await.status, 200);
    let calls = sts.calls();
    for (name, value) in [
        ("Version", "2011-06-15"),
        ("RoleArn", "arn:aws:iam::123456789012:role/orders"),
        ("RoleSessionName", "gateway"),
        ("ExternalId", "ext:1"),
        ("DurationSeconds", "1800"),
        ("Policy", "{\"Version\":\"2012-10-17\"}"),
        (
            "PolicyArns.member.1.arn",
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
        ),
        ("Tags.member.1.Key", "cost"),
        ("Tags.member.1.Value", "1"),
        ("Tags.member.2.Key", "team"),
        ("Tags.member.2.Value", "a b"),
        ("TransitiveTagKeys.member.1", "team"),
    ] {
        assert_eq!(calls[0].parameter(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn identity_of_a_route_replaces_that_of_its_origin() {
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let config = server() + &base() + &role("reader", &sts, "") + &route("orders", &origin, "base");
    let reader = "[[route]]\npath = \"/read\"\norigin = \"orders\"\nidentity = \"reader\"\n";
    let gateway = gateway(&(config + reader));
    assert_eq!(get(&gateway, "/orders").await.body, KEY_ID);
    assert!(get(&gateway, "/read").await.body.ends_with("reader"));
    assert_eq!(get(&gateway, "/orders").await.body, KEY_ID);
}

#[tokio::test]
async fn reload_keeps_the_credentials_of_unchanged_identities() {
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let config =
        server() + &base() + &role("orders", &sts, "") + &route("orders", &origin, "orders");
    let file = TempFile::new(&config);
    let gateway = Gateway::start(&["--config", &file.path], &VARIABLES);
    let first = get(&gateway, "/orders").await.body;
    let users = role("users", &sts, "") + &route("users", &origin, "users");
    fs::write(&file.path, config + &users).expect("written");
    gateway.signal("HUP");
    get_until(&gateway, "/users", |response| response.status == 200).await;
    assert_eq!(get(&gateway, "/orders").await.body, first);
    assert_eq!(sts.calls().len(), 2);
}
