//! Sessions of callers.

use crate::{
    admin, base, gateway, role, route, server,
    standins::{Origin, Sts},
    support::{Gateway, REGION as CALLER_REGION, SERVICE, exchange, signed_request},
};

/// Returns the section with callers' keys.
pub(crate) fn callers(ids: impl IntoIterator<Item = String>) -> String {
    let keys = ids.into_iter().map(|id| {
        format!(
            "[[verify.key]]\naccess_key_id = \"{id}\"\nsecret_access_key = \"secret-of-{id}\"\n"
        )
    });
    let keys: String = keys.collect();
    format!("[verify]\nservice = \"{SERVICE}\"\nregion = \"{CALLER_REGION}\"\n{keys}")
}

pub(crate) async fn get_as(gateway: &Gateway, caller: &str, path: &str) -> crate::TestResponse {
    let secret = format!("secret-of-{caller}");
    let request = signed_request("GET", path, "h", "", caller, &secret);
    exchange(gateway.address, &request).await
}

#[tokio::test]
async fn two_callers_of_one_route_have_two_access_keys() {
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let more =
        "session_name = \"gw-{caller}\"\ntags = { caller = \"{caller}\", route = \"{route}\" }";
    let config = server() + &base() + &role("orders", &sts, more);
    let config = config + &route("orders", &origin, "orders");
    let names = ["AKIDALICE", "AKIDBOB"];
    let gateway = gateway(&(config + &callers(names.map(str::to_owned))));
    let mut keys = Vec::new();
    for caller in ["AKIDALICE", "AKIDBOB", "AKIDALICE", "AKIDBOB"] {
        let response = get_as(&gateway, caller, "/orders").await;
        assert_eq!(response.status, 200, "{}", response.body);
        keys.push(response.body);
    }
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[..2], keys[2..]);
    let calls = sts.calls();
    assert_eq!(calls.len(), 2);
    for (call, caller) in calls.iter().zip(names) {
        let session = format!("gw-{caller}");
        for (name, value) in [
            ("RoleSessionName", &*session),
            ("Tags.member.1.Key", "caller"),
            ("Tags.member.1.Value", caller),
            ("Tags.member.2.Value", "/orders"),
        ] {
            assert_eq!(call.parameter(name), Some(value), "{name}");
        }
    }
    let unsigned = crate::get(&gateway, "/orders").await;
    assert_eq!(unsigned.status, 403);
}

#[tokio::test]
async fn thousand_callers_stay_inside_the_bound() {
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let more = "session_name = \"{caller}\"\nmax_sessions = 50";
    let config =
        server() + &base() + &role("orders", &sts, more) + &route("orders", &origin, "orders");
    let name = |number: usize| format!("AKID{number:04}");
    let gateway = gateway(&(config + &callers((0..1000).map(name))));
    for number in 0..1000 {
        let response = get_as(&gateway, &name(number), "/orders").await;
        assert_eq!(response.status, 200, "{}", response.body);
    }
    assert_eq!((sts.calls().len(), origin.different().len()), (1000, 1000));
    let metrics = admin(&gateway, "/metrics").await.body;
    let sessions = "sigv4_gateway_identity_sessions{identity=\"orders\"} 50\n";
    assert!(metrics.contains(sessions), "{metrics}");
    assert!(!metrics.contains("AKID0999"), "no caller is a label");
    // The last ones are kept, the first ones are evicted.
    get_as(&gateway, &name(999), "/orders").await;
    assert_eq!(sts.calls().len(), 1000);
    get_as(&gateway, &name(0), "/orders").await;
    assert_eq!(sts.calls().len(), 1001);
}

#[tokio::test]
async fn request_ids_of_strangers_are_not_used_in_session_names() {
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let more = "session_name = \"{request_id}\"";
    let config =
        server() + &base() + &role("orders", &sts, more) + &route("orders", &origin, "orders");
    let gateway = gateway(&config);
    let forged = "GET /orders HTTP/1.1\r\nhost: h\r\nx-request-id: chosen-by-client\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(gateway.address, forged).await.status, 200);
    let response = crate::get(&gateway, "/orders").await;
    let own_id = response.header("x-request-id").expect("an ID");
    let names: Vec<_> = sts
        .calls()
        .iter()
        .map(|call| {
            call.parameter("RoleSessionName")
                .expect("a name")
                .to_owned()
        })
        .collect();
    assert_ne!(names[0], "chosen-by-client");
    assert_eq!(names[1], own_id);
}
