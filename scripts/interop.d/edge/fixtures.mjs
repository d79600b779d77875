// Requests in the event shapes of the Amazon CloudFront Developer Guide. `status` is the origin's, or the function's
// for a body that CloudFront has cut. `service` is the one that verifies the signature.
import { event, eventBody } from "./cloudfront.mjs";

const API = "abc123.execute-api.us-east-1.amazonaws.com";

const list = (key, ...values) => ({ [key.toLowerCase()]: values.map((value) => ({ key, value })) });

/** A custom origin. */
export const custom = (domainName, more = {}) => ({
  custom: {
    customHeaders: {},
    domainName,
    keepaliveTimeout: 5,
    path: "",
    port: 443,
    protocol: "https",
    readTimeout: 30,
    sslProtocols: ["TLSv1.2"],
    ...more,
  },
});

const api = custom(API, { path: "/prod" });
const url = custom("abc123.lambda-url.us-east-1.on.aws");
const bucket = {
  s3: {
    authMethod: "none",
    customHeaders: {},
    domainName: "bucket.s3.us-east-1.amazonaws.com",
    path: "",
    region: "us-east-1",
  },
};

function fixture(name, request, { body, type = "origin-request", status = 200, service = "execute-api", ...more } = {}) {
  const given = { origin: api, ...request };
  if (type === "viewer-request") delete given.origin;
  if (body) {
    given.method ??= "POST";
    given.body ??= eventBody(body, type);
    given.headers = { ...list("Content-Length", String(body.length)), ...given.headers };
  }
  return { name, event: event(given, type), body, status, service, ...more };
}

const query = (name, querystring) => fixture(`query: ${name}`, { uri: "/orders", querystring });

const json = Buffer.from('{"item": "täglich", "count": 2}');
// Each byte once: half of them are not UTF-8.
const binary = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const mebibyte = Buffer.alloc(1048576, binary);

export const fixtures = [
  fixture("GET", { uri: "/orders", querystring: "id=1" }),
  fixture("GET, include body on", { uri: "/orders", body: eventBody(Buffer.alloc(0)) }),
  fixture("POST: text", { headers: list("Content-Type", "application/json") }, { body: json }),
  fixture("POST: body encoded as text", {
    headers: list("Content-Type", "application/json"),
    body: { ...eventBody(json), encoding: "text", data: String(json) },
  }, { body: json }),
  fixture("POST: binary", { headers: list("Content-Type", "application/octet-stream") }, { body: binary }),
  fixture("POST: empty", {}, { body: Buffer.alloc(0) }),
  fixture("POST: 1 MiB of binary", {}, { body: mebibyte }),
  fixture("POST: truncated by CloudFront", {}, { body: Buffer.alloc(1048577, 97), status: 413 }),
  fixture("PUT: form", { method: "PUT", headers: list("Content-Type", "application/x-www-form-urlencoded") }, {
    body: Buffer.from("a=1+1&b=%C3%A9"),
  }),
  fixture("headers: several values", {
    headers: { ...list("X-Color", "red", "blue"), ...list("Accept", "text/html", "*/*") },
  }),
  fixture("headers: several values, signed", { headers: list("X-Amz-Meta-Color", "red", "light  blue") }),
  fixture("headers: read-only ones", {
    headers: {
      ...list("Accept-Encoding", "gzip"),
      ...list("If-None-Match", '"abc"'),
      ...list("If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT"),
    },
  }),
  fixture("headers: the viewer's authorization", { headers: list("Authorization", "Bearer viewer") }),
  fixture("headers: the viewer's x-amz-date", { headers: list("X-Amz-Date", "20200101T000000Z") }),
  query("+", "q=a+b"),
  query("%20", "q=a%20b"),
  query("empty value", "a=&b"),
  query("empty pairs", "&a=1&&b=2&"),
  query("repeated name", "a=2&b=1&a=1&a=2"),
  query("UTF-8, encoded", "q=%C3%A9%E2%82%AC"),
  query("UTF-8, as bytes", "q=é€"),
  query("reserved characters", "q=a/b:c@d,e;f'(g)*!&r=$"),
  query("= in a value", "q=a=b=="),
  query("lower-case escapes", "q=%c3%a9%2f"),
  // aws-sigv4 replaces these bytes.
  { ...query("bytes that are not UTF-8", "q=%FF%FE"), except: "aws-sigv4" },
  fixture("path: root, no stage", { origin: custom(API) }),
  fixture("path: stage and nested path", { origin: custom(API, { path: "/prod/v1" }), uri: "/orders/7/items" }),
  fixture("path: spaces and UTF-8, encoded", { uri: "/a%20b/%C3%A9" }),
  fixture("path: UTF-8, as bytes", { uri: "/é" }),
  fixture("path: reserved characters", { uri: "/a:b@c;d=e,f/(g)*!'$&+" }),
  fixture("path: dots and slashes", { uri: "/a/./b/../c//d" }),
  fixture("port: 8443", { origin: custom(API, { path: "/prod", port: 8443 }) }),
  fixture("port: 80", { origin: custom(API, { path: "/prod", port: 80, protocol: "http" }) }),
  fixture("Lambda function URL: GET", { origin: url, uri: "/a%20b", querystring: "q=1" }, { service: "lambda" }),
  fixture("Lambda function URL: POST", { origin: url }, { service: "lambda", body: binary }),
  fixture("S3: GET", { origin: bucket, uri: "/photos/caf%C3%A9%20%281%29.jpg" }, { service: "s3" }),
  fixture("S3: dots and slashes in a key", { origin: bucket, uri: "/a//b/../c" }, { service: "s3" }),
  fixture("S3: range", { origin: bucket, uri: "/a", headers: list("Range", "bytes=0-99") }, { service: "s3" }),
  fixture("S3: PUT", { origin: bucket, uri: "/a", method: "PUT" }, { service: "s3", body: binary }),
  fixture("custom headers", {
    origin: custom(API, { path: "/prod", customHeaders: list("X-Origin-Secret", "s3cr3t") }),
  }),
  fixture("custom headers: in place of a signed one", {
    headers: list("Content-Type", "text/plain"),
    origin: custom(API, { path: "/prod", customHeaders: list("Content-Type", "application/json") }),
  }, { body: json }),
  fixture("custom domain", { origin: custom("api.example.com") }, {
    settings: { service: "execute-api", region: "us-east-1" },
  }),
  fixture("viewer request", { uri: "/orders", querystring: "q=a+b" }, {
    type: "viewer-request",
    origin: api,
    settings: { viewerOrigin: `https://${API}/prod` },
  }),
];
