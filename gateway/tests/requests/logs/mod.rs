//! Log formats, levels and the access log.

mod isolation;
mod setting_names;

use aws_sigv4::http_request::SignatureLocation;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::support::{
    self, ACCESS_KEY_ID, TempFile, TestOrigin, config, exchange,
    logging::{LoggingGateway, OK, request, signed_request, with_log, with_verified_callers},
    read_until,
};

const CACHED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=60\r\n\r\nok";

const REFUSED: &str = "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: MissingAuthenticationTokenException\r\n\
    content-type: application/json\r\ncontent-length: 42\r\n\r\n{\"message\":\"Missing Authentication Token\"}";

#[tokio::test]
async fn each_request_is_one_line_of_json() {
    let origin = TestOrigin::start(CACHED).await;
    let rejecting = TestOrigin::start(REFUSED).await;
    let config = with_verified_callers(&config(&format!("http://{}", origin.address), ""))
        + &format!(
            "[[origin]]\nname = \"rejecting\"\nurl = \"http://{}\"\nservice = \"execute-api\"\n\
             region = \"eu-west-1\"\n[[route]]\npath = \"/rejected\"\norigin = \"rejecting\"\n\
             verify = false\n[[route]]\npath = \"/cached\"\norigin = \"orders\"\nverify = false\n\
             cache = true\n[[route]]\npath = \"/gone\"\norigin = \"gone\"\nverify = false\n\
             [[origin]]\nname = \"gone\"\nurl = \"http://127.0.0.1:1\"\n\
             service = \"execute-api\"\nregion = \"eu-west-1\"\n",
            rejecting.address
        );
    let logged = LoggingGateway::start(&with_log(&config, "format = \"json\"\naccess = true"));
    let (request, _) = signed_request("/orders/17", &[], SignatureLocation::Headers);
    assert_eq!(exchange(logged.gateway.address, &request).await.status, 200);
    for (method, target, status) in [
        ("POST", "/orders?password=hunter2", 403),
        ("GET", "/rejected", 403),
        ("GET", "/cached", 200),
        ("GET", "/cached", 200),
        ("GET", "/gone", 502),
        ("GET", "/a\\b", 400),
    ] {
        assert_eq!(
            logged.send(method, target, "").await.status,
            status,
            "{target}"
        );
    }
    let orders = ["api.example.com/orders", "orders"];
    let line = |method: &str, path: &str, status: u16, [route, origin]: [&str; 2], more: Value| {
        let mut line = json!({
            "level": "INFO",
            "target": "access",
            "message": "request",
            "client.address": "127.0.0.1",
            "server.address": "api.example.com",
            "http.request.method": method,
            "url.path": path,
            "http.response.status_code": status,
            "route": route,
            "origin": origin,
        });
        let more = more.as_object().cloned().expect("an object");
        line.as_object_mut().expect("an object").extend(more);
        line
    };
    let cached = ["/cached", "orders"];
    let expected = [
        line(
            "GET",
            "/orders/17",
            200,
            orders,
            json!({ "access_key_id": ACCESS_KEY_ID, "caller": ACCESS_KEY_ID, "mechanism": "sigv4" }),
        ),
        line(
            "POST",
            "/orders",
            403,
            orders,
            json!({ "rejection": "missing-authentication", "mechanism": "sigv4" }),
        ),
        line(
            "GET",
            "/rejected",
            403,
            ["/rejected", "rejecting"],
            json!({ "origin_rejection": "route-missing" }),
        ),
        line(
            "GET",
            "/cached",
            200,
            cached,
            json!({ "cache": "uri-miss" }),
        ),
        line("GET", "/cached", 200, cached, json!({ "cache": "hit" })),
        line("GET", "/gone", 502, ["/gone", "gone"], json!({})),
        line("GET", "/a\\b", 400, ["none", "none"], json!({})),
    ];
    assert_eq!(logged.access_events(), expected);
    let mut events = logged.events();
    events.retain(|event| event["target"] != "access");
    let [rejected, failed] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (&rejected["level"], &rejected["cause"]),
        (&json!("WARN"), &json!("route-missing"))
    );
    let message = failed["message"].as_str().expect("a string");
    assert!(
        message.starts_with("502 Bad Gateway: no connection to origin 127.0.0.1:1; "),
        "{message}"
    );
    let id = &failed["request_id"];
    let same = logged
        .lines()
        .iter()
        .filter(|line| line.contains(&id.to_string()))
        .count();
    assert_eq!((&failed["level"], same), (&json!("ERROR"), 2));
}

#[tokio::test]
async fn client_that_disconnects_early_is_logged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let config = config(
        &format!("http://{}", listener.local_addr().expect("an address")),
        "",
    );
    let logged = LoggingGateway::start(&with_log(&config, "format = \"json\"\naccess = true"));
    assert_eq!(logged.send("GET", "/nowhere", "").await.status, 404);
    let mut client = TcpStream::connect(logged.gateway.address)
        .await
        .expect("connected");
    client
        .write_all(request("GET", "/orders", "").as_bytes())
        .await
        .expect("sent");
    let (mut origin, _) = listener.accept().await.expect("a connection");
    read_until(&mut origin, "\r\n\r\n").await;
    drop(client);
    logged.wait_for("499").await;
    let requests: Vec<_> = logged
        .access_events()
        .iter()
        .map(|event| {
            (
                event["http.response.status_code"].clone(),
                event["route"].clone(),
            )
        })
        .collect();
    let orders = json!("api.example.com/orders");
    assert_eq!(
        requests,
        [(json!(404), json!("none")), (json!(499), orders)]
    );
}

#[tokio::test]
async fn requests_are_not_logged_by_default() {
    let origin = TestOrigin::start(OK).await;
    let logged = LoggingGateway::start(&config(&format!("http://{}", origin.address), ""));
    assert_eq!(logged.send("GET", "/orders", "").await.status, 200);
    assert_eq!(logged.send("GET", "/nowhere", "").await.status, 404);
    assert_eq!(logged.lines(), [""; 0]);
}

#[tokio::test]
async fn admin_port_changes_the_level() {
    let origin = TestOrigin::start(OK).await;
    let config = config(&format!("http://{}", origin.address), "");
    let section = "format = \"json\"\nlevel = \"warn\"\n[admin]\nlisten = \"127.0.0.1:0\"";
    let logged = LoggingGateway::start(&with_log(&config, section));
    assert_eq!(
        logged.admin("GET", "", "").await.body,
        "access=off,h2=error,warn\n"
    );
    let page = "origin: https://evil.example\r\n";
    for (headers, level, status) in [
        ("", "wran", 400),
        ("", "", 400),
        ("", "info,access=", 400),
        ("", "3", 400),
        (page, "debug", 403),
        ("host: evil.example\r\n", "debug", 421),
    ] {
        let response = logged.admin("PUT", headers, level).await;
        assert_eq!(response.status, status, "{level}: {}", response.body);
        assert_eq!(
            status == 400,
            response.body.contains("write off, error, warn"),
            "{}",
            response.body
        );
    }
    assert_eq!(logged.send("GET", "/orders", "").await.status, 200);
    assert_eq!(logged.events(), []);

    for (level, targets) in [
        (
            "warn,tower_sigv4=debug\n",
            &["tower_sigv4::sign::trace"][..],
        ),
        ("info,access=info", &["access"]),
        ("error", &["sigv4_gateway::admin::log"]),
        ("off", &[]),
    ] {
        let before = logged.events().len();
        assert_eq!(logged.admin("PUT", "", level).await.status, 204);
        assert_eq!(logged.send("GET", "/orders", "").await.status, 200);
        let events = logged.events().split_off(before);
        let logged_targets: Vec<_> = events.iter().map(|event| event["target"].clone()).collect();
        assert_eq!(logged_targets, targets, "{level}");
    }
}

#[test]
fn invalid_sections_are_reported() {
    for (section, message) in [
        (
            "level = \"wran\"",
            ":21: \"wran\" is not a level; write off, error, warn, info, debug or",
        ),
        ("level = \"info,\"", ":21: \"\" is not a level; "),
        (
            "format = \"xml\"",
            ":21: unknown variant, expected `text` or `json`",
        ),
        (
            "access = \"yes\"",
            ":21: invalid type: string, expected a boolean",
        ),
        ("file = \"a\"", "unknown field"),
    ] {
        let file = TempFile::new(&with_log(&config("http://127.0.0.1:1", ""), section));
        let output = support::gateway_command()
            .args(["--config", &file.path, "--check"])
            .output();
        let log = String::from_utf8(output.expect("output").stderr).expect("UTF-8");
        assert!(log.contains(message), "{section}: {log}");
    }
}
