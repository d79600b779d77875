//! Traffic, rejections and the workbench.

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{Events, HOSTILE, TOKEN, forged, gateway, send_admin};
use crate::support::{
    self, ACCESS_KEY_ID, Gateway, REGION, SECRET_ACCESS_KEY, exchange, signed_request,
};

#[tokio::test]
async fn status_events_match_the_traffic() {
    let (gateway, admin) = gateway("").await;
    let mut events = Events::listen(admin).await;
    let (name, history) = events.next().await.expect("an event");
    assert!(name == "history" && history.is_array(), "{name} {history}");
    let first = events
        .until("status", |status| !status["reasons"].is_null())
        .await;
    assert_eq!(first["reasons"], json!([]));
    assert_eq!(first["requests"], 0);
    assert_eq!(
        first["origins"][0]["last_response"],
        Value::Null,
        "no requests yet"
    );
    for _ in 0..3 {
        let request = signed_request(
            "GET",
            "/orders/17",
            "api.example.com",
            "",
            ACCESS_KEY_ID,
            SECRET_ACCESS_KEY,
        );
        assert_eq!(exchange(gateway.address, &request).await.status, 200);
    }
    let down = "GET /down HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(gateway.address, down).await.status, 502);
    let mut finished = 0.0;
    let mut failed = 0.0;
    let mut lookups = 0;
    let mut hits = 0;
    let status = loop {
        let status = events.until("status", |_| true).await;
        let point = &status["point"];
        finished += point[1].as_f64().expect("a number");
        failed += point[2].as_f64().expect("a number");
        lookups += point[6].as_u64().expect("a number");
        hits += point[7].as_u64().expect("a number");
        if point[1].as_f64() > Some(0.0) {
            let times = [3, 4, 5].map(|column| point[column].as_f64().expect("a time"));
            assert!(
                times[0] > 0.0 && times.is_sorted() && times[2] < 60.0,
                "{times:?}"
            );
        }
        if status["requests"] == 4 {
            break status;
        }
    };
    // On a busy machine an interval takes longer than a second.
    assert!(
        finished > 1.0 && finished < 8.0 && failed > 0.2 && failed < 2.0,
        "{finished} {failed}"
    );
    assert_eq!((lookups, hits), (3, 2));
    assert_eq!(status["cache"]["problem"], Value::Null);
    assert_eq!(status["cache"]["servers"], json!([]), "a store in memory");
    assert_eq!(status["fleet"], Value::Null);
    let routes = status["routes"].as_array().expect("an array");
    let shown: Vec<_> = routes
        .iter()
        .map(|route| (&route["route"], &route["origin"], &route["failed"]))
        .collect();
    let [orders, down] = ["orders", "down"].map(|origin| json!(origin));
    let [orders_route, down_route] = ["api.example.com/orders", "/down"].map(|route| json!(route));
    let [none, all] = [0.0, 1.0].map(|share| json!(share));
    assert_eq!(
        shown,
        [(&orders_route, &orders, &none), (&down_route, &down, &all)]
    );
    assert!(routes[0]["p99"].is_f64(), "{routes:?}");
    assert_eq!(status["other_routes"], 0);
    assert_eq!(status["stopping"], false);
    assert_eq!(status["bodies"], json!({ "size": 268_435_456, "used": 0 }));
    let identity = &status["identities"][0];
    assert_eq!(identity["name"], "default");
    assert_eq!(identity["source"], "static");
    for name in ["error", "expires_in", "sessions"] {
        assert_eq!(identity[name], json!(null), "{name}");
    }
    let origins = status["origins"].as_array().expect("an array");
    let of = |name: &str| {
        origins
            .iter()
            .find(|origin| origin["name"] == name)
            .expect("an origin")
    };
    assert_eq!(of("orders")["last_response"]["status"], 200);
    assert_eq!(of("orders")["resolves"], true);
    assert_eq!(of("down")["last_response"]["error"], "no connection");
    let mut later = Events::listen(admin).await;
    let (_, history) = later.next().await.expect("an event");
    let points = history.as_array().expect("an array");
    let seen = points
        .iter()
        .filter(|point| point[1].as_f64() > Some(0.0))
        .count();
    assert!(seen > 0, "later pages receive the history: {history}");
    let _held = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    events
        .until("status", |status| status["connections"] == 1)
        .await;
}

#[tokio::test]
async fn rejected_callers_are_listed_without_secrets() {
    let (gateway, admin) = gateway("").await;
    let mismatch = exchange(gateway.address, &forged("/orders?key=hunter2", REGION)).await;
    assert!(
        mismatch.body.contains("hunter2"),
        "the caller gets the details: {}",
        mismatch.body
    );
    assert_eq!(
        exchange(gateway.address, &forged("/orders", HOSTILE))
            .await
            .status,
        403
    );
    let mut events = Events::listen(admin).await;
    let rejections = events
        .until("rejections", |rejections| {
            rejections["callers"]["total"] == 2
        })
        .await;
    let recent = rejections["callers"]["recent"]
        .as_array()
        .expect("an array");
    assert_eq!(
        (&recent[0]["kind"], &recent[0]["number"]),
        (&json!("scope"), &json!(2))
    );
    assert!(
        recent[0]["summary"]
            .as_str()
            .is_some_and(|it| it.contains(HOSTILE)),
        "{rejections}"
    );
    assert_eq!(recent[1]["kind"], "signature-mismatch");
    assert_eq!(recent[1]["route"], "api.example.com/orders");
    let canonical = recent[1]["canonical"].as_str().expect("a string");
    for line in [
        "GET\n/orders\nkey=(7 bytes)\nhost:api.example.com\n",
        "x-amz-meta-note:(7 bytes)\n",
    ] {
        assert!(canonical.contains(line), "{canonical}");
    }
    let string_to_sign = recent[1]["string_to_sign"].as_str().expect("a string");
    assert!(
        string_to_sign.starts_with("AWS4-HMAC-SHA256\n"),
        "{string_to_sign}"
    );
    let listed = rejections.to_string();
    for secret in [
        TOKEN,
        "hunter2",
        &"0".repeat(64),
        SECRET_ACCESS_KEY,
        "Credential=",
    ] {
        assert!(!listed.contains(secret), "{secret} in {listed}");
    }
}

#[tokio::test]
async fn origin_rejections_list_their_differences() {
    let demo = Gateway::start(&["--listen", "127.0.0.1:0"], &[]);
    let admin = demo
        .printed_after("status  http://")
        .parse()
        .expect("an address");
    let origin = demo.printed_after("origin  http://");
    assert_eq!(
        support::get(demo.address, "/mistaken/orders?key=hunter2")
            .await
            .status,
        502
    );
    let mut events = Events::listen(admin).await;
    let rejections = events
        .until("rejections", |rejections| {
            rejections["origins"]["total"] == 1
        })
        .await;
    let last = &rejections["origins"]["recent"][0];
    assert_eq!(
        (&last["kind"], &last["origin"]),
        (&json!("host-changed"), &json!("mistaken"))
    );
    let host = json!({
        "part": "host", "signed": "\"api.example.com\"", "derived": format!("{origin:?}"),
    });
    assert_eq!(last["differences"], json!([host]));
    assert!(
        last["remedies"][0]
            .as_str()
            .is_some_and(|remedy| remedy.starts_with("sign for the host"))
    );
    assert!(!rejections.to_string().contains("hunter2"), "{rejections}");
}

#[tokio::test]
async fn workbench_explains_pasted_exchanges() {
    let (_gateway, admin) = gateway("").await;
    let request = forged("/orders", REGION);
    let rejection = "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\n\r\n\
        {\"message\": \"The request signature we calculated does not match the signature you provided.\
        \\n\\nThe Canonical String for this request should have been\\n'GET\\n/prod/orders\\n\\nhost:h\\n\
        x-amz-security-token:token-of-the-caller\\n\\nhost;x-amz-security-token\\nabc'\"}";
    let response = send_admin(admin, "POST /explain", "", &format!("{request}{rejection}")).await;
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let explanation: Value = serde_json::from_str(&response.body).expect("JSON");
    assert_eq!(
        explanation["diagnosis"]["cause"], "authorization-changed",
        "{explanation}"
    );
    assert!(
        explanation["lines"]
            .as_array()
            .is_some_and(|it| it.contains(&json!(["derived", "/prod/orders"])))
    );
    for secret in [TOKEN, &"0".repeat(64)] {
        assert!(
            !response.body.contains(secret),
            "{secret} in {}",
            response.body
        );
    }
    // Nothing changes on the way, so the secret is wrong, or the client signs another form.
    let derived = "GET\\n/x/y\\nv=\\nhost:h\\nx-amz-date:20261129T005340Z\\n\\nhost;x-amz-date\\n\
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let unchanged = format!(
        "GET /x//y?v HTTP/1.1\r\nHost: h\r\nX-Amz-Date: 20261129T005340Z\r\nUser-Agent: curl/7.88.1\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=AKID/20261129/us-east-1/execute-api/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={}\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n\
         {{\"message\": \"The request signature we calculated does not match the signature you provided.\
         \\n\\nThe Canonical String for this request should have been\\n'{derived}'\"}}",
        "0".repeat(64)
    );
    let response = send_admin(admin, "POST /explain", "", &unchanged).await;
    let explanation: Value = serde_json::from_str(&response.body).expect("JSON");
    let diagnosis = &explanation["diagnosis"];
    assert_eq!(diagnosis["cause"], "secret-or-client", "{explanation}");
    assert_eq!(
        diagnosis["client_forms"],
        json!([
            "path: curl 7.86 to 8.2 signs \"/x//y\", and AWS derives \"/x/y\"",
            "query: curl 7.86 to 8.2 signs a name without \"=\", and AWS derives it with \"=\"",
        ])
    );
    let remedy = diagnosis["remedies"][0].as_str().expect("a remedy");
    assert!(
        remedy.contains("sigv4-gateway --explain FILE --secret-env NAME"),
        "the page has no such option: {remedy}"
    );
    let response = send_admin(admin, "POST /explain", "", &request).await;
    let explanation: Value = serde_json::from_str(&response.body).expect("JSON");
    let canonical = explanation["signed"]["canonical_request"]
        .as_str()
        .expect("a string");
    assert!(
        canonical.contains("x-amz-security-token:[redacted]\n"),
        "{canonical}"
    );

    let long = "x".repeat(1024 * 1024 + 1);
    for (body, status, message) in [
        (
            "",
            400,
            "does not mention a signature; provide the output of curl -v",
        ),
        ("hello", 400, "does not mention a signature"),
        (
            "GET / HTTP/1.1\r\nhost: h\r\n\r\n",
            400,
            "the request carries no signature",
        ),
        (
            "curl --aws-sigv4 aws:amz:us-east-1:s3 https://h/",
            400,
            "provide the output of curl -v",
        ),
        (
            "GET / HTTP/1.1\na b\n\n",
            400,
            "the request's head: invalid header name",
        ),
        (&long, 413, "longer than 1 MiB"),
        (&long[2..], 400, "does not mention a signature"),
    ] {
        let response = send_admin(admin, "POST /explain", "", body).await;
        let start = &body[..body.len().min(40)];
        assert_eq!(response.status, status, "{start}: {}", response.body);
        let explanation: Value = serde_json::from_str(&response.body).expect("JSON");
        assert!(
            explanation["message"]
                .as_str()
                .is_some_and(|it| it.contains(message)),
            "{start}: {explanation}"
        );
    }
}
