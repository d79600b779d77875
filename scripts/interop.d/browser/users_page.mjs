// Script of the page: signs in at Amazon Cognito by fetch, and calls the gateway.
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

/** Calls the gateway, and returns what the page can read of the response. */
window.call = async (url, headers) => {
  try {
    const response = await fetch(url, { headers, cache: "no-store", signal: AbortSignal.timeout(60_000) });
    return { status: response.status, text: await response.text(), headers: Object.fromEntries(response.headers) };
  } catch (error) {
    return { error: String(error) };
  }
};
