// The browser, and what makes scripts of pages from modules. Both are node modules of the folder that `install`
// prints, which NODE_PATH has to name: import does not look there.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const { buildSync } = require("esbuild");

/** Chromium without a window, that goes nowhere of itself. It resolves `*.localhost` to this machine. */
export function launch() {
  const args = ["--disable-gpu", "--disable-quic", "--no-proxy-server"];
  return chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args });
}

/** A module and all that it imports as one script. */
export function bundle(path) {
  const nodePaths = [process.env.NODE_PATH];
  const options = { bundle: true, write: false, platform: "browser", logLevel: "error", nodePaths };
  return buildSync({ entryPoints: [path], ...options }).outputFiles[0].text;
}
