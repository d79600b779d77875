//! Amazon Cognito identity pools.
//!
//! This calls the two unauthenticated operations itself: `aws-sdk-cognitoidentity` is a client of 23 operations, which
//! would take longer to compile than the rest of the gateway's clients.

use std::{
    env,
    time::{Duration, UNIX_EPOCH},
};

use aws_credential_types::{Credentials, provider};
use aws_smithy_runtime_api::client::{http::HttpConnector, result::ConnectorError};
use aws_smithy_types::body::SdkBody;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::http::HttpClients;
use crate::{
    config::{IdentityPool, login_of},
    error::chain,
    identity::{
        error::{FailureKind, SourceError},
        user_token::UserToken,
    },
};

/// Larger than any response.
const MAX_RESPONSE_LEN: usize = 64 * 1024;
/// Longest part of an error's message that the log has.
const MAX_MESSAGE_LEN: usize = 300;
const REMEDY: &str = "check that Amazon Cognito can be reached from here";

/// Client of one identity pool.
#[derive(Debug)]
pub(super) struct IdentityPoolClient {
    pool: IdentityPool,
    clients: HttpClients,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetIdResponse {
    identity_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsResponse {
    credentials: PoolCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PoolCredentials {
    access_key_id: String,
    secret_key: String,
    session_token: String,
    /// In seconds since the epoch.
    expiration: f64,
}

/// Rejection by Amazon Cognito.
struct PoolRejection {
    status: StatusCode,
    code: String,
    message: String,
}

impl IdentityPoolClient {
    pub(super) fn new(pool: IdentityPool, clients: HttpClients) -> Self {
        Self { pool, clients }
    }

    /// Returns credentials of the user. `identity_id` is the ID that the pool has given the user, if it is known.
    pub(super) async fn credentials(
        &self,
        token: &UserToken,
        identity_id: &mut Option<String>,
    ) -> provider::Result {
        let logins = json!({ login_of(&token.account().issuer): token.secret() });
        let id = match identity_id {
            Some(known) => known.clone(),
            None => {
                let body = json!({ "IdentityPoolId": self.pool.id, "Logins": logins });
                let response: GetIdResponse = self.call("GetId", &body, token).await?;
                identity_id.insert(response.identity_id).clone()
            }
        };
        let mut body = json!({ "IdentityId": id, "Logins": logins });
        if let Some(arn) = &self.pool.role_arn {
            body["CustomRoleArn"] = Value::from(arn.as_str());
        }
        let called = self.call("GetCredentialsForIdentity", &body, token).await;
        // The pool's administrator may have deleted the identity.
        let CredentialsResponse { credentials } = called.inspect_err(|_| *identity_id = None)?;
        let since_epoch = Duration::try_from_secs_f64(credentials.expiration);
        let expiry = since_epoch.ok().and_then(|it| UNIX_EPOCH.checked_add(it));
        Ok(Credentials::new(
            credentials.access_key_id,
            credentials.secret_key,
            Some(credentials.session_token),
            Some(expiry.ok_or_else(invalid_response)?),
            "cognito",
        ))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        action: &str,
        body: &Value,
        token: &UserToken,
    ) -> Result<T, SourceError> {
        let (status, headers, text) = self.send(action, body).await?;
        if status.is_success() {
            return serde_json::from_slice(&text).map_err(|_| invalid_response());
        }
        let rejection = PoolRejection::parse(status, &headers, &text);
        Err(rejection.into_error(action, token.secret()))
    }

    async fn send(
        &self,
        action: &str,
        body: &Value,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), SourceError> {
        let unreachable = |error: ConnectorError| {
            let cause = if error.is_timeout() {
                "Amazon Cognito timed out"
            } else {
                "Amazon Cognito cannot be reached"
            };
            SourceError::new(cause, REMEDY).with_detail(chain(&error))
        };
        let request = Request::post(self.endpoint())
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
            .header(
                "x-amz-target",
                format!("AWSCognitoIdentityService.{action}"),
            )
            .body(SdkBody::from(body.to_string()))
            .ok()
            .and_then(|it| it.try_into().ok())
            .ok_or_else(|| {
                SourceError::new("the endpoint is not a URL", "correct cognito_endpoint")
            })?;
        let sent = self.clients.connector().call(request).await;
        let response = sent
            .map_err(unreachable)?
            .try_into_http1x()
            .map_err(|_| invalid_response())?;
        let (head, stream) = response.into_parts();
        let collected = Limited::new(stream, MAX_RESPONSE_LEN).collect().await;
        let bytes = collected.map_err(|error| {
            SourceError::new("Amazon Cognito's response is incomplete", REMEDY)
                .with_detail(chain(&*error))
        })?;
        Ok((head.status, head.headers, bytes.to_bytes().into()))
    }

    fn endpoint(&self) -> String {
        let variables = ["AWS_ENDPOINT_URL_COGNITO_IDENTITY", "AWS_ENDPOINT_URL"];
        let configured = self.pool.endpoint.clone().or_else(|| {
            let mut values = variables.into_iter().filter_map(|name| env::var(name).ok());
            values.find(|url| !url.is_empty())
        });
        configured.unwrap_or_else(|| {
            let (region, _) = self.pool.id.split_once(':').unwrap_or_default();
            let domain = if region.starts_with("cn-") {
                "amazonaws.com.cn"
            } else {
                "amazonaws.com"
            };
            format!("https://cognito-identity.{region}.{domain}/")
        })
    }
}

impl PoolRejection {
    fn parse(status: StatusCode, headers: &HeaderMap, text: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(text).unwrap_or_default();
        let member = |names: [&str; 2]| {
            let value = names.iter().find_map(|name| body.get(name)?.as_str());
            value.unwrap_or_default().to_owned()
        };
        let in_header = headers
            .get("x-amzn-errortype")
            .and_then(|it| it.to_str().ok());
        let code = in_header.map_or_else(|| member(["__type", "code"]), str::to_owned);
        // AWS JSON 1.1: `namespace#Code:url`.
        let shape = code.rsplit('#').next().unwrap_or_default();
        let name = shape.split(':').next().unwrap_or_default();
        Self {
            status,
            code: name
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(64)
                .collect(),
            message: member(["message", "Message"]),
        }
    }

    fn is_throttling(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || matches!(
                &*self.code,
                "TooManyRequestsException"
                    | "LimitExceededException"
                    | "ThrottlingException"
                    | "Throttling"
            )
    }

    /// Returns the error with its remedy (Amazon Cognito Federated Identities API Reference, `GetId` and
    /// `GetCredentialsForIdentity`, "Errors").
    fn into_error(self, action: &str, secret: &str) -> SourceError {
        let code = if self.code.is_empty() {
            "no code"
        } else {
            &self.code
        };
        let cause = format!("Amazon Cognito rejected {action} ({code})");
        let error = match code {
            "NotAuthorizedException" => SourceError::rejected(
                cause,
                "sign in again; the identity pool must accept the issuer and its app client, and give authenticated \
                 users a role whose trust policy names the pool",
            ),
            "InvalidIdentityPoolConfigurationException" => SourceError::new(
                cause,
                "give the identity pool a role for authenticated users",
            ),
            "ResourceNotFoundException" => {
                SourceError::new(cause, "compare identity_pool_id with the identity pool")
            }
            _ if self.is_throttling() => {
                let remedy = "request a higher quota of GetId and GetCredentialsForIdentity";
                SourceError::new(cause, remedy).with_kind(FailureKind::Throttling)
            }
            _ => SourceError::new(
                cause,
                "see the errors of GetCredentialsForIdentity in Amazon Cognito's API reference",
            ),
        };
        let is_safe = !self.message.contains(secret);
        let message = self.message.chars().filter(|it| !it.is_control());
        error.with_detail(if is_safe {
            message.take(MAX_MESSAGE_LEN).collect()
        } else {
            String::new()
        })
    }
}

fn invalid_response() -> SourceError {
    SourceError::new("Amazon Cognito sent an invalid response", REMEDY)
}
