//! The sources of the default credential chain, each in a process with its own environment.

mod support;

use axum::{
    Json, Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{any, get, put},
};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{Identity, Origin, run, serve, temporary};
use tower_sigv4::credentials::Credentials;

const TOKEN: &str = "session/token+with=signs";

/// Runs the example in this environment, with an origin that accepts only this key with `TOKEN`.
async fn signs_with(access_key_id: &str, variables: &[(&str, &str)]) {
    let key = Credentials::new(access_key_id, "found", Some(TOKEN.to_owned()), None, "test");
    let origin = Origin::start(key, "execute-api").await;
    // The TLS client requires trusted certificates even for plain HTTP.
    let identity = Identity::new();
    let mut environment = vec![
        ("AWS_REGION", "us-east-1"),
        ("SSL_CERT_FILE", identity.ca_file()),
    ];
    environment.extend(variables);
    let arguments = [&*format!("{}/orders?id=1", origin.url()), "execute-api"];
    let output = run(
        env!("CARGO_BIN_EXE_default_chain"),
        &arguments,
        &environment,
    )
    .await;
    assert_eq!(output.stdout, "200 OK\n\n", "{}", output.stderr);

    let [seen] = &origin.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(seen.verified.access_key_id(), access_key_id);
    assert_eq!(seen.headers["x-amz-security-token"], TOKEN);
    assert!(
        seen.verified
            .signed_headers()
            .any(|name| name == "x-amz-security-token")
    );
}

/// Credentials as the endpoints of containers and instances return them.
fn credentials_document(access_key_id: &str) -> Json<Value> {
    Json(json!({
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": "2020-01-01T00:00:00Z",
        "AccessKeyId": access_key_id,
        "SecretAccessKey": "found",
        "Token": TOKEN,
        "Expiration": "2099-01-01T00:00:00Z",
    }))
}

#[tokio::test]
async fn profile_in_a_file() {
    let config = temporary("[profile orders]\nregion = us-east-1\n");
    let credentials = temporary(&format!(
        "[orders]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = found\n\
         aws_session_token = {TOKEN}\n",
    ));
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().expect("UTF-8").to_owned();
    signs_with(
        "AKIDPROFILE",
        &[
            ("AWS_CONFIG_FILE", &path(&config)),
            ("AWS_SHARED_CREDENTIALS_FILE", &path(&credentials)),
            ("AWS_PROFILE", "orders"),
        ],
    )
    .await;
}

#[tokio::test]
async fn web_identity_by_sts() {
    async fn sts(request: Request) -> Response {
        let body = request
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        let body = String::from_utf8_lossy(&body);
        let role = "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Forders";
        for expected in [
            "Action=AssumeRoleWithWebIdentity",
            role,
            "WebIdentityToken=a.web.token",
        ] {
            if !body.split('&').any(|parameter| parameter == expected) {
                return (StatusCode::BAD_REQUEST, format!("no {expected} in {body}"))
                    .into_response();
            }
        }
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAWEB</AccessKeyId>\
             <SecretAccessKey>found</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>\
             <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
             </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        )
        .into_response()
    }

    let sts = format!(
        "http://{}",
        serve(Router::new().fallback(any(sts)), None).await
    );
    let token = temporary("a.web.token");
    signs_with(
        "ASIAWEB",
        &[
            (
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                token.path().to_str().expect("UTF-8"),
            ),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/orders"),
            ("AWS_ENDPOINT_URL_STS", &sts),
        ],
    )
    .await;
}

#[tokio::test]
async fn container_endpoint() {
    async fn endpoint(request: Request) -> Response {
        match request.headers().get("authorization") {
            Some(secret) if secret == "of the task" => {
                credentials_document("ASIACONTAINER").into_response()
            }
            _ => StatusCode::FORBIDDEN.into_response(),
        }
    }

    let container = serve(Router::new().route("/v1/credentials", get(endpoint)), None).await;
    signs_with(
        "ASIACONTAINER",
        &[
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &format!("http://{container}/v1/credentials"),
            ),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of the task"),
        ],
    )
    .await;
}

#[tokio::test]
async fn instance_metadata_version_2() {
    async fn session() -> impl IntoResponse {
        (
            [("x-aws-ec2-metadata-token-ttl-seconds", "21600")],
            "of the session",
        )
    }

    /// Version 2 rejects requests without a session, which version 1 accepts.
    async fn metadata(request: Request) -> Response {
        let session = request.headers().get("x-aws-ec2-metadata-token");
        if session != Some(&HeaderValue::from_static("of the session")) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        match request.uri().path() {
            "/latest/meta-data/iam/security-credentials/" => "orders".into_response(),
            "/latest/meta-data/iam/security-credentials/orders" => {
                credentials_document("ASIAINSTANCE").into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    let router = Router::new()
        .route("/latest/api/token", put(session))
        .fallback(get(metadata));
    let instance = format!("http://{}", serve(router, None).await);
    signs_with(
        "ASIAINSTANCE",
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &instance)],
    )
    .await;
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let key = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let origin = Origin::start(key, "execute-api").await;
    let identity = Identity::new();
    let environment = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("SSL_CERT_FILE", identity.ca_file()),
    ];
    let arguments = [&*origin.url(), "execute-api"];
    let output = run(
        env!("CARGO_BIN_EXE_default_chain"),
        &arguments,
        &environment,
    )
    .await;
    assert!(
        !output.success && output.stderr.contains("Credentials"),
        "{}",
        output.stderr
    );
    assert!(origin.seen().is_empty());
}
