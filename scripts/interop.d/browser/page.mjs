// Script of the page: signs with packages of npm, and calls with the browser's fetch.
import { Sha256 } from "@aws-crypto/sha256-browser";
import { HttpRequest } from "@smithy/protocol-http";
import { SignatureV4 } from "@smithy/signature-v4";

// The canonical form encodes more than encodeURIComponent.
const escape = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (found) => "%" + found.charCodeAt().toString(16).toUpperCase());

function encoded(query) {
  const pairs = Object.entries(query).flatMap(([name, values]) => [values].flat().map((value) => [name, value]));
  return pairs.map((pair) => pair.map(escape).join("=")).join("&");
}

/**
 * Calls the gateway, and returns the readable part of the response. With a key the call is signed, with the values of
 * `signed` in place of those sent. `search` is a raw query.
 */
window.call = async (gateway, { key, signed, region = "us-east-1", age = 0, presign, ...sent }) => {
  const { method = "GET", headers = {}, query = {}, body, credentials } = sent;
  const url = new URL(sent.path, gateway);
  url.search = sent.search ?? encoded(query);
  let allHeaders = headers;
  if (key) {
    const { host, ...values } = { host: url.host, method, path: url.pathname, headers, query, body, ...signed };
    const request = new HttpRequest({ ...values, headers: { ...values.headers, host } });
    const signer = new SignatureV4({ service: "execute-api", region, credentials: key, sha256: Sha256 });
    const signingDate = new Date(Date.now() - age * 1000);
    if (presign) {
      url.search = encoded((await signer.presign(request, { signingDate, expiresIn: 60 })).query);
    } else {
      allHeaders = { ...(await signer.sign(request, { signingDate })).headers, ...headers };
      delete allHeaders.host; // sent by the browser
    }
  }
  try {
    // Without caching, each call has its own preflight.
    const signal = AbortSignal.timeout(60_000);
    const options = { method, headers: allHeaders, body, credentials, cache: "no-store", signal };
    const response = await fetch(url, options);
    return { status: response.status, text: await response.text(), headers: Object.fromEntries(response.headers) };
  } catch (error) {
    return { error: String(error) };
  }
};
