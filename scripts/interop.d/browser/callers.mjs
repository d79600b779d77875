// Web pages in Chromium that call the gateway from another origin. Arguments: the address of verify_server, which
// verifies the gateway's signatures, and the gateway's program. Prints the number of passed checks.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { cases, keys } from "./cases.mjs";
import { bundle, launch } from "./chromium.mjs";

const [origin, program] = process.argv.slice(2);
const MAY_CALL = "www.example.localhost"; // same site as the gateway, so it may send cookies
const GATEWAY = "api.example.localhost";
const STRANGER = "stranger.localhost";

async function listen(handler) {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

const seen = [];
/** Proxies to the origin: records requests, and adds headers that an origin might add. */
function relay(incoming, outgoing) {
  const { method, url, rawHeaders, headers } = incoming;
  seen.push({ method, url, cookie: headers.cookie });
  const more = { "x-not-exposed": "1" };
  if (url.endsWith("/for-all")) Object.assign(more, { "access-control-allow-origin": "*" });
  if (url.startsWith("/session")) more["set-cookie"] = "session=1; path=/; httponly";
  const passed = request(origin, { method, path: url, headers: rawHeaders }, (response) => {
    const status = url.endsWith("/missing") ? 404 : response.statusCode;
    outgoing.writeHead(status, { ...response.headers, ...more });
    response.pipe(outgoing);
  });
  passed.on("error", () => outgoing.destroy());
  incoming.pipe(passed);
}

const config = (origin, page) => `
  [server]
  listen = "127.0.0.1:0"
  [credentials]
  source = "static"
  access_key_id = "AKIDEXAMPLE"
  secret_access_key = "secret"
  [[origin]]
  name = "api"
  url = "${origin}"
  service = "execute-api"
  region = "us-east-1"
  [verify]
  service = "execute-api"
  region = "us-east-1"
  ${keys.map(verifyKey).join("")}
  ${route("/open", page, "verify = false")}
  ${route("/session", page, "verify = false", "credentials = true")}
  ${route("/rate", page, `verify = false\n  rate = "1/h"`)}
  ${route("/signed", page)}
  [[origin]]
  name = "down"
  url = "http://127.0.0.1:1"
  service = "execute-api"
  region = "us-east-1"
  ${route("/down", page, "verify = false").replace('"api"', '"down"')}
`;

const verifyKey = ({ accessKeyId, secretAccessKey, sessionToken }) => `
  [[verify.key]]
  access_key_id = "${accessKeyId}"
  secret_access_key = "${secretAccessKey}"
  ${sessionToken ? `session_token = "${sessionToken}"` : ""}
`;

const route = (path, page, more = "", cors = "") => `
  [[route]]
  path = "${path}"
  host = "${GATEWAY}"
  origin = "api"
  ${more}
  [route.cors]
  origins = ["${page}"]
  headers = ["authorization", "content-type", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token",
             "x-amz-meta-a"]
  expose = ["x-request-id", "x-amzn-errortype"]
  ${cors}
`;

/** Opens a page, and records its preflights and the console. */
async function open(browser, url) {
  const page = await (await browser.newContext()).newPage();
  const recorded = { preflights: 0, console: "" };
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  devtools.on("Network.requestWillBeSent", ({ request }) => (recorded.preflights += request.method === "OPTIONS"));
  page.on("console", (message) => (recorded.console += message.text()));
  await page.goto(url);
  return { page, recorded };
}

/** Runs a case and returns its result. */
async function outcome({ page, recorded }, gateway, wanted) {
  Object.assign(recorded, { preflights: 0, console: "" });
  const before = seen.length;
  const response = await page.evaluate(([gateway, ask]) => call(gateway, ask), [gateway, wanted.ask]);
  // Preflights and console messages may arrive after the response.
  const isComplete = () => recorded.preflights >= wanted.preflights && (!wanted.blocked || recorded.console.includes("CORS"));
  for (let tries = 0; !isComplete() && tries < 100; tries++) await new Promise((then) => setTimeout(then, 50));
  const reached = seen.slice(before);
  const preflights = recorded.preflights;
  const got = { preflights, reached: reached.map((request) => request.method), cookie: reached[0]?.cookie };
  if (response.error) {
    const blocked = recorded.console.includes(wanted.blocked) ? wanted.blocked : recorded.console;
    return { ...got, error: response.error, blocked };
  }
  const { status, text, headers } = response;
  const exposed = "x-request-id" in headers && !("x-not-exposed" in headers);
  const code = headers["x-amzn-errortype"];
  return { ...got, status, text, exposed, code };
}

function expected(row) {
  const { ask, blocked, code, cookie, preflights = 1, status = 200 } = row;
  const { reached = status === 200 && !blocked ? 1 : 0 } = row;
  const common = { preflights, reached: Array(reached).fill(ask.method ?? "GET"), cookie };
  if (blocked) return { ...common, error: "TypeError: Failed to fetch", blocked };
  return { ...common, status, exposed: true, code };
}

const script = bundle(new URL("page.mjs", import.meta.url).pathname);
const pages = await listen((_, outgoing) => {
  outgoing.writeHead(200, { "content-type": "text/html; charset=utf-8" });
  outgoing.end(`<!doctype html><link rel="icon" href="data:,"><script>${script}</script>`);
});
const api = await listen(relay);
const at = (host, server) => `http://${host}:${server.address().port}`;
const folder = mkdtempSync(join(tmpdir(), "browser-"));
const file = join(folder, "gateway.toml");
writeFileSync(file, config(at("127.0.0.1", api), at(MAY_CALL, pages)));
const gateway = spawn(program, ["--config", file], { stdio: ["ignore", "pipe", "pipe"] });
let browser;
let log = "";
gateway.stderr.on("data", (text) => (log += text));
try {
  const line = once(createInterface(gateway.stdout), "line");
  const [first] = await Promise.race([line, once(gateway, "exit")]);
  const [, port] = String(first).match(/^gateway http:\/\/[^ ]*:(\d+) /) ?? assert.fail("no gateway");
  const address = `http://${GATEWAY}:${port}`;
  browser = await launch();
  const mayCall = await open(browser, at(MAY_CALL, pages));
  const stranger = await open(browser, at(STRANGER, pages));
  for (const row of cases) {
    const wanted = expected(row);
    const got = await outcome(row.stranger ? stranger : mayCall, address, { ...row, ...wanted });
    const { text, ...rest } = got;
    assert.deepEqual(rest, wanted, `${row.name}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
    if (row.text !== undefined) assert.ok(text.includes(row.text), `${row.name}: ${text}`);
  }
  console.log(cases.length);
} catch (error) {
  console.error(log);
  throw error;
} finally {
  await browser?.close();
  gateway.kill();
  pages.close();
  api.close();
  rmSync(folder, { recursive: true });
}
