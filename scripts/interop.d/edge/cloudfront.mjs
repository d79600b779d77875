// A stand-in for CloudFront: passes an event to a function, enforces AWS's rules for the result, and sends the request
// to an origin as CloudFront does. The rules are those of the Amazon CloudFront Developer Guide: "Lambda@Edge event
// structure", "Restrictions on edge functions", and "Request and response behavior for custom origins".
import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { isDeepStrictEqual } from "node:util";

/** Largest body that an event contains, in bytes. */
const LIMITS = { "origin-request": 1048576, "viewer-request": 40960 };
const READ_ONLY = {
  "origin-request": [
    "accept-encoding", "content-length", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
    "transfer-encoding", "via",
  ],
  "viewer-request": ["content-length", "host", "transfer-encoding", "via"],
};
const DISALLOWED = new RegExp(
  "^(connection|expect|keep-alive|proxy-(authenticate|authorization|connection)|trailer|upgrade|x-accel-.*|x-amz-cf-.*" +
    "|x-amzn-(auth|cf-(billing|id|xff)|errortype|fle-profile|header-(count|order)|lambda-integration-tag|requestid)" +
    "|x-cache|x-edge-.*|x-forwarded-proto|x-real-ip)$",
);
/** Headers that end at CloudFront. */
const HOP_BY_HOP = /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/;
const VIEWER = "203.0.113.178";
const VIA = "2.0 2afae0d44e2540f472c0635ab62c232b.cloudfront.net (CloudFront)";
/** Headers that CloudFront adds or changes after the function. */
const LATER = {
  "accept-encoding": "gzip",
  connection: "Keep-Alive",
  "user-agent": "Amazon CloudFront",
  via: VIA.replace("2.0", "1.1"),
  "x-amz-cf-id": "MRVMF7KydIvxMWfJIglgwHQwZsbG2IhRJ07sn9AkKUFSHS9EXAMPLE==",
  "x-amzn-trace-id": "Root=1-60ed7775-4473afce4990bae81f90db42",
  "x-forwarded-for": `${VIEWER}, 198.51.100.7`,
};

/** Returns the JSON of an event, with the headers that CloudFront's documentation shows. */
export function event(request, eventType = "origin-request") {
  const config = {
    distributionDomainName: "d111111abcdef8.cloudfront.net",
    distributionId: "EDFDVBD6EXAMPLE",
    eventType,
    requestId: "4TyzHTaYWb1GX1qTfsHhEqV6HUDd_BzoBZnwfnvQc_1oF26ClkoUSEQ==",
  };
  const headers = {
    host: [{ key: "Host", value: "d111111abcdef8.cloudfront.net" }],
    "user-agent": [{ key: "User-Agent", value: "curl/8.5.0" }],
    ...(eventType === "origin-request" && {
      "user-agent": [{ key: "User-Agent", value: "Amazon CloudFront" }],
      via: [{ key: "Via", value: VIA }],
      "x-forwarded-for": [{ key: "X-Forwarded-For", value: VIEWER }],
    }),
    ...request.headers,
  };
  const common = { clientIp: VIEWER, method: "GET", uri: "/", querystring: "" };
  return { Records: [{ cf: { config, request: { ...common, ...request, headers } } }] };
}

/** Returns the body of an event, cut at CloudFront's limit. */
export function eventBody(bytes, eventType = "origin-request") {
  const limit = LIMITS[eventType];
  return {
    inputTruncated: bytes.length > limit,
    action: "read-only",
    encoding: "base64",
    data: bytes.subarray(0, limit).toString("base64"),
  };
}

const values = (list) => list?.map(({ value }) => value);

/** Returns the rule that the function's request breaks, if any. */
function violation(before, after, eventType) {
  if (after.method !== before.method) return "the method is read-only";
  if (!after.uri?.startsWith("/")) return "the URI does not start with /";
  if (typeof after.querystring !== "string") return "the query is missing";
  if (after.uri.length + after.querystring.length >= 8192) return "the URI is too long";
  for (const name of READ_ONLY[eventType]) {
    if (!isDeepStrictEqual(values(after.headers[name]), values(before.headers[name]))) return `${name} is read-only`;
  }
  for (const [name, list] of Object.entries(after.headers)) {
    if (DISALLOWED.test(name)) return `${name} is not allowed`;
    if (name !== name.toLowerCase()) return `${name} is not in lower case`;
    if (!list.every(({ key, value }) => (key ?? name).toLowerCase() === name && typeof value === "string")) {
      return `${name} is malformed`;
    }
  }
  const path = Object.values(after.origin ?? {})[0]?.path ?? "";
  if (path && (!path.startsWith("/") || path.endsWith("/"))) return "the origin's path is malformed";
}

/**
 * Passes an event to a function, and sends the result to the server at `url`. `body` is the viewer's whole body, and
 * `origin` that of the distribution. Returns the status, the response's body, and the rule that was broken.
 */
export async function forward(handler, event, url, { body, origin } = {}) {
  const { config, request } = event.Records[0].cf;
  let returned;
  try {
    returned = await handler(structuredClone(event));
  } catch (error) {
    return { status: 502, text: `the function fails: ${error}` };
  }
  // Only what JSON contains leaves the function.
  returned = JSON.parse(JSON.stringify(returned));
  if (returned.status) return { status: Number(returned.status), text: returned.body ?? "", generated: true };
  const broken = violation(request, returned, config.eventType);
  if (broken) return { status: 502, text: broken };
  return send(returned, url, { body, origin: origin ?? request.origin });
}

async function send(request, url, { body, origin }) {
  const [target] = Object.values(request.origin ?? origin);
  const query = request.querystring && `?${request.querystring}`;
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, list]) => [name, values(list)]));
  // A viewer request's function cannot set it: CloudFront does, unless the policy forwards the viewer's.
  if (!request.origin) headers.host = [target.domainName];
  for (const [name, list] of Object.entries(target.customHeaders ?? {})) headers[name] = values(list);
  for (const [name, value] of Object.entries(LATER)) headers[name] = [value];
  const sent = bodyOf(request.body, body);
  if (sent.length > 0 || headers["content-length"]) headers["content-length"] = [String(sent.length)];
  delete headers["transfer-encoding"];
  const bytes = (text) => Buffer.from(text).toString("latin1"); // node sends each character as a byte
  const options = {
    method: request.method,
    path: bytes(target.path + request.uri + query),
    headers: Object.entries(headers).flatMap(([name, list]) => list.flatMap((value) => [name, bytes(value)])),
    setHost: false,
    agent: false,
  };
  const outgoing = httpRequest(url, options).end(sent);
  const [response] = await once(outgoing, "response");
  return { status: response.statusCode, text: String(await read(response)) };
}

function bodyOf({ action, encoding, data } = {}, whole) {
  if (action === "replace" || !whole) return Buffer.from(data ?? "", encoding === "text" ? "utf8" : "base64");
  return whole;
}

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Starts a distribution: an HTTP server in front of an origin. Each response has the status of the origin's. */
export async function distribution(handler, origin, url, eventType = "origin-request") {
  const server = createServer(async (incoming, outgoing) => {
    const body = await read(incoming);
    const [uri, ...query] = incoming.url.split("?");
    const headers = {};
    for (let at = 0; at < incoming.rawHeaders.length; at += 2) {
      const [key, value] = incoming.rawHeaders.slice(at, at + 2);
      const name = key.toLowerCase();
      if (HOP_BY_HOP.test(name) || DISALLOWED.test(name)) continue;
      (headers[name] ??= []).push({ key, value });
    }
    const request = { method: incoming.method, uri, querystring: query.join("?"), headers };
    request.body = eventBody(body, eventType);
    if (eventType === "origin-request") request.origin = structuredClone(origin);
    const { status, text } = await forward(handler, event(request, eventType), url, { body, origin });
    outgoing.writeHead(status).end(text);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
