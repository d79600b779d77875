//! Responses and log lines name keys of the configuration, not methods of the library.

use crate::support::{
    TestOrigin, config,
    logging::{LoggingGateway, OK, with_log, with_verified_callers},
};

const WRONG_REGION: &str = "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: InvalidSignatureException\r\n\
    content-type: application/json\r\ncontent-length: 60\r\n\r\n\
    {\"message\":\"Credential should be scoped to a valid region.\"}";

#[tokio::test]
async fn responses_and_log_lines_name_keys_of_the_configuration() {
    let origin = TestOrigin::start(OK).await;
    let rejecting = TestOrigin::start(WRONG_REGION).await;
    let trusting = "payload = \"trust\"\n";
    let config = with_verified_callers(&config(&format!("http://{}", origin.address), trusting))
        + &format!(
            "[[origin]]\nname = \"rejecting\"\nurl = \"http://{}\"\nservice = \"execute-api\"\n\
             region = \"eu-west-1\"\n[[route]]\npath = \"/rejected\"\norigin = \"rejecting\"\n\
             verify = false\n[[route]]\npath = \"/trusting\"\norigin = \"orders\"\nverify = false\n",
            rejecting.address
        );
    let section = "level = \"info,tower_sigv4=debug\"";
    let logged = LoggingGateway::start(&with_log(&config, section));
    let other_algorithm = "authorization: AWS4-ECDSA-P256-SHA256 x\r\n";
    let mut texts = Vec::new();
    for (method, target, headers, status) in [
        ("GET", "/rejected", "", 502),
        ("PUT", "/trusting", "content-length: 0\r\n", 400),
        ("GET", "/orders", other_algorithm, 403),
    ] {
        let response = logged.send(method, target, headers).await;
        assert_eq!(response.status, status, "{target}: {}", response.body);
        texts.push(response.body);
    }
    texts.extend(logged.lines());
    let all = texts.join("\n");
    for name in [
        "region in [[origin]]",
        "choose `payload = \"mirror\"`",
        "needs `sigv4a = true`",
    ] {
        assert!(all.contains(name), "{name}: {all}");
    }
    for name in ["Origin::", "OriginRule", "PayloadMode", "VerifySettings"] {
        assert!(!all.contains(name), "{name}: {all}");
    }
}

#[tokio::test]
async fn hint_of_an_unknown_path_names_the_key_of_a_route() {
    let origin = TestOrigin::start(OK).await;
    let logged = LoggingGateway::start(&config(&format!("http://{}", origin.address), ""));
    let response = logged.send("GET", "/nowhere", "").await;
    assert_eq!(response.status, 404);
    let hint = "if a router in front has removed the prefix of a rule, use `path = \\\"/\\\"`";
    assert!(response.body.contains(hint), "{}", response.body);
}
