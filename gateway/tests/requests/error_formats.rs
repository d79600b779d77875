//! The gateway's own errors have the format that the client's SDK reads.

use std::time::SystemTime;

use tokio::net::TcpListener;

use crate::support::{Gateway, TestResponse, exchange, s3::Key};

const SIGV4: &str = "AWS4-HMAC-SHA256 Credential=AKID/20260101";

/// Returns a configuration with one origin of a service, to which nothing can connect.
async fn config(service: &str) -> String {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = nobody.local_addr().expect("an address");
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n\
         [[origin]]\nname = \"a\"\nurl = \"http://{address}\"\nservice = \"{service}\"\n\
         region = \"us-east-1\"\npayload = \"buffer\"\nbody_limit = \"4B\"\n\
         [[route]]\npath = \"/once\"\nrate = \"1/h\"\norigin = \"a\"\n\
         [[route]]\npath = \"/limited\"\namz_headers = []\norigin = \"a\"\n\
         [[route]]\npath = \"/bucket\"\norigin = \"a\"\n"
    )
}

async fn send(gateway: &Gateway, request_line: &str, headers: &str, body: &str) -> TestResponse {
    let request = format!(
        "{request_line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-request-id: the-id\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(gateway.address, &request).await
}

#[tokio::test]
async fn errors_before_s3_are_its_xml() {
    let gateway = Gateway::with_config(&config("s3").await);
    for (line, headers, body, status, code) in [
        ("GET /other", "", "", 404, "NotFound"),
        ("GET /bucket/%zz", "", "", 400, "InvalidRequest"),
        ("TRACE /bucket", "", "", 400, "InvalidRequest"),
        (
            "GET /limited",
            "x-amz-acl: public-read\r\n",
            "",
            403,
            "AccessDenied",
        ),
        ("PUT /bucket/key", "", "hello", 413, "EntityTooLarge"),
        ("GET /bucket/key", "", "", 502, "BadGateway"),
        ("GET /once", "", "", 502, "BadGateway"),
        ("GET /once", "", "", 429, "SlowDown"),
    ] {
        let response = send(&gateway, line, headers, body).await;
        assert_eq!(response.status, status, "{line}: {}", response.body);
        assert_eq!(
            response.header("content-type"),
            Some("application/xml"),
            "{line}"
        );
        assert_eq!(
            response.header("x-amz-request-id"),
            Some("the-id"),
            "{line}"
        );
        let start = format!("<Error><Code>{code}</Code><Message>");
        assert!(response.body.contains(&start), "{line}: {}", response.body);
        assert!(
            response.body.contains("<RequestId>the-id</RequestId>"),
            "{line}: {}",
            response.body
        );
        assert_eq!(
            response.header("retry-after").is_some(),
            status == 429,
            "{line}"
        );
    }
    let response = send(&gateway, "HEAD /bucket/key", "", "").await;
    assert_eq!((response.status, &*response.body), (502, ""));
    assert_eq!(response.header("x-amz-error-code"), Some("BadGateway"));
}

#[tokio::test]
async fn errors_have_the_format_of_the_service_or_of_the_client() {
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let json = "content-type: application/x-amz-json-1.0\r\n";
    let signed = |service: &str| {
        format!(
            "authorization: {SIGV4}/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature={}\r\n",
            "0".repeat(64)
        )
    };
    for (service, headers, content_type, expected) in [
        (
            "execute-api",
            "",
            "application/json",
            r#"{"__type":"BadGatewayException","message":""#,
        ),
        (
            "sts",
            form,
            "text/xml",
            "<ErrorResponse><Error><Type>Receiver</Type><Code>BadGateway</Code>",
        ),
        (
            "ec2",
            "",
            "text/xml",
            "<Response><Errors><Error><Code>BadGateway</Code>",
        ),
        (
            "dynamodb",
            json,
            "application/x-amz-json-1.0",
            r#"{"__type":"BadGatewayException","message":""#,
        ),
        (
            "execute-api",
            &signed("s3"),
            "application/xml",
            "<Error><Code>BadGateway</Code>",
        ),
        (
            "s3",
            &signed("dynamodb"),
            "application/json",
            r#"{"__type":"BadGatewayException""#,
        ),
    ] {
        let gateway = Gateway::with_config(&config(service).await);
        let response = send(&gateway, "POST /bucket", headers, "").await;
        assert_eq!(response.status, 502, "{service}: {}", response.body);
        let found = response.header("content-type").unwrap_or_default();
        assert!(
            found.starts_with(content_type),
            "{service} {headers}: {found}"
        );
        assert!(
            response.body.contains(expected),
            "{service} {headers}: {}",
            response.body
        );
    }
}

/// boto3 and s3cmd sign again for the region in the response.
#[tokio::test]
async fn rejections_name_the_region_and_the_settings_of_the_gateway() {
    let verify = "[verify]\nservice = \"s3\"\nregion = \"eu-west-1\"\nexplain = true\n\
        [[verify.key]]\naccess_key_id = \"AKIDALICE\"\nsecret_access_key = \"secret\"\n";
    let gateway = Gateway::with_config(&(config("s3").await + verify));
    let key = Key::new("AKIDALICE", "secret", "s3", "us-east-1");
    let hash = tower_sigv4::sigv4::PayloadHash::EMPTY.to_string();
    let signed = key.sign("GET", "http://h/bucket", &[], &hash, SystemTime::now());
    let headers: String = signed
        .expect("signed")
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let response = send(&gateway, "GET /bucket", &headers, "").await;
    assert_eq!(response.status, 400, "{}", response.body);
    for part in [
        "<Code>AuthorizationHeaderMalformed</Code>",
        "<Region>eu-west-1</Region>",
        "<RequestId>the-id</RequestId>",
    ] {
        assert!(response.body.contains(part), "{part}: {}", response.body);
    }
    assert!(
        !response.body.contains("VerifySettings"),
        "{}",
        response.body
    );
}
