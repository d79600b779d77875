//! Credentials of the default chain of AWS's SDK; feature `aws-config`.

#![cfg(feature = "aws-config")]

use crate::support::{Gateway, TestOrigin, config, exchange, without_credentials};

const REQUEST: &str = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";

fn chain_config(origin: &TestOrigin) -> String {
    let config = without_credentials(&config(&format!("http://{}", origin.address), ""));
    config.replace("[credentials]", "[credentials]\nsource = \"aws\"")
}

#[tokio::test]
async fn container_role_signs_with_its_token() {
    let container = TestOrigin::start(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 125\r\n\r\n\
         {\"AccessKeyId\":\"ASIACONTAINER\",\"SecretAccessKey\":\"hunter2\",\"Token\":\"T0KEN\",\
         \"Expiration\":\"2099-01-01T00:00:00Z\",\"RoleArn\":\"a\"}",
    )
    .await;
    let origin = TestOrigin::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let gateway = Gateway::with_config_and_env(
        &chain_config(&origin),
        &[
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &format!("http://{}/role", container.address),
            ),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("HOME", "/nonexistent"),
        ],
    );
    for _ in 0..2 {
        assert_eq!(exchange(gateway.address, REQUEST).await.status, 200);
    }
    for request in origin.requests() {
        assert!(request.contains("Credential=ASIACONTAINER/"), "{request}");
        assert!(
            request.contains("x-amz-security-token: T0KEN\r\n"),
            "{request}"
        );
    }
    assert_eq!(
        (origin.requests().len(), container.requests().len()),
        (2, 1),
        "the credentials are cached"
    );
}

#[tokio::test]
async fn missing_credentials_sign_nothing() {
    let origin = TestOrigin::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let variables = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HOME", "/nonexistent"),
    ];
    let gateway = Gateway::with_config_and_env(&chain_config(&origin), &variables);
    assert_eq!(exchange(gateway.address, REQUEST).await.status, 503);
    assert_eq!(origin.requests().len(), 0);
}
