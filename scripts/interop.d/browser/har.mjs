// Saves a HAR file of Chromium, whose request the origin rejects, and lets `sigv4-gateway --explain` read it. Argument:
// the gateway's program. Prints the number of passed checks.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { launch } from "./chromium.mjs";

const [program] = process.argv.slice(2);
const DATE = "20261129T005340Z";
const MISMATCH = "The request signature we calculated does not match the signature you provided.";
const BODY = '{"id":17}';

/** Responds to a page's requests as API Gateway does that receives them by another name. */
async function startOrigin() {
  const server = createServer((request, response) => {
    if (request.method === "GET") return response.end("<title>page</title>");
    const hash = request.headers["x-amz-content-sha256"];
    const derived = `POST\n/orders\n\nhost:api.example.com\nx-amz-content-sha256:${hash}\nx-amz-date:${DATE}\n\nhost;x-amz-content-sha256;x-amz-date\n${hash}`;
    const message = `${MISMATCH}\n\nThe Canonical String for this request should have been\n'${derived}'\n`;
    response.writeHead(403, { "content-type": "application/json" }).end(JSON.stringify({ message }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, host: `127.0.0.1:${server.address().port}` };
}

/** Sends a request in the page, as a signer of the page does. */
async function send([date, body]) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(body)));
  const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const authorization = `AWS4-HMAC-SHA256 Credential=AKID/20261129/us-east-1/execute-api/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=${"0".repeat(64)}`;
  const headers = { authorization, "x-amz-content-sha256": hash, "x-amz-date": date };
  return (await fetch("/orders", { method: "POST", body, headers })).text();
}

const folder = mkdtempSync(join(tmpdir(), "har-"));
const path = join(folder, "page.har");
const { server, host } = await startOrigin();
const browser = await launch();
try {
  const context = await browser.newContext({ recordHar: { path, content: "embed" } });
  const page = await context.newPage();
  await page.goto(`http://${host}/`);
  assert.ok((await page.evaluate(send, [DATE, BODY])).includes(MISMATCH));
  await context.close(); // writes the file
  const { stdout, stderr } = spawnSync(program, ["--explain", path], { encoding: "utf8" });
  assert.ok(stdout.startsWith("cause  host-changed\n"), stdout + stderr);
  for (const line of [`  signed   "${host}"`, '  derived  "api.example.com"']) assert.ok(stdout.includes(line), stdout);
  console.log(3);
} finally {
  await browser.close();
  server.close();
  rmSync(folder, { recursive: true });
}
