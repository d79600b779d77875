// Servers for a gateway: Redis alone and as a cluster, and an origin whose clock is wrong.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SLOTS = 16384;
/** S3 rejects requests whose time differs by more. */
const CLOCK_WINDOW = 15 * 60 * 1000;

/** Returns free ports. They stay bound until all are known, so that they differ. */
async function freePorts(count) {
  const probes = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(probes.map((probe) => once(probe, "listening")));
  const ports = probes.map((probe) => probe.address().port);
  await Promise.all(probes.map((probe) => new Promise((then) => probe.close(then))));
  return ports;
}

function spawnRedis(port, ...more) {
  const parameters = ["--port", port, "--bind", "127.0.0.1", "--save", "", ...more];
  return spawn("redis-server", parameters, { stdio: "ignore" });
}

/** Starts redis-server on a free port. Returns its process and port. */
export async function startRedis() {
  const [port] = await freePorts(1);
  return { process: spawnRedis(port), port };
}

/** Starts a Redis cluster of three primaries. Returns their ports, and a function that stops them. */
export async function startCluster() {
  const folder = mkdtempSync(join(tmpdir(), "cluster-"));
  const all = await freePorts(6);
  const ports = all.slice(0, 3);
  const nodes = ports.map((port, at) => {
    const file = join(folder, `${port}.conf`);
    return spawnRedis(port, "--cluster-enabled", "yes", "--cluster-port", all[at + 3], "--cluster-config-file", file);
  });
  const stop = async () => {
    for (const node of nodes) node.kill();
    await Promise.all(nodes.map((node) => node.exitCode ?? node.signalCode ?? once(node, "exit")));
    rmSync(folder, { recursive: true });
  };
  try {
    await until(() => ports.every((port) => ask(port, "ping") === "PONG\n"));
    execFileSync("redis-cli", ["--cluster", "create", ...ports.map((port) => `127.0.0.1:${port}`), "--cluster-yes"]);
    await until(() => ports.every((port) => ask(port, "cluster", "info").includes(`cluster_slots_ok:${SLOTS}`)));
    return { ports, slots: SLOTS, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Returns the reply of a Redis, or an empty text without one. */
function ask(port, ...words) {
  try {
    return execFileSync("redis-cli", ["-p", port, ...words], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return "";
  }
}

async function until(holds) {
  for (const end = Date.now() + 15_000; !holds(); ) {
    if (Date.now() > end) throw new Error("the cluster does not start");
    await new Promise((then) => setTimeout(then, 100));
  }
}

/** Starts an origin of S3's protocol, whose clock is `ahead` seconds ahead. It rejects requests of another time. */
export async function startLateOrigin(ahead) {
  const server = createHttpServer((request, response) => {
    const now = Date.now() + ahead * 1000;
    const [, year, month, day, hour, minute, second] =
      request.headers["x-amz-date"].match(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/);
    const signed = Date.UTC(year, month - 1, day, hour, minute, second);
    const isSkewed = Math.abs(now - signed) > CLOCK_WINDOW;
    const headers = { date: new Date(now).toUTCString(), "content-type": "application/xml" };
    response.writeHead(isSkewed ? 403 : 200, headers);
    const message = "The difference between the request time and the current time is too large.";
    response.end(isSkewed ? `<Error><Code>RequestTimeTooSkewed</Code><Message>${message}</Message></Error>` : "");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
