// Requests of web pages, with the expected results. By default the page is allowed to call and to read the response,
// responses with status 200 come from the origin, and there is one preflight.
const key = { accessKeyId: "AKIDPAGE", secretAccessKey: "page's secret" };
const temporary = { accessKeyId: "ASIAPAGE", secretAccessKey: "another secret", sessionToken: "a/token+==" };
const json = { "content-type": "application/json" };
const awkward = { "a b": "1 + 1", "é~/": ["b", "a", ""], "!'()*": "&=#?%2F", "": "no name", "snow☃": "𝄞" };

const open = { path: "/open/orders" };
const get = { path: "/signed/orders", key };
const post = { ...get, method: "POST", headers: json, body: '{"name":"é"}' };

const anonymous = [
  { name: "GET", ask: open, preflights: 0, text: "AKIDEXAMPLE sent 0 bytes" },
  { name: "HEAD", ask: { ...open, method: "HEAD" }, preflights: 0, text: "" },
  { name: "POST", ask: { ...post, ...open, key: undefined }, text: "AKIDEXAMPLE sent 13 bytes" },
  { name: "PUT", ask: { ...post, ...open, key: undefined, method: "PUT" } },
  { name: "PATCH", ask: { ...post, ...open, key: undefined, method: "PATCH" } },
  { name: "DELETE", ask: { ...open, method: "DELETE" } },
];

const signed = [
  { name: "GET", ask: get, text: "AKIDEXAMPLE sent 0 bytes" },
  { name: "a query", ask: { ...get, query: awkward } },
  {
    name: "a query as the browser writes it",
    ask: { ...get, search: "?q=[a]|{b}^`c`'\"<é \\", query: { q: "[a]|{b}^`c`'\"<é \\" } },
  },
  { name: "a path as the browser writes it", ask: { ...get, path: "/signed/a b/é'()*!~@:$,=;+&/./x/../" } },
  { name: "POST", ask: post, text: "AKIDEXAMPLE sent 13 bytes" },
  { name: "a form", ask: { ...post, headers: { "content-type": "text/plain" } } },
  { name: "1 MB", ask: { ...post, body: "é".repeat(500_000) }, text: "AKIDEXAMPLE sent 1000000 bytes" },
  { name: "PUT", ask: { ...post, method: "PUT" } },
  { name: "DELETE", ask: { ...get, method: "DELETE" } },
  { name: "a header", ask: { ...get, headers: { "x-amz-meta-a": "a  b" } } },
  { name: "a session token", ask: { ...get, key: temporary } },
  { name: "four minutes old", ask: { ...get, age: 240 } },
  { name: "four minutes ahead", ask: { ...get, age: -240 } },
  { name: "a presigned URL", ask: { ...get, query: awkward, presign: true }, preflights: 0 },
  { name: "a presigned URL with a token", ask: { ...get, key: temporary, presign: true }, preflights: 0 },
];

// Code of a rejection, which is a header, and the distinctive part of its message.
const MISSING = ["MissingAuthenticationTokenException", "Missing Authentication Token"];
const MISMATCH = ["InvalidSignatureException", "does not match the signature you provided"];
const NOT_SIGNED = ["InvalidSignatureException", "must be a 'SignedHeader'"];
const EXPIRED = ["InvalidSignatureException", "Signature expired: "];
const TOO_SOON = ["InvalidSignatureException", "Signature not yet current: "];
const SCOPE = ["InvalidSignatureException", "Credential should be scoped to a valid day"];
const UNKNOWN = ["UnrecognizedClientException", "The security token included in the request is invalid."];
const header = { headers: { "x-amz-meta-a": "a" } };
const rejected = [
  ["not signed", { ...get, key: undefined }, MISSING, 0],
  ["a changed body", { ...post, signed: { body: '{"name":"e"}' } }, MISMATCH],
  ["an added body", { ...post, signed: { body: undefined } }, MISMATCH],
  ["a changed query", { ...get, query: { id: "1" }, signed: { query: { id: "2" } } }, MISMATCH],
  ["an added query", { ...get, query: { id: "1" }, signed: { query: {} } }, MISMATCH],
  ["a changed path", { ...get, signed: { path: "/signed/order" } }, MISMATCH],
  ["a changed method", { ...get, method: "DELETE", signed: { method: "GET" } }, MISMATCH],
  ["a changed header", { ...get, ...header, signed: { headers: { "x-amz-meta-a": "b" } } }, MISMATCH],
  ["an added header", { ...get, ...header, signed: { headers: {} } }, NOT_SIGNED],
  ["a changed content-type", { ...post, signed: { headers: { "content-type": "text/plain" } } }, MISMATCH],
  ["another host", { ...get, signed: { host: "other.example.localhost" } }, MISMATCH],
  ["another port", { ...get, signed: { host: "api.example.localhost:1" } }, MISMATCH],
  ["twenty minutes old", { ...get, age: 1200 }, EXPIRED],
  ["twenty minutes ahead", { ...get, age: -1200 }, TOO_SOON],
  ["a week old", { ...get, age: 7 * 86400 }, EXPIRED],
  ["another region", { ...get, region: "us-east-2" }, SCOPE],
  ["a presigned URL that has expired", { ...get, presign: true, age: 1200 }, EXPIRED, 0],
  ["a presigned URL of another host", { ...get, presign: true, signed: { host: "a.localhost" } }, MISMATCH, 0],
  ["an unknown key", { ...get, key: { ...key, accessKeyId: "AKIDOTHER" } }, UNKNOWN],
  ["the gateway's own key", { ...get, key: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" } }, UNKNOWN],
  ["a wrong secret", { ...get, key: { ...key, secretAccessKey: "secret" } }, MISMATCH],
  ["a wrong token", { ...get, key: { ...temporary, sessionToken: "token" } }, UNKNOWN],
  ["a token that is not the key's", { ...get, key: { ...key, sessionToken: "token" } }, UNKNOWN],
  ["no token", { ...get, key: { ...temporary, sessionToken: undefined } }, UNKNOWN],
].map(([name, ask, [code, text], preflights = 1]) => ({ name, ask, status: 403, code, text, preflights }));

// The console shows the reason for which a page cannot read a response.
const NO_ORIGIN = "No 'Access-Control-Allow-Origin' header is present";
const NO_PREFLIGHT = `Response to preflight request doesn't pass access control check: ${NO_ORIGIN}`;
const hidden = [
  { name: "the page of a stranger", ask: open, stranger: true, preflights: 0, reached: 1, blocked: NO_ORIGIN },
  { name: "a stranger's JSON", ask: { ...post, ...open, key: undefined }, stranger: true, blocked: NO_PREFLIGHT },
  { name: "a stranger who signs", ask: get, stranger: true, blocked: NO_PREFLIGHT },
  {
    name: "a stranger, where the origin lets all read",
    ask: { path: "/open/for-all" },
    stranger: true,
    preflights: 0,
    reached: 1,
    blocked: NO_ORIGIN,
  },
  {
    name: "a header that is not allowed",
    ask: { ...get, headers: { "x-secret": "a" } },
    blocked: "Request header field x-secret is not allowed by Access-Control-Allow-Headers",
  },
  {
    name: "a method that is not allowed",
    ask: { ...get, method: "PROPFIND" },
    blocked: "Method PROPFIND is not allowed by Access-Control-Allow-Methods",
  },
  {
    name: "cookies without permission",
    ask: { ...open, credentials: "include" },
    preflights: 0,
    reached: 1,
    blocked: "The value of the 'Access-Control-Allow-Credentials' header in the response is ''",
  },
];

const session = { path: "/session/orders", credentials: "include" };
const large = { method: "POST", headers: json, body: "x".repeat(17_000_000) };
const others = [
  { name: "17 MB", ask: { ...open, ...large }, status: 413, code: "RequestEntityTooLargeException" },
  { name: "17 MB, signed", ask: { ...get, ...large }, status: 413, code: "RequestEntityTooLargeException" },
  { name: "a broken escape", ask: { path: "/open/a%zz" }, preflights: 0, status: 400, code: "BadRequestException" },
  { name: "within the rate", ask: { path: "/rate" }, preflights: 0 },
  { name: "past the rate", ask: { path: "/rate" }, preflights: 0, status: 429, code: "TooManyRequestsException" },
  { name: "an origin that is down", ask: { path: "/down" }, preflights: 0, status: 502, code: "BadGatewayException" },
  { name: "an origin that lets all read", ask: { path: "/open/for-all" }, preflights: 0 },
  { name: "the origin's own status", ask: { path: "/open/missing" }, preflights: 0, status: 404, reached: 1 },
  { name: "a cookie, given", ask: session, preflights: 0, cookie: undefined },
  { name: "a cookie, brought", ask: session, preflights: 0, cookie: "session=1" },
  { name: "a cookie, left at home", ask: { ...session, credentials: "omit" }, preflights: 0, cookie: undefined },
  { name: "a cookie, with JSON", ask: { ...post, ...session, key: undefined }, cookie: "session=1" },
  { name: "a cookie, for a stranger", ask: session, stranger: true, preflights: 0, reached: 1, blocked: NO_ORIGIN },
];

const named = (group, cases) => cases.map((row) => ({ ...row, name: `${group}: ${row.name}` }));
export const keys = [key, temporary];
export const cases = [
  ...named("anonymous", anonymous),
  ...named("signed", signed),
  ...named("rejected", rejected),
  ...named("hidden", hidden),
  ...named("other", others),
];
