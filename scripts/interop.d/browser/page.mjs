// What runs in the page: it signs as any page may, with what npm has, and calls with the browser's fetch.
import { Sha256 } from "@aws-crypto/sha256-browser";
import { HttpRequest } from "@smithy/protocol-http";
import { SignatureV4 } from "@smithy/signature-v4";

// encodeURIComponent leaves some that the canonical form does not.
const escape = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (found) => "%" + found.charCodeAt().toString(16).toUpperCase());

function encoded(query) {
  const pairs = Object.entries(query).flatMap(([name, values]) => [values].flat().map((value) => [name, value]));
  return pairs.map((pair) => pair.map(escape).join("=")).join("&");
}

/**
 * Calls the gateway, and tells what the page can read of the answer. With a key the call is signed, as if it had
 * in it what `signed` says instead. `search` is the query as it is sent, where that is not plain.
 */
window.call = async (gateway, { key, signed, region = "us-east-1", age = 0, presign, ...sent }) => {
  const { method = "GET", headers = {}, query = {}, body, credentials } = sent;
  const url = new URL(sent.path, gateway);
  url.search = sent.search ?? encoded(query);
  let allHeaders = headers;
  if (key) {
    const { host, ...claim } = { host: url.host, method, path: url.pathname, headers, query, body, ...signed };
    const request = new HttpRequest({ ...claim, headers: { ...claim.headers, host } });
    const signer = new SignatureV4({ service: "execute-api", region, credentials: key, sha256: Sha256 });
    const signingDate = new Date(Date.now() - age * 1000);
    if (presign) {
      url.search = encoded((await signer.presign(request, { signingDate, expiresIn: 60 })).query);
    } else {
      allHeaders = { ...(await signer.sign(request, { signingDate })).headers, ...headers };
      delete allHeaders.host; // which the browser sends of itself
    }
  }
  try {
    // What is not to be stored asks for a preflight each time, too.
    const signal = AbortSignal.timeout(60_000);
    const options = { method, headers: allHeaders, body, credentials, cache: "no-store", signal };
    const answer = await fetch(url, options);
    return { status: answer.status, text: await answer.text(), headers: Object.fromEntries(answer.headers) };
  } catch (error) {
    return { error: String(error) };
  }
};
