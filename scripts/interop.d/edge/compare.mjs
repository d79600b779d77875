// Compares examples/edge with the usual function around npm's aws4, and prints the table of docs/edge.md. Arguments: the
// program edge_judge, a Python with botocore, and the folder of the built package. With --check and a document as further
// arguments, it measures nothing, and fails if a row about a fixture is not in the document.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

import { createHandler as createAws4 } from "./aws4.mjs";
import { forward } from "./cloudfront.mjs";
import { fixtures } from "./fixtures.mjs";
import { CREDENTIALS, startJudges, stopJudges } from "./judges.mjs";

const [judge, python, folder, flag, document] = process.argv.slice(2);
const module = pathToFileURL(`${folder}/index.mjs`).href;
const { createHandler } = await import(module);
const API_SETTINGS = { service: "execute-api", region: "us-east-1" };
const STARTS = 21;
const ROUNDS = 7;
const WARM_UP = 2; // rounds in which node compiles the code
console.error = () => {}; // rejected events log their error
Object.assign(process.env, CREDENTIALS);

const median = (numbers) => numbers.sort((one, other) => one - other)[numbers.length >> 1];

/** Sends a fixture to each verifier. Returns the status, and the verifiers that respond with another. */
async function outcome(handler, { event, body, service, except }, judges) {
  const verifiers = {};
  for (const [verifier, urls] of Object.entries(judges)) {
    if (verifier === except) continue;
    const { status } = await forward(handler, event, urls[service], { body });
    (verifiers[status] ??= []).push(verifier);
  }
  const [most, ...others] = Object.entries(verifiers).sort(([, one], [, other]) => other.length - one.length);
  return [most[0], ...others.map(([status, names]) => `${status} from ${names.join(" and ")}`)].join(", ");
}

/** Returns a row of results for each fixture of an origin request. */
async function compareFixtures(judges) {
  const rows = [];
  for (const fixture of fixtures) {
    const { name, event, service, settings = {} } = fixture;
    if (!event.Records[0].cf.request.origin) continue; // the function around aws4 has no setting for it
    const ours = await outcome(createHandler(settings), fixture, judges);
    const aws4 = await outcome(createAws4({ service, region: "us-east-1" }), fixture, judges);
    rows.push(`| ${name} | ${ours} | ${aws4} |`);
  }
  for (const name of Object.keys(CREDENTIALS)) delete process.env[name];
  const [fixture] = fixtures;
  const results = [createHandler({}), createAws4(API_SETTINGS)].map((handler) => outcome(handler, fixture, judges));
  rows.push(`| no credentials | ${(await Promise.all(results)).join(" | ")} |`);
  Object.assign(process.env, CREDENTIALS);
  return rows;
}

/** Returns the median of the milliseconds from the start of node to the first signed request. */
function coldStart(module, event) {
  const script = new URL("cold_start.mjs", import.meta.url).pathname;
  const args = [script, module, JSON.stringify(API_SETTINGS), JSON.stringify(event)];
  return median(Array.from({ length: STARTS }, () => Number(execFileSync(process.execPath, args))));
}

/** Returns the median of the microseconds for an event. The rounds of both functions alternate. */
async function timePerEvent(handlers, event, count) {
  const times = handlers.map(() => []);
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const [at, handler] of handlers.entries()) {
      const events = Array.from({ length: count }, () => structuredClone(event));
      const started = performance.now();
      for (const event of events) await handler(event);
      if (round >= 0) times[at].push(((performance.now() - started) * 1000) / count);
    }
  }
  return times.map(median);
}

/** Returns the sizes of the packages as Lambda gets them: zipped. */
function packageSizes() {
  const work = mkdtempSync(join(tmpdir(), "edge-"));
  const zip = (name, files) => {
    execFileSync(python, ["-m", "zipfile", "-c", `${name}.zip`, ...files], { cwd: work });
    return statSync(join(work, `${name}.zip`)).size;
  };
  for (const file of ["index.mjs", "edge.node"]) copyFileSync(join(folder, file), join(work, file));
  copyFileSync(new URL("aws4.mjs", import.meta.url), join(work, "aws4.mjs"));
  const library = dirname(createRequire(import.meta.url).resolve("aws4"));
  cpSync(library, join(work, "node_modules/aws4"), { recursive: true });
  const sizes = [zip("ours", ["index.mjs", "edge.node"]), zip("aws4", ["aws4.mjs", "node_modules"])];
  rmSync(work, { recursive: true });
  return sizes;
}

async function measure() {
  const find = (name) => fixtures.find((fixture) => fixture.name === name).event;
  const handlers = [createHandler(API_SETTINGS), createAws4(API_SETTINGS)];
  const aws4 = new URL("aws4.mjs", import.meta.url).href;
  const rows = [];
  const add = (name, unit, digits, numbers) => {
    rows.push(`| ${name} | ${numbers.map((number) => `${number.toFixed(digits)} ${unit}`).join(" | ")} |`);
  };
  for (const [name, count] of [["GET", 5000], ["POST: text", 5000], ["POST: 1 MiB of binary", 20]]) {
    add(`time per event, ${name}`, "µs", 0, await timePerEvent(handlers, find(name), count));
  }
  add("cold start to the first signed GET", "ms", 1, [module, aws4].map((module) => coldStart(module, find("GET"))));
  add("package, zipped", "KiB", 0, packageSizes().map((bytes) => bytes / 1024));
  return rows;
}

const judges = await startJudges(judge, python);
let rows;
try {
  rows = await compareFixtures(judges);
} finally {
  stopJudges();
}
if (flag === "--check") {
  const text = readFileSync(document, "utf8");
  for (const row of rows) assert.ok(text.includes(`\n${row}\n`), `${document} has not the row ${row}`);
  console.log(rows.length);
} else {
  console.log(["| | this function | aws4 |", "|---|---|---|", ...rows, ...(await measure())].join("\n"));
}
