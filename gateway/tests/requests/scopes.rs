//! Services, regions and buckets that the client chooses.

use std::time::SystemTime;

use tower_sigv4::sigv4::PayloadHash;

use crate::support::{
    self, Gateway, TestOrigin, TestResponse, exchange,
    s3::{Key, S3Origin, UNSIGNED},
};

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Returns a configuration with one origin and one route.
pub(super) fn config(url: &str, origin: &str, more: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKIDGATEWAY\"\n\
         secret_access_key = \"the real secret\"\n\
         [[origin]]\nname = \"a\"\nurl = \"{url}\"\n{origin}\
         [[route]]\npath = \"/\"\norigin = \"a\"\n{more}"
    )
}

fn client(service: &str, region: &str) -> Key {
    Key::new("AKIDCLIENT", "placeholder", service, region)
}

/// Sends a request to a host, signed by a client.
async fn send(gateway: &Gateway, key: &Key, url: &str, payload: &str) -> TestResponse {
    let signed = key.sign("GET", url, &[], payload, SystemTime::now());
    let headers: String = signed
        .expect("signed")
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("a URL");
    let request =
        format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
    exchange(gateway.address, &request).await
}

fn empty() -> String {
    PayloadHash::EMPTY.to_string()
}

#[tokio::test]
async fn origin_with_the_scope_of_the_client_signs_for_what_is_listed() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let lists = "service = \"client\"\nservices = [\"s3\", \"dynamodb\"]\n\
        region = \"client\"\nregions = [\"us-east-1\", \"eu-*\"]\n";
    let gateway = Gateway::with_config(&config(&url, lists, ""));
    for (service, region) in [
        ("s3", "us-east-1"),
        ("dynamodb", "us-east-1"),
        ("dynamodb", "eu-west-1"),
    ] {
        let response = send(&gateway, &client(service, region), "http://h/a", &empty()).await;
        assert_eq!(
            response.status, 200,
            "{service} {region}: {}",
            response.body
        );
        let seen = origin.requests().pop().expect("a request");
        let scope = format!("/{region}/{service}/aws4_request");
        assert!(
            seen.contains("Credential=AKIDGATEWAY/") && seen.contains(&scope),
            "{seen}"
        );
        assert!(!seen.contains("AKIDCLIENT"), "{seen}");
    }
    let unsigned = "GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(gateway.address, unsigned).await.status, 200);
    let seen = origin.requests().pop().expect("a request");
    assert!(seen.contains("/us-east-1/s3/aws4_request"), "{seen}");

    let count = origin.requests().len();
    for (service, region, named, listed) in [
        ("iam", "us-east-1", "\"iam\"", "s3, dynamodb"),
        ("s3", "us-west-2", "\"us-west-2\"", "us-east-1, eu-*"),
    ] {
        let response = send(&gateway, &client(service, region), "http://h/a", &empty()).await;
        assert_eq!(
            response.status, 403,
            "{service} {region}: {}",
            response.body
        );
        let text = response.body.replace("&quot;", "\"").replace("\\\"", "\"");
        assert!(text.contains(named) && text.contains(listed), "{text}");
        assert!(!text.contains("AsSigned"), "{text}");
    }
    assert_eq!(origin.requests().len(), count, "nothing is sent");
}

#[tokio::test]
async fn scope_that_contradicts_an_aws_host_is_rejected() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let lists = "signed_host = \"s3.us-east-1.amazonaws.com\"\n\
        service = \"client\"\nservices = [\"s3\", \"dynamodb\"]\n\
        region = \"client\"\nregions = [\"us-east-1\", \"eu-west-1\"]\n";
    let gateway = Gateway::with_config(&config(&url, lists, ""));
    for (service, region, status) in [
        ("s3", "us-east-1", 200),
        ("dynamodb", "us-east-1", 403),
        ("s3", "eu-west-1", 403),
    ] {
        let response = send(&gateway, &client(service, region), "http://h/a", &empty()).await;
        assert_eq!(
            response.status, status,
            "{service} {region}: {}",
            response.body
        );
        if status == 403 {
            let contradiction = if service == "s3" { region } else { service };
            assert!(
                response.body.contains(contradiction)
                    && response.body.contains("s3.us-east-1.amazonaws.com"),
                "{}",
                response.body
            );
        }
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn each_service_is_verified_by_its_own_rules() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let scope = "service = \"client\"\nservices = [\"s3\", \"dynamodb\"]\nregion = \"us-east-1\"\n";
    let verify = "[verify]\nregion = \"us-east-1\"\n\
        [[verify.service]]\nname = \"s3\"\nregion = [\"us-east-1\", \"eu-west-1\"]\n\
        [[verify.service]]\nname = \"dynamodb\"\n\
        [[verify.key]]\naccess_key_id = \"AKIDCLIENT\"\nsecret_access_key = \"placeholder\"\n";
    let gateway = Gateway::with_config(&config(&url, scope, verify));
    let empty = empty();
    for (service, region, payload, status) in [
        ("s3", "us-east-1", &*empty, 200),
        ("s3", "us-east-1", UNSIGNED, 200),
        ("dynamodb", "us-east-1", &empty, 200),
        ("dynamodb", "us-east-1", UNSIGNED, 403),
        ("dynamodb", "eu-west-1", &empty, 403),
        ("sts", "us-east-1", &empty, 403),
        ("s3", "us-west-2", &empty, 400),
    ] {
        let response = send(&gateway, &client(service, region), "http://h/a", payload).await;
        assert_eq!(
            response.status, status,
            "{service} {region} {payload}: {}",
            response.body
        );
    }
    assert_eq!(origin.requests().len(), 3);
}

/// The SDKs of most services send no `x-amz-content-sha256`.
#[tokio::test]
async fn streamed_verification_collects_bodies_without_a_hash() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let scope = "service = \"execute-api\"\nregion = \"us-east-1\"\n";
    let verify = "[verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\nbody = \"streamed\"\n\
        [[verify.key]]\naccess_key_id = \"AKIDCLIENT\"\nsecret_access_key = \"placeholder\"\n";
    let gateway = Gateway::with_config(&config(&url, scope, verify));
    let signed = support::signed_request("POST", "/a", "h", "a body", "AKIDCLIENT", "placeholder");
    assert!(!signed.contains("x-amz-content-sha256"), "{signed}");
    for (request, status) in [(signed.replace("a body", "A body"), 403), (signed, 200)] {
        let response = exchange(gateway.address, &request).await;
        assert_eq!(response.status, status, "{}", response.body);
    }
    assert_eq!(origin.requests().len(), 1);
}

/// Otherwise the laxer rules of one service would be those of all.
#[tokio::test]
async fn request_for_one_verified_service_does_not_reach_another() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let scope = "service = \"dynamodb\"\nregion = \"us-east-1\"\n";
    let verify = "[verify]\nservice = [\"s3\", \"dynamodb\"]\nregion = \"us-east-1\"\n\
        [[verify.key]]\naccess_key_id = \"AKIDCLIENT\"\nsecret_access_key = \"placeholder\"\n";
    let gateway = Gateway::with_config(&config(&url, scope, verify));
    for (service, status) in [("dynamodb", 200), ("s3", 403)] {
        let response = send(
            &gateway,
            &client(service, "us-east-1"),
            "http://h/a",
            &empty(),
        )
        .await;
        assert_eq!(response.status, status, "{service}: {}", response.body);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn buckets_in_the_host_reach_the_origin() {
    let key = Key::new("AKIDGATEWAY", "the real secret", "s3", "us-east-1");
    let origin = S3Origin::start(key).await;
    let url = format!("http://{}", origin.address);
    let scope = "service = \"s3\"\nregion = \"us-east-1\"\n";
    let verify = "[verify]\nservice = \"s3\"\nregion = \"us-east-1\"\n\
        [[verify.key]]\naccess_key_id = \"AKIDCLIENT\"\nsecret_access_key = \"placeholder\"\n";
    let routes = |hosts: &[&str], verify: &str| {
        let text = config(&url, scope, verify);
        let (head, rest) = text.split_once("[[route]]\n").expect("a route");
        let routes: String = hosts
            .iter()
            .map(|host| {
                let line = if host.is_empty() {
                    String::new()
                } else {
                    format!("host = \"{host}\"\n")
                };
                format!("[[route]]\n{line}path = \"/\"\norigin = \"a\"\n")
            })
            .collect();
        let (_, more) = rest.split_once("origin = \"a\"\n").expect("the origin");
        Gateway::with_config(&format!("{head}{routes}{more}"))
    };
    let client = client("s3", "us-east-1");
    let virtual_hosts = ["{bucket}.s3.example.com", "s3.example.com"];
    for verify in ["", verify] {
        let gateway = routes(&virtual_hosts, verify);
        for (host, sent) in [
            ("photos.s3.example.com", "/photos/cat.jpg"),
            ("my.photos.s3.example.com", "/my.photos/cat.jpg"),
            ("s3.example.com", "/cat.jpg"),
        ] {
            let url = format!("http://{host}/cat.jpg");
            let response = send(&gateway, &client, &url, &empty()).await;
            assert_eq!(response.status, 200, "{host}: {}", response.body);
            let seen = origin.take();
            assert_eq!(seen.len(), 1, "{host}");
            assert_eq!(seen[0].head.uri.path(), sent, "{host}");
        }
        for host in [
            "a..b.s3.example.com",
            "ab.s3.example.com",
            "-.s3.example.com",
        ] {
            let response = send(&gateway, &client, &format!("http://{host}/k"), &empty()).await;
            assert_eq!(response.status, 400, "{host}: {}", response.body);
        }
        for host in ["photos.other.com", "s3.example.com.evil.com"] {
            let response = send(&gateway, &client, &format!("http://{host}/k"), &empty()).await;
            assert_eq!(response.status, 404, "{host}: {}", response.body);
        }
        assert_eq!(origin.take().len(), 0);
    }
    // Without a route that reads it, the bucket's name would be lost.
    let gateway = routes(&["s3.example.com", ""], "");
    let url = "http://photos.s3.example.com/cat.jpg";
    let response = send(&gateway, &client, url, &empty()).await;
    assert_eq!(response.status, 404, "{}", response.body);
    assert_eq!(origin.take().len(), 0);
}
