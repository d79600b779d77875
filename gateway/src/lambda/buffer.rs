//! Responses that are passed to Lambda as a whole.

use aws_lambda_events::{apigw::ApiGatewayV2httpResponse, encodings};
use axum::response::Response;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::event::split_cookies;
use crate::{error::chain, response};

/// Largest response (AWS Lambda Developer Guide, "Lambda quotas").
const MAX_RESPONSE_LEN: usize = 6 * 1024 * 1024;

/// Encodes the response, or an error response if Lambda cannot carry it.
pub(super) async fn encode_or_explain(response: Response) -> ApiGatewayV2httpResponse {
    match encode(response).await {
        Ok(encoded) => encoded,
        Err(message) => encode(response::message(StatusCode::BAD_GATEWAY, message))
            .await
            .unwrap_or_default(),
    }
}

/// Reads the whole response. The body becomes a string if it is UTF-8, and Base64 otherwise.
async fn encode(response: Response) -> Result<ApiGatewayV2httpResponse, &'static str> {
    const TOO_LONG: &str = "the response exceeds Lambda's limit of 6 MB";
    let (head, body) = response.into_parts();
    let collected = Limited::new(body, MAX_RESPONSE_LEN)
        .collect()
        .await
        .map_err(|error| {
            tracing::error!("cannot forward a response: {}", chain(&*error));
            if error.is::<LengthLimitError>() {
                TOO_LONG
            } else {
                "the origin's response is incomplete"
            }
        })?;
    let mut encoded = ApiGatewayV2httpResponse::default();
    encoded.status_code = head.status.as_u16().into();
    encoded.body = Some(match String::from_utf8(collected.to_bytes().into()) {
        Ok(text) => encodings::Body::Text(text),
        Err(error) if error.as_bytes().len() > MAX_RESPONSE_LEN / 4 * 3 => return Err(TOO_LONG),
        Err(error) => {
            encoded.is_base64_encoded = true;
            encodings::Body::Binary(error.into_bytes())
        }
    });
    (encoded.headers, encoded.cookies) = split_cookies(&head.headers);
    Ok(encoded)
}
