// Starts the origins of the tests, which verify signatures: by `VerifyLayer`, aws-sigv4 and botocore.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export const CREDENTIALS = {
  AWS_ACCESS_KEY_ID: "ASIAEXAMPLE",
  AWS_SECRET_ACCESS_KEY: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  AWS_SESSION_TOKEN: "session/token+with=characters",
};

const started = [];

/** Starts a program that prints a line of JSON when it is ready, and returns the JSON. */
async function start(program, ...args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  started.push(child);
  const lines = createInterface({ input: child.stdout });
  const exited = once(child, "exit").then(() => Promise.reject(new Error(`${program} has not started`)));
  const [line] = await Promise.race([once(lines, "line"), exited]);
  exited.catch(() => {}); // it ends later
  return JSON.parse(line);
}

/** Returns the URLs of the origins: by verifier, then by service. */
export async function startJudges(program, python) {
  const script = new URL("judge.py", import.meta.url).pathname;
  const [rust, botocore] = await Promise.all([start(program, "serve"), start(python, "-EsB", script)]);
  return { ...rust, botocore };
}

export function stopJudges() {
  for (const child of started) child.kill();
}
