// Tests of examples/edge: what its function returns is sent as CloudFront sends it, to origins that verify signatures.
// Arguments: the program edge_judge, a Python with botocore, and the folder of the built package. Prints the number of
// passed checks.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

import { distribution, event, eventBody, forward } from "./cloudfront.mjs";
import { custom, fixtures } from "./fixtures.mjs";
import { CREDENTIALS, startJudges, stopJudges } from "./judges.mjs";

const [judge, python, folder] = process.argv.slice(2);
const { createHandler, handler, hash } = await import(pathToFileURL(`${folder}/index.mjs`));
const API = "abc123.execute-api.us-east-1.amazonaws.com";
const EVENTS = 10_000;
// Rejected events log their error.
const logged = [];
console.error = (message) => logged.push(message);
Object.assign(process.env, CREDENTIALS);

let passed = 0;
function check(name, got, wanted) {
  assert.deepEqual(got, wanted, name);
  passed += 1;
}

/** Each fixture is accepted by each verifier. */
async function testFixtures(judges) {
  for (const { name, event, body, service, status, settings, except } of fixtures) {
    const handle = settings ? createHandler(settings) : handler;
    const origin = custom(API, { path: "/prod" });
    for (const [verifier, urls] of Object.entries(judges)) {
      if (verifier === except) continue;
      const { text, ...result } = await forward(handle, event, urls[service], { body, origin });
      const wanted = status === 200 ? { status } : { status, generated: true };
      check(`${name}, ${verifier}: ${text}`, result, wanted);
      if (status === 200) check(`${name}, ${verifier}: body`, text.match(/^\d+ bytes$/)?.[0], `${body?.length ?? 0} bytes`);
    }
  }
}

/** Requests that are not signed, changed after signing, or signed by other credentials are rejected. */
async function testVerifiers(judges) {
  const [{ event }] = fixtures;
  const unsigned = async (event) => event.Records[0].cf.request;
  const changed = async (event) => ({ ...(await handler(event)), querystring: "id=2" });
  const other = async (event) => {
    process.env.AWS_SECRET_ACCESS_KEY = "another";
    const request = await handler(event);
    process.env.AWS_SECRET_ACCESS_KEY = CREDENTIALS.AWS_SECRET_ACCESS_KEY;
    return request;
  };
  for (const [verifier, urls] of Object.entries(judges)) {
    for (const [name, handle] of Object.entries({ unsigned, changed, other })) {
      const { status } = await forward(handle, event, urls["execute-api"]);
      check(`${name}, ${verifier}`, status, 403);
    }
  }
}

/** The stand-in enforces CloudFront's rules. */
async function testStandIn(url) {
  const [{ event: given }] = fixtures;
  const changes = {
    "connection is not allowed": ({ headers }) => (headers.connection = [{ value: "close" }]),
    "x-amz-cf-id is not allowed": ({ headers }) => (headers["x-amz-cf-id"] = [{ value: "a" }]),
    "via is read-only": ({ headers }) => delete headers.via,
    "content-length is read-only": ({ headers }) => (headers["content-length"] = [{ value: "0" }]),
    "X-A is not in lower case": ({ headers }) => (headers["X-A"] = [{ value: "1" }]),
    "the method is read-only": (request) => (request.method = "POST"),
    "the URI does not start with /": (request) => (request.uri = "orders"),
    "the URI is too long": (request) => (request.querystring = "a".repeat(8192)),
  };
  for (const [rule, change] of Object.entries(changes)) {
    const handle = async (event) => {
      const request = await handler(event);
      change(request);
      return request;
    };
    check(rule, await forward(handle, given, url), { status: 502, text: rule });
  }
}

/** Errors are responses, and their messages name the remedy. */
async function testErrors(url) {
  const forwarded = (handle, request) => forward(handle, event({ origin: custom(API), ...request }), url);
  const unknown = await forwarded(handler, { origin: custom("api.example.com") });
  check("unknown host", [unknown.status, unknown.generated], [500, true]);
  assert.match(logged.at(-1), /api\.example\.com/);
  for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) {
    delete process.env[name];
    const { status, generated } = await forwarded(handler, {});
    check(`without ${name}`, [status, generated], [503, true]);
    process.env[name] = CREDENTIALS[name];
  }
  const notCarried = { method: "POST", headers: { "content-length": [{ key: "Content-Length", value: "5" }] } };
  check("include body off", (await forwarded(handler, notCarried)).status, 500);
  check("malformed escape", (await forwarded(handler, { querystring: "q=%zz" })).status, 400);
  check("no event", Number((await handler({})).status), 400);
  for (const settings of [{ service: "s3" }, { payload: "none" }, { authorizationHeader: "via" }]) {
    assert.throws(() => createHandler(settings), Error, JSON.stringify(settings));
    passed += 1;
  }
}

/** The viewer's authorization moves to a header that the origin's application reads. */
async function testSettings() {
  const given = fixtures.find(({ name }) => name === "headers: the viewer's authorization").event;
  const moved = await createHandler({ authorizationHeader: "x-viewer-authorization" })(given);
  check("moved authorization", moved.headers["x-viewer-authorization"][0].value, "Bearer viewer");
  const big = fixtures.find(({ name }) => name === "POST: truncated by CloudFront").event;
  const unsigned = await createHandler({ payload: "unsigned" })(big);
  check("unsigned body", unsigned.headers["x-amz-content-sha256"][0].value, "UNSIGNED-PAYLOAD");
}

/** The README's function, whose settings are in the origin's custom headers. */
async function testReadme(url) {
  const readme = readFileSync(new URL("../../../examples/edge/README.md", import.meta.url), "utf8");
  const [, code] = readme.match(/```js\n(.*?)```/s);
  writeFileSync(`${folder}/custom_headers.mjs`, code);
  const { handler } = await import(pathToFileURL(`${folder}/custom_headers.mjs`));
  const customHeaders = { "x-signing-region": [{ key: "X-Signing-Region", value: "us-east-1" }] };
  const given = event({ origin: custom("api.example.com", { customHeaders }) });
  check("settings in custom headers", (await forward(handler, given, url)).status, 200);
}

/** In hash mode, the function adds the hash and leaves the signature to CloudFront's origin access control. */
async function testHash() {
  const given = event({ origin: custom(API), method: "POST", body: eventBody(Buffer.from("any body")) });
  const { request } = structuredClone(given).Records[0].cf;
  const hashed = await hash(given);
  const added = hashed.headers["x-amz-content-sha256"];
  check("hash", added[0].value, createHash("sha256").update("any body").digest("hex"));
  delete hashed.headers["x-amz-content-sha256"];
  check("nothing else", hashed, request);
}

/** The same API is called at its own host, at the distribution's, and at a domain of the user. */
async function testThreeHosts(url) {
  const hosts = [API, "d111111abcdef8.cloudfront.net", "api.example.com"];
  const unsigned = async (event) => event.Records[0].cf.request;
  for (const [handle, wanted] of [[handler, 200], [unsigned, 403]]) {
    const server = await distribution(handle, custom(API, { path: "/prod" }), url);
    for (const host of hosts) {
      for (const method of ["GET", "POST"]) {
        const body = method === "POST" ? Buffer.from([0, 255, 128]) : Buffer.alloc(0);
        const status = await call(server.address().port, host, method, body);
        check(`${method} ${host}`, status, wanted);
      }
    }
    server.close();
  }
}

async function call(port, host, method, body) {
  const path = "/orders?from=2026-01-01&q=a+b";
  const headers = { host, "content-type": "application/octet-stream", "content-length": body.length };
  const outgoing = httpRequest({ host: "127.0.0.1", port, method, path, headers, agent: false }).end(body);
  const [response] = await once(outgoing, "response");
  response.resume();
  return response.statusCode;
}

/** The function returns for random events what the Rust library returns. */
async function testRandomEvents() {
  const child = spawn(judge, ["events", String(EVENTS)], { stdio: ["ignore", "pipe", "inherit"] });
  const statuses = {};
  const now = Date.now;
  for await (const line of createInterface({ input: child.stdout })) {
    const { event, now: time, result } = JSON.parse(line);
    Date.now = () => time;
    check(JSON.stringify(event), await handler(event), result);
    const status = result.status ?? "signed";
    statuses[status] = (statuses[status] ?? 0) + 1;
  }
  Date.now = now;
  const total = Object.values(statuses).reduce((sum, count) => sum + count, 0);
  check("random events", total, EVENTS);
  assert.ok(statuses.signed > 0.4 * EVENTS, JSON.stringify(statuses));
  passed -= EVENTS; // all count as one
}

const judges = await startJudges(judge, python);
try {
  await testFixtures(judges);
  await testVerifiers(judges);
  await testStandIn(judges.VerifyLayer["execute-api"]);
  await testErrors(judges.VerifyLayer["execute-api"]);
  await testSettings();
  await testReadme(judges.VerifyLayer["execute-api"]);
  await testHash();
  await testThreeHosts(judges.VerifyLayer["execute-api"]);
  await testRandomEvents();
} finally {
  stopJudges();
}
console.log(passed);
