// Browser and bundler. Both are node modules of the folder that `install` prints; it must be in NODE_PATH, which
// `import` ignores.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const { buildSync } = require("esbuild");

/** Launches headless Chromium without background requests. It resolves `*.localhost` to this machine. */
export function launch() {
  const args = ["--disable-gpu", "--disable-quic", "--no-proxy-server"];
  return chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args });
}

/** Bundles a module and its imports into one script. */
export function bundle(path) {
  const nodePaths = [process.env.NODE_PATH];
  const options = { bundle: true, write: false, platform: "browser", logLevel: "error", nodePaths };
  return buildSync({ entryPoints: [path], ...options }).outputFiles[0].text;
}
