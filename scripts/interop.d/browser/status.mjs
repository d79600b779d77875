// Checks the demo gateway's status page in Chromium, for sight, keyboard and screen readers. Arguments: the gateway's
// program and, optionally, a file for a screenshot. Prints the number of passed checks.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { launch } from "./chromium.mjs";
import { startCluster, startLateOrigin, startRedis } from "./standins.mjs";

const [program, screenshot] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TIMEOUT = 15_000;
let passed = 0;
const check = (holds, name) => (assert.ok(holds, name), passed++);

/** Starts a gateway. Returns its process and the printed addresses: `gateway`, `origin`, `status` or `admin`. */
async function start(...parameters) {
  const process = spawn(program, parameters, { stdio: ["ignore", "pipe", "inherit"] });
  const found = {};
  for await (const line of createInterface(process.stdout)) {
    const [, name, address] = line.match(/^(\w+) +(http:\/\/[^/ ]+)/) ?? [];
    found[name] = address;
    if (name === "gateway") return { process, ...found };
  }
  assert.fail("no gateway");
}

async function stop({ process }) {
  process.kill();
  if (process.exitCode === null) await once(process, "exit");
}

/** Opens a page, and records its errors and its requests to other hosts. */
async function open(browser, url, options) {
  const page = await (await browser.newContext(options)).newPage();
  page.setDefaultTimeout(TIMEOUT);
  const seen = { errors: [], foreign: [] };
  page.on("console", (message) => message.type() === "error" && seen.errors.push(message.text()));
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("request", (request) => {
    if (new URL(request.url()).host !== new URL(url).host) seen.foreign.push(request.url());
  });
  await page.goto(url);
  await waitForText(page, "#state", "Ready");
  return { page, seen };
}

const waitForText = (page, selector, text) => page.locator(selector, { hasText: text }).first().waitFor();

async function checkAccessibility(page, name) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const failures = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  assert.deepEqual(failures, [], name);
  check(passes.length > 10, name);
}

/** Presses Tab until the element has the focus. */
async function tabTo(page, id) {
  for (let presses = 0; presses < 60; presses++) {
    if (await page.evaluate((id) => document.activeElement?.id === id, id)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`Tab does not reach ${id}`);
}

/** Presses Tab until the link has the focus. */
async function tabToLink(page, target) {
  for (let presses = 0; presses < 60; presses++) {
    if (await page.evaluate((target) => document.activeElement?.getAttribute("href") === target, target)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`Tab does not reach ${target}`);
}

const HOSTILE = "<img src=x onerror=window.ran=1><script>window.ran=1</script>";
const REQUEST = `POST /orders?a=1 HTTP/1.1
Host: api.example.com
X-Amz-Date: 20150830T123600Z
X-Amz-Meta-Name: ${HOSTILE}
X-Amz-Security-Token: T0KEN
Authorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date;x-amz-meta-name;x-amz-security-token, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31
Content-Length: 0
`;
const DERIVED = `POST\n/orders\na=1\nhost:abc.example.com\nx-amz-date:20150830T123600Z\nx-amz-meta-name:${HOSTILE}\nx-amz-security-token:T0KEN\n\nhost;x-amz-date;x-amz-meta-name;x-amz-security-token\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`;
const RESPONSE = JSON.stringify({
  message: `The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'${DERIVED}'\n`,
});

/** Returns a request as curl 7.88.1 signs it, and a response that derives it as AWS does. */
function unchangedExchange() {
  const date = "20261129T005340Z";
  const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const request = `GET /x//y?v HTTP/1.1
Host: h
X-Amz-Date: ${date}
User-Agent: curl/7.88.1
Authorization: AWS4-HMAC-SHA256 Credential=AKID/20261129/us-east-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature=${"0".repeat(64)}
`;
  const derived = `GET\n/x/y\nv=\nhost:h\nx-amz-date:${date}\n\nhost;x-amz-date\n${hash}`;
  const message = `The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'${derived}'\n`;
  return { request, response: JSON.stringify({ message }) };
}

async function sendTraffic(gateway) {
  for (let count = 0; count < 40; count++) await (await fetch(`${gateway}/orders`)).text();
  for (let count = 0; count < 3; count++) await (await fetch(`${gateway}/mistaken/orders`)).text();
}

async function checkStatus({ page }, demo) {
  const path = () => page.locator("#rate path.a").getAttribute("d");
  const before = await path();
  await sendTraffic(demo.gateway);
  await page.waitForFunction((before) => document.querySelector("#rate path.a").getAttribute("d") !== before, before);
  await waitForText(page, "#requests", "43");
  check(/L/.test(await path()), "the plot has a line");
  check(/ms/.test(await page.locator("#times").textContent()), "times have a scale");
  check(/now/.test(await page.locator("#times").getAttribute("aria-label")), "a plot has a text alternative");
  await waitForText(page, "#origin-rows tr", "responding");
  check(/resolves/.test(await page.locator("#origin-rows").textContent()), "names are resolved");
  await waitForText(page, "#route-rows tr", "/mistaken");
  check(/100 %/.test(await page.locator("#route-rows tr", { hasText: "/mistaken" }).textContent()), "a failing route");
  for (const id of ["callers", "fleet"]) {
    check(await page.locator(`#${id}`).isHidden(), `no ${id} to show`);
    check(await page.locator(`nav a[href="#${id}"]`).isHidden(), `no link to ${id}`);
  }
  await waitForText(page, "#credentials", "do not expire");
  await waitForText(page, "#rejections-origins li", "host-changed");
  const summary = page.locator("#rejections-origins summary").first();
  await summary.focus();
  await page.keyboard.press("Enter");
  const details = await page.locator("#rejections-origins details[open]").textContent();
  check(details.includes('- signed   "api.example.com"'), "signed host");
  check(details.includes(`+ derived  "${new URL(demo.origin).host}"`), "derived host");
  const name = page.locator("#origin-rows th").first();
  await name.evaluate((cell) => (cell.isKept = true));
  await new Promise((then) => setTimeout(then, 2500));
  check(await page.locator("#rejections-origins details[open]").isVisible(), "open details stay open");
  check(await name.evaluate((cell) => cell.isKept), "an unchanged cell stays in its place");
}

async function checkWorkbench({ page }) {
  await page.locator("#workbench").scrollIntoViewIfNeeded();
  await tabTo(page, "request");
  await page.keyboard.insertText("GET / HTTP/1.1\nHost: h\n\nno response");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await waitForText(page, "#error", "does not mention a signature");
  check((await page.inputValue("#request")).includes("no response"), "the text is kept after an error");
  await page.keyboard.press("Tab"); // to Clear
  await page.keyboard.press("Enter");
  check((await page.inputValue("#request")) === "", "the text is cleared");
  await page.keyboard.insertText(REQUEST);
  await page.keyboard.press("Tab");
  await page.keyboard.insertText(RESPONSE);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await waitForText(page, "#result h3", "host-changed");
  const result = await page.locator("#result").textContent();
  for (const text of ["- host:api.example.com", "+ host:abc.example.com", "x-amz-security-token:[redacted]", HOSTILE]) {
    check(result.includes(text), text);
  }
  for (const secret of ["T0KEN", "5fa00fa3"]) check(!result.includes(secret), secret);
  check(await page.evaluate(() => document.activeElement.id === "result"), "the result has the focus");
  const { ran, images } = await page.evaluate(() => ({ ran: window.ran, images: document.images.length }));
  check(ran === undefined && images === 0, "pasted markup is shown as text");
  const { request, response } = unchangedExchange();
  await page.locator("#request").fill(request);
  await page.locator("#response").fill(response);
  await page.locator("#form button[type=submit]").click();
  await waitForText(page, "#result h3", "secret-or-client");
  const forms = await page.locator("#result ul li").allTextContents();
  check(forms.length === 2, `the forms of clients: ${forms}`);
  check(forms[0] === 'path: curl 7.86 to 8.2 signs "/x//y", and AWS derives "/x/y"', forms[0]);
  check(forms[1].startsWith("query: curl 7.86 to 8.2 signs a name without"), forms[1]);
  const remedy = await page.locator("#result p", { hasText: "Remedy" }).first().textContent();
  check(remedy.includes("sigv4-gateway --explain FILE --secret-env NAME"), remedy);
}

async function checkWidth({ page }, width, name) {
  await page.setViewportSize({ width, height: 800 });
  const measures = await page.evaluate(() => document.documentElement.scrollWidth);
  check(measures <= width, `${name}: ${measures} of ${width} pixels`);
}

/** Takes the screenshot after a minute of traffic. */
async function takeScreenshot({ page }, { gateway }) {
  const until = Date.now() + 60_000;
  while (Date.now() < until) {
    const wave = 40 + 30 * Math.sin(Date.now() / 7000);
    await Promise.all(Array.from({ length: 5 }, async () => (await fetch(`${gateway}/orders`)).text()));
    await new Promise((then) => setTimeout(then, 5000 / wave));
  }
  await page.evaluate(() => (document.activeElement.blur(), scrollTo(0, 0)));
  await page.screenshot({ path: screenshot });
}

/** Restarts a gateway on the same port. */
async function checkReconnect(browser, origin) {
  const folder = mkdtempSync(join(tmpdir(), "status-"));
  const file = join(folder, "gateway.toml");
  const config = (admin) => `
    [server]
    listen = "127.0.0.1:0"
    [admin]
    listen = "${admin}"
    [credentials]
    source = "static"
    access_key_id = "AKIDEXAMPLE"
    secret_access_key = "secret"
    [[origin]]
    name = "api"
    url = "${origin}"
    service = "execute-api"
    region = "us-east-1"
    [[route]]
    path = "/"
    origin = "api"
  `;
  writeFileSync(file, config("127.0.0.1:0"));
  let gateway = await start("--config", file);
  try {
    const { page, seen } = await open(browser, gateway.admin);
    await stop(gateway);
    await waitForText(page, "#state", "lost");
    check(seen.foreign.length === 0, "no requests to other hosts");
    writeFileSync(file, config(new URL(gateway.admin).host));
    gateway = await start("--config", file);
    await waitForText(page, "#state", "Ready");
    passed++;
  } finally {
    await stop(gateway);
    rmSync(folder, { recursive: true });
  }
}

/** Opens the page of one of two gateways that share a Redis and verify callers. */
async function checkFleet(browser, origin) {
  const redis = await startRedis();
  const folder = mkdtempSync(join(tmpdir(), "status-"));
  const file = join(folder, "gateway.toml");
  writeFileSync(
    file,
    `
    [server]
    listen = "127.0.0.1:0"
    [admin]
    listen = "127.0.0.1:0"
    [cache]
    redis = "redis://127.0.0.1:${redis.port}"
    [credentials]
    source = "static"
    access_key_id = "AKIDEXAMPLE"
    secret_access_key = "secret"
    [verify]
    service = "execute-api"
    region = "us-east-1"
    [[verify.key]]
    access_key_id = "AKIDCALLER"
    secret_access_key = "secret"
    [[caller]]
    name = "team <b>a</b>"
    match = { access_key_id = "AKIDCALLER" }
    allow = ["all"]
    [[origin]]
    name = "api"
    url = "${origin}"
    service = "execute-api"
    region = "us-east-1"
    [[route]]
    name = "all"
    path = "/"
    origin = "api"
    cache = true
  `,
  );
  const gateways = [await start("--config", file), await start("--config", file)];
  try {
    const { page, seen } = await open(browser, gateways[0].admin);
    await page.locator("#gateway-rows tr").nth(1).waitFor();
    const listed = await page.locator("#gateway-rows").textContent();
    check(listed.includes("(this one)") && listed.includes("running"), listed);
    await waitForText(page, "#caller-rows", "team <b>a</b>");
    await waitForText(page, "#server-rows", `127.0.0.1:${redis.port}`);
    check(/0 stored/.test(await page.locator("#store").textContent()), "counters of the store");
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      for (const width of [1100, 360]) {
        await checkWidth({ page }, width, `fleet, ${colorScheme}`);
        await checkAccessibility(page, `fleet, ${colorScheme}, ${width} pixels`);
      }
    }
    await tabToLink(page, "#fleet");
    await page.keyboard.press("Enter");
    check(await page.locator("#fleet").isVisible(), "the link leads to the gateways");
    redis.process.kill();
    await waitForText(page, "#fleet-state", "Redis does not respond");
    await waitForText(page, "#store", "Requests bypass the cache");
    check(seen.foreign.length === 0 && seen.errors.length === 0, "no errors");
  } finally {
    redis.process.kill();
    for (const gateway of gateways) await stop(gateway);
    rmSync(folder, { recursive: true });
  }
}

/** Opens the page of a gateway with a cluster of Redis and an origin whose clock is wrong. */
async function checkClusterAndClock(browser, origin) {
  const folder = mkdtempSync(join(tmpdir(), "status-"));
  const file = join(folder, "gateway.toml");
  const [cluster, late] = await Promise.all([startCluster(), startLateOrigin(3600)]);
  const addresses = cluster.ports.map((port) => `127.0.0.1:${port}`);
  writeFileSync(
    file,
    `
    [server]
    listen = "127.0.0.1:0"
    [admin]
    listen = "127.0.0.1:0"
    [cache]
    redis = ["redis://${addresses[0]}"]
    redis_mode = "cluster"
    [credentials]
    source = "static"
    access_key_id = "AKIDEXAMPLE"
    secret_access_key = "secret"
    [[origin]]
    name = "api"
    url = "${origin}"
    service = "execute-api"
    region = "us-east-1"
    [[origin]]
    name = "late"
    url = "${late.url}"
    service = "s3"
    region = "us-east-1"
    recovery = true
    [[route]]
    path = "/late"
    origin = "late"
    [[route]]
    path = "/"
    origin = "api"
    cache = true
  `,
  );
  let gateway;
  try {
    gateway = await start("--config", file);
    const { page, seen } = await open(browser, gateway.admin);
    const clock = (name) => page.locator("#origin-rows tr", { hasText: name }).locator("td").last();
    await waitForText(page, "#origin-rows tr", "late");
    check((await clock("late").textContent()) === "–", "no offset before a request");
    check((await fetch(`${gateway.gateway}/late/key`)).status === 200, "the request is signed for the origin's clock");
    await waitForText(page, "#origin-rows tr", "s ahead");
    check(/^(3599|3600|3601) s ahead$/.test(await clock("late").textContent()), "the offset of the clock");
    check((await clock("api").textContent()) === "–", "the other origin has no offset");
    for (const address of addresses) await waitForText(page, "#server-rows tr", address);
    const cells = await page.locator("#server-rows td:last-child").allTextContents();
    const counts = cells.map(Number);
    check(counts.length === 3 && counts.every((count) => count > 5000), `slots: ${cells}`);
    check(counts.reduce((sum, count) => sum + count) === cluster.slots, `all slots: ${cells}`);
    await checkWidth({ page }, 360, "cluster");
    await checkAccessibility(page, "cluster");
    check(seen.foreign.length === 0 && seen.errors.length === 0, "no errors");
  } finally {
    if (gateway) await stop(gateway);
    await cluster.stop();
    late.stop();
    rmSync(folder, { recursive: true });
  }
}

const demo = await start("--listen", "127.0.0.1:0");
let browser;
try {
  browser = await launch();
  const opened = await open(browser, demo.status, { viewport: { width: 1100, height: 1140 } });
  const { page, seen } = opened;
  await checkStatus(opened, demo);
  if (screenshot) await takeScreenshot(opened, demo);
  await checkWorkbench(opened);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const width of [1100, 360]) {
      await checkWidth(opened, width, colorScheme);
      await checkAccessibility(page, `${colorScheme}, ${width} pixels`);
    }
  }
  assert.deepEqual(seen, { errors: ["Failed to load resource: the server responded with a status of 400 (Bad Request)"], foreign: [] });
  passed++;
  await checkReconnect(browser, demo.origin);
  await checkFleet(browser, demo.origin);
  await checkClusterAndClock(browser, demo.origin);
  console.log(passed);
} finally {
  await browser?.close();
  await stop(demo);
}
