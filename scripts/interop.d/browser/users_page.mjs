// Script of the page: signs in at Amazon Cognito by fetch, and calls the gateway.
import { Sha256 } from "@aws-crypto/sha256-browser";
import { HttpRequest } from "@smithy/protocol-http";
import { SignatureV4 } from "@smithy/signature-v4";

async function cognito(url, target, body) {
  const headers = { "content-type": "application/x-amz-json-1.1", "x-amz-target": target };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  const result = await response.json();
  if (!response.ok) throw new Error(`${result.__type}: ${result.message}`);
  return result;
}

/** Returns the ID token of a user of the user pool. */
window.signIn = async ({ cognito: url, client }, USERNAME, PASSWORD) => {
  const body = { AuthFlow: "USER_PASSWORD_AUTH", ClientId: client, AuthParameters: { USERNAME, PASSWORD } };
  const { AuthenticationResult } = await cognito(url, "AWSCognitoIdentityProviderService.InitiateAuth", body);
  return AuthenticationResult.IdToken;
};

/** Returns the user's own keys of the identity pool. */
window.keys = async ({ cognito: url, issuer, identityPool }, token) => {
  const Logins = { [issuer.replace("http://", "")]: token };
  const id = { IdentityPoolId: identityPool, Logins };
  const { IdentityId } = await cognito(url, "AWSCognitoIdentityService.GetId", id);
  const target = "AWSCognitoIdentityService.GetCredentialsForIdentity";
  const { Credentials } = await cognito(url, target, { IdentityId, Logins });
  const { AccessKeyId: accessKeyId, SecretKey: secretAccessKey, SessionToken: sessionToken } = Credentials;
  return { accessKeyId, secretAccessKey, sessionToken };
};

/** Returns the headers of a signed GET. */
window.sign = async (url, credentials) => {
  const { host, pathname: path } = new URL(url);
  const signer = new SignatureV4({ service: "execute-api", region: "us-east-1", credentials, sha256: Sha256 });
  const { headers } = await signer.sign(new HttpRequest({ method: "GET", path, headers: { host } }));
  delete headers.host; // sent by the browser
  return headers;
};

/** Returns the URL of GetCallerIdentity, presigned for the gateway that `headers` name. */
window.presigned = async (credentials, host, headers) => {
  const query = { Action: "GetCallerIdentity", Version: "2011-06-15" };
  const request = new HttpRequest({ method: "GET", path: "/", query, headers: { ...headers, host } });
  const signer = new SignatureV4({ service: "sts", region: "us-east-1", credentials, sha256: Sha256 });
  const options = { expiresIn: 60, unhoistableHeaders: new Set(Object.keys(headers)) };
  const signed = await signer.presign(request, options);
  return `https://${host}/?${new URLSearchParams(signed.query).toString().replaceAll("+", "%20")}`;
};

/** Calls the gateway, and returns what the page can read of the response. */
window.call = async (url, headers) => {
  try {
    const response = await fetch(url, { headers, cache: "no-store", signal: AbortSignal.timeout(60_000) });
    return { status: response.status, text: await response.text(), headers: Object.fromEntries(response.headers) };
  } catch (error) {
    return { error: String(error) };
  }
};
