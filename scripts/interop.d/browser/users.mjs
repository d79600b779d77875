// Pages in Chromium whose users sign in at Amazon Cognito, and call the origin as themselves through a gateway.
// Arguments: a Python with botocore, and the gateway's program. Prints the number of passed checks.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { bundle, launch } from "./chromium.mjs";

const [python, program] = process.argv.slice(2);
const PAGE = "www.example.localhost";
const GATEWAY = "api.example.localhost";
const STS = "sts.us-east-1.amazonaws.com";
const CALLER_URL = "x-sigv4-caller-url";
let passed = 0;
const check = (got, wanted, name) => (assert.deepEqual(got, wanted, `${name}: ${JSON.stringify(got)}`), passed++);

/** Starts a program, and returns it with the first line that it prints, and with its log. */
async function start(command, ...parameters) {
  const child = spawn(command, parameters, { stdio: ["pipe", "pipe", "pipe"] });
  const log = [];
  createInterface(child.stderr).on("line", (line) => log.push(line));
  const lines = createInterface(child.stdout);
  const [line] = await Promise.race([once(lines, "line"), once(child, "exit")]);
  assert.ok(typeof line === "string", `${command} has ended: ${log.join("\n")}`);
  return { child, line, log };
}

const route = (path, page, more) => `
  [[route]]
  path = "${path}"
  host = "${GATEWAY}"
  origin = "api"
  ${more}
  [route.cors]
  origins = ["${page}"]
  headers = ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "${CALLER_URL}"]
  expose = ["www-authenticate", "x-amzn-errortype", "x-request-id"]
`;

const config = ({ cognito, issuer, client, identityPool, api, sts, keys, gatewayKey }, page) => `
  [server]
  listen = "127.0.0.1:0"
  [log]
  access = true
  [[identity]]
  name = "users"
  source = "cognito-identity-pool"
  identity_pool_id = "${identityPool}"
  cognito_endpoint = "${cognito}"
  [[identity]]
  name = "gateway"
  source = "static"
  access_key_id = "${gatewayKey[0]}"
  secret_access_key = "${gatewayKey[1]}"
  [verify]
  service = "execute-api"
  region = "us-east-1"
  [verify.keys_endpoint]
  url = "${keys}"
  [verify.iam]
  server_id = "${GATEWAY}"
  accounts = ["123456789012"]
  sts_endpoint = "${sts}"
  [[verify.jwt]]
  issuer = "${issuer}"
  audience = "${client}"
  required_claims = { token_use = "id" }
  [[origin]]
  name = "api"
  url = "${api}"
  service = "execute-api"
  region = "us-east-1"
  ${route("/orders", page, 'identity = "users"')}
  ${route("/signed", page, 'identity = "gateway"')}
`;

/** Waits until the log has a line with the text. */
async function logged(log, text) {
  const isLogged = () => log.some((line) => line.includes(text));
  for (let tries = 0; !isLogged() && tries < 100; tries++) await new Promise((then) => setTimeout(then, 50));
  return isLogged();
}

const folder = mkdtempSync(join(tmpdir(), "users-"));
const started = [];
let browser;
const script = bundle(new URL("users_page.mjs", import.meta.url).pathname);
const pages = createServer((_, outgoing) => {
  outgoing.writeHead(200, { "content-type": "text/html; charset=utf-8" });
  outgoing.end(`<!doctype html><link rel="icon" href="data:,"><script>${script}</script>`);
}).listen(0, "127.0.0.1");

/** Opens a page in a browser of its own, and counts its preflights. */
async function open(url) {
  const page = await (await browser.newContext()).newPage();
  const counted = { preflights: 0 };
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  devtools.on("Network.requestWillBeSent", ({ request }) => (counted.preflights += request.method === "OPTIONS"));
  await page.goto(url);
  return { page, counted };
}

try {
  await once(pages, "listening");
  const standIns = await start(python, "-EsB", new URL("../cognito.py", import.meta.url).pathname);
  started.push(standIns.child);
  const servers = JSON.parse(standIns.line);
  const counts = async () => (await fetch(`${servers.cognito}/counts`)).json();
  const page = `http://${PAGE}:${pages.address().port}`;
  const file = join(folder, "gateway.toml");
  writeFileSync(file, config(servers, page));
  const gateway = await start(program, "--config", file);
  started.push(gateway.child);
  const [, port] = gateway.line.match(/^gateway http:\/\/[^ ]*:(\d+) /) ?? assert.fail(gateway.line);
  const url = `http://${GATEWAY}:${port}`;
  browser = await launch();

  const ids = {};
  const tokens = {};
  for (const user of ["alice", "bob"]) {
    const { page: tab, counted } = await open(page);
    const signIn = ([servers, user, password]) => window.signIn(servers, user, password);
    tokens[user] = await tab.evaluate(signIn, [servers, user, `${user}'s password`]);
    const before = counted.preflights;
    const call = ([url, headers]) => window.call(url, headers);
    const headers = { authorization: `Bearer ${tokens[user]}` };
    for (let count = 0; count < 2; count++) {
      const response = await tab.evaluate(call, [`${url}/orders`, headers]);
      check(response.status, 200, `${user}: ${response.text ?? response.error}`);
      const seen = JSON.parse(response.text);
      check(seen.user, user, "the origin knows the user by the signature");
      ids[user] ??= seen.access_key_id;
      check(seen.access_key_id, ids[user], "the keys are kept");
      check(seen.authorization.startsWith("AWS4-HMAC-SHA256 "), true, "the token does not reach the origin");
      check("x-request-id" in response.headers, true, "exposed");
    }
    check(counted.preflights > before, true, "a preflight asks for the header authorization");

    // By the user's own signature, with keys that the page has got from the identity pool.
    const keys = await tab.evaluate(([servers, token]) => window.keys(servers, token), [servers, tokens[user]]);
    const sign = ([url, keys]) => window.sign(url, keys);
    const signed = await tab.evaluate(sign, [`${url}/signed`, keys]);
    for (let count = 0; count < 2; count++) {
      const response = await tab.evaluate(call, [`${url}/signed`, signed]);
      check(response.status, 200, `${user}, signed: ${response.text ?? response.error}`);
      check(JSON.parse(response.text).access_key_id, servers.gatewayKey[0], "the gateway signs with its own key");
    }
    check(await logged(gateway.log, keys.accessKeyId), true, "the gateway's log has the user's key");
    const changes = {
      "another path": await tab.evaluate(sign, [`${url}/signed/other`, keys]),
      "another secret": await tab.evaluate(sign, [`${url}/signed`, { ...keys, secretAccessKey: "secret" }]),
      "another token": await tab.evaluate(sign, [`${url}/signed`, { ...keys, sessionToken: "token" }]),
      "an unknown key": await tab.evaluate(sign, [`${url}/signed`, { ...keys, accessKeyId: "ASIAUNKNOWN" }]),
      "the gateway's key": await tab.evaluate(sign, [
        `${url}/signed`,
        { accessKeyId: servers.gatewayKey[0], secretAccessKey: servers.gatewayKey[1] },
      ]),
    };
    const reached = (await counts()).origin;
    for (const [name, headers] of Object.entries(changes)) {
      const response = await tab.evaluate(call, [`${url}/signed`, headers]);
      check(response.status, 403, `${name}: ${JSON.stringify(response)}`);
      check(typeof JSON.parse(response.text).message, "string", `${name}: the page reads the reason`);
    }
    check((await counts()).origin, reached, "rejected requests do not reach the origin");
    // By the user's own signature, which STS verifies once per URL.
    const presign = ([keys, host, headers]) => window.presigned(keys, host, headers);
    const callerUrl = await tab.evaluate(presign, [keys, STS, { "x-sigv4-server-id": GATEWAY }]);
    const asked = (await counts()).GetCallerIdentity;
    for (let count = 0; count < 2; count++) {
      const response = await tab.evaluate(call, [`${url}/signed`, { [CALLER_URL]: callerUrl }]);
      check(response.status, 200, `${user}, by STS: ${response.text ?? response.error}`);
      check(JSON.parse(response.text).access_key_id, servers.gatewayKey[0], "the gateway signs with its own key");
    }
    check((await counts()).GetCallerIdentity, asked + 1, "STS is asked once");
    const arn = `assumed-role/web-users/${user}`;
    check(await logged(gateway.log, arn), true, `the gateway knows ${arn}`);
    for (const [name, changed] of Object.entries({
      "for another server": await tab.evaluate(presign, [keys, STS, { "x-sigv4-server-id": "another" }]),
      "for no server": await tab.evaluate(presign, [keys, STS, {}]),
      "for another host": callerUrl.replace(STS, "sts.example.com"),
      "of another action": callerUrl.replace("GetCallerIdentity", "GetSessionToken"),
      "with another secret": await tab.evaluate(presign, [
        { ...keys, secretAccessKey: "secret" },
        STS,
        { "x-sigv4-server-id": GATEWAY },
      ]),
    })) {
      const before = (await counts()).origin;
      const response = await tab.evaluate(call, [`${url}/signed`, { [CALLER_URL]: changed }]);
      check(response.status, 403, `${name}: ${JSON.stringify(response)}`);
      check((await counts()).origin, before, `${name}: nothing reaches the origin`);
    }
    // The signed route accepts tokens too, and the route of users no signature.
    const withoutToken = await tab.evaluate(sign, [`${url}/orders`, keys]);
    const response = await tab.evaluate(call, [`${url}/orders`, withoutToken]);
    check(response.status, 403, `a signature in place of a token: ${JSON.stringify(response)}`);

  }
  check(ids.alice === ids.bob, false, "each user has its own keys");
  const afterUsers = await counts();

  const { page: tab } = await open(page);
  const made = async (body) => {
    const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    return (await (await fetch(`${servers.cognito}/token`, options)).json()).token;
  };
  const [head, body, signature] = tokens.alice.split(".");
  const flipped = `${signature[0] === "A" ? "B" : "A"}${signature.slice(1)}`;
  const rejected = {
    tampered: [head, body, flipped].join("."),
    "another user's claims": [head, tokens.bob.split(".")[1], signature].join("."),
    foreign: await made({ user: "alice", foreign: true }),
    expired: await made({ user: "alice", exp: 1_700_000_000 }),
    "of another audience": await made({ user: "alice", aud: "another" }),
    "an access token": await made({ user: "alice", token_use: "access" }),
  };
  for (const [name, token] of Object.entries(rejected)) {
    const headers = { authorization: `Bearer ${token}` };
    const response = await tab.evaluate(([url, headers]) => window.call(url, headers), [`${url}/orders`, headers]);
    check([401, 403].includes(response.status), true, `${name}: ${JSON.stringify(response)}`);
    check(typeof JSON.parse(response.text).message, "string", `${name}: the page reads the reason`);
    check(response.text.includes(token), false, `${name}: the response does not quote the token`);
  }
  const without = await tab.evaluate((url) => window.call(url, {}), `${url}/orders`);
  check([401, 403].includes(without.status), true, `no token: ${JSON.stringify(without)}`);
  check(await counts(), afterUsers, "rejected requests reach neither the identity pool nor the origin");
  console.log(passed);
} finally {
  await browser?.close();
  for (const child of started) child.kill();
  pages.close();
  rmSync(folder, { recursive: true });
}
