// The status, as the gateway tells it. What callers have sent is shown here, as text alone.

import { plot } from "./plot.js";

const PATIENCE = 5000;
const byId = (id) => document.getElementById(id);
let points = [];
let source = null;
let heard = 0;

/** An element with a text or elements in it. */
export function element(name, content = "", attributes = {}) {
  const made = document.createElement(name);
  made.append(...(Array.isArray(content) ? content : [content]));
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Changes what is there, so that screen readers hear of changes alone. */
function write(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function say(text, kind) {
  write("state", text);
  byId("state").className = `state ${kind}`;
}

function connect() {
  source?.close();
  heard = Date.now();
  source = new EventSource("/events");
  const on = (name, told) => source.addEventListener(name, (event) => told(JSON.parse(event.data)));
  on("history", (history) => (points = history));
  on("status", (status) => {
    heard = Date.now();
    points = [...points, status.point].slice(-120);
    show(status);
  });
  on("refused", showRefused);
  source.onerror = lost;
}

function lost() {
  say("The connection to the gateway is lost; what is below is old. Trying again.", "bad");
}

// A browser tries again by itself where the connection breaks, and not where it hangs or is refused.
setInterval(() => {
  if (document.hidden || Date.now() - heard < PATIENCE) return;
  lost();
  connect();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close();
  else connect();
});

function show(status) {
  const reasons = status.reasons ?? [];
  if (status.stopping) say("Stopping: requests in flight are finished", "warn");
  else if (status.reasons === null) say("Running; names and credentials are being checked", "unknown");
  else if (reasons.length) say("Not ready", "bad");
  else say("Ready", "ok");
  byId("reasons").hidden = !reasons.length;
  byId("reasons").replaceChildren(...reasons.map((reason) => element("li", reason)));
  write("version", status.version);
  write("requests", status.requests.toLocaleString());
  write("connections", status.connections.toLocaleString());
  write("bodies", `${bytes(status.bodies.used)} of ${bytes(status.bodies.size)}`);
  write("cache", cacheRatio(status.cached));
  write("credentials", credentials(status));
  byId("origin-rows").replaceChildren(...status.origins.map((it) => origin(it, status.point[0])));
  showPlots();
}

function cacheRatio(cached) {
  if (!cached) return "no cache";
  const [asked, answered] = [6, 7].map((column) => points.reduce((sum, point) => sum + point[column], 0));
  return asked ? `${Math.round((answered / asked) * 100)} % in 2 min` : "not asked in 2 min";
}

function credentials({ credentials: { needed, error, expires_in: left }, reasons }) {
  if (!needed) return "not needed";
  if (error) return "missing";
  if (left !== null) return left ? `expire in ${span(left)}` : "expired";
  return reasons ? "do not expire" : "being checked";
}

function span(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

/** Both are the gateway's times, whatever the clock here says. */
function since(time, now) {
  const seconds = Math.round((now - time) / 1000);
  if (seconds < 2) return "now";
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [size, unit] = units.find(([size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

function bytes(count) {
  const power = Math.min(4, Math.floor(Math.log2(Math.max(1, count)) / 10));
  return `${Number((count / 1024 ** power).toFixed(1))} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

function seconds(value) {
  if (value === null) return "–";
  return value < 1 ? `${Number((value * 1000).toPrecision(2))} ms` : `${Number(value.toPrecision(3))} s`;
}

function origin({ name, host, port, resolves, rate, last }, now) {
  let [state, kind] = ["not asked yet", ""];
  if (resolves === false) [state, kind] = ["name does not resolve", "bad-text"];
  else if (last?.error) [state, kind] = [last.error, "bad-text"];
  else if (last?.status >= 500) [state, kind] = ["fails", "bad-text"];
  else if (last?.status === 401 || last?.status === 403) state = "refused the last request";
  else if (last) [state, kind] = ["answers", "ok-text"];
  const resolved = { true: "resolves", false: "does not resolve", null: "being checked" }[resolves];
  const when = last ? `${last.status ?? last.error}, ${since(last.at, now)}` : "none";
  const cell = (text, label, attributes = {}) => element("td", text, { role: "cell", "data-name": label, ...attributes });
  const cells = [
    element("th", name, { role: "rowheader", scope: "row" }),
    cell(state, "State", { class: kind }),
    cell(`${host}:${port} ${resolved}`, "Name"),
    cell(when, "Last answer"),
    cell(String(rate), "Requests/s"),
  ];
  return element("tr", cells, { role: "row" });
}

function showPlots() {
  const column = (number) => points.map((point) => [point[0], point[number]]);
  const [, rate, failed, p50, p90, p99] = points.at(-1);
  const told = `Requests per second over two minutes, now ${rate}, failed ${failed}`;
  plot(byId("rate"), { a: column(1), c: column(2) }, (value) => String(Number(value.toPrecision(3))), told);
  const times = `Time to answer over two minutes, now half within ${seconds(p50)}, 90 of 100 within ${seconds(p90)}, 99 within ${seconds(p99)}`;
  plot(byId("times"), { a: column(3), b: column(4), c: column(5) }, seconds, times.replaceAll("–", "no request"));
  const row = ([at, rate, failed, ...times]) => {
    const cells = [rate, failed, ...times.slice(0, 3).map(seconds)];
    const time = element("th", new Date(at).toLocaleTimeString(), { scope: "row" });
    return element("tr", [time, ...cells.map((text) => element("td", String(text)))]);
  };
  byId("seconds").replaceChildren(...points.slice(-10).reverse().map(row));
}

function showRefused({ origins, callers }) {
  for (const [name, { total, recent }] of Object.entries({ origins, callers })) {
    const list = byId(`refused-${name}`);
    // What is open stays so, and the keyboard where it is.
    const known = new Map([...list.children].map((item) => [item.dataset.number, item]));
    const items = recent.map((refusal) => known.get(String(refusal.number)) ?? item(refusal));
    for (const old of [...list.children]) if (!items.includes(old)) old.remove();
    items.forEach((item, at) => {
      if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null);
    });
    write(`${name}-total`, total ? `the last ${recent.length} of ${total.toLocaleString()}` : "none");
  }
}

function item(refusal) {
  const parts = [
    element("p", [
      element("span", refusal.kind, { class: "kind" }),
      " ",
      element("span", `${new Date(refusal.at).toLocaleString()}, route ${refusal.route}, origin ${refusal.origin}`, { class: "when" }),
    ]),
    element("p", sentence(refusal.sentence)),
    element("p", `Remedy: ${refusal.remedy}.`),
  ];
  const more = [];
  for (const { part, signed, derived } of refusal.differences) more.push(differs(part, signed, derived));
  if (refusal.canonical) more.push(element("p", "The canonical request, as the gateway derived it; of values that may be secret the length"), element("div", refusal.canonical, { class: "lines" }));
  if (refusal.string_to_sign) more.push(element("p", "The string to sign"), element("div", refusal.string_to_sign, { class: "lines" }));
  if (more.length) parts.push(element("details", [element("summary", "What differs"), ...more]));
  return element("li", parts, { "data-number": refusal.number });
}

/** A clause of the gateway's, as people write it. */
export function sentence(clause) {
  return `${clause.charAt(0).toUpperCase()}${clause.slice(1)}.`;
}

/** One part of two canonical requests. */
function differs(part, signed, derived) {
  const lines = [element("del", `- signed   ${signed}`), element("ins", `+ derived  ${derived}`)];
  return element("div", [element("span", part, { class: "kind" }), element("div", lines, { class: "lines" })]);
}

connect();
