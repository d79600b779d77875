// Status page. Data from callers is shown only as text.

import { plot } from "./plot.js";
import { caller, element, gateway, identity, issuer, origin, route, seconds, server, span } from "./tables.js";

const SILENCE_TIMEOUT = 5000;
const byId = (id) => document.getElementById(id);
let points = [];
let source = null;
let lastEvent = 0;

/** Writes only changed text, so that screen readers announce nothing else. */
function write(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function showState(text, kind) {
  write("state", text);
  byId("state").className = `state ${kind}`;
}

function connect() {
  source?.close();
  lastEvent = Date.now();
  source = new EventSource("/events");
  const on = (name, handle) => source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  on("history", (history) => (points = history));
  on("status", (status) => {
    lastEvent = Date.now();
    points = [...points, status.point].slice(-120);
    show(status);
  });
  on("rejections", showRejections);
  source.onerror = showDisconnected;
}

function showDisconnected() {
  showState("Connection to the gateway lost; the data below is old. Reconnecting.", "bad");
}

// Browsers reconnect after a broken connection, but not if it hangs or the server rejects it.
setInterval(() => {
  if (document.hidden || Date.now() - lastEvent < SILENCE_TIMEOUT) return;
  showDisconnected();
  connect();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close();
  else connect();
});

function show(status) {
  const reasons = [...(status.reasons ?? []), ...status.degraded];
  if (status.stopping) showState("Stopping after the current requests", "warn");
  else if (status.reasons === null) showState("Running; checking names and credentials", "unknown");
  else if (status.reasons.length) showState("Not ready", "bad");
  else if (reasons.length) showState("Ready, but degraded", "warn");
  else showState("Ready", "ok");
  byId("reasons").hidden = !reasons.length;
  update(byId("reasons"), reasons.map((reason) => element("li", reason)));
  write("version", status.version);
  write("requests", status.requests.toLocaleString());
  write("connections", status.connections.toLocaleString());
  write("bodies", `${bytes(status.bodies.used)} of ${bytes(status.bodies.size)}`);
  write("cache", cacheHits(status.cache));
  write("credentials", credentials(status));
  const now = status.point[0];
  rows("route-rows", status.routes.map(route));
  write("other-routes", otherRoutes(status));
  rows("origin-rows", status.origins.map((it) => origin(it, now)));
  rows("identity-rows", status.identities.map(identity));
  rows("caller-rows", status.callers.map(caller));
  rows("issuer-rows", status.issuers.map(issuer));
  offer("callers", status.callers.length || status.issuers.length);
  rows("server-rows", status.cache?.servers.map(server) ?? []);
  write("store", status.cache ? store(status.cache) : "");
  offer("cache-servers", status.cache);
  rows("gateway-rows", status.fleet?.members?.map(gateway) ?? []);
  write("fleet-state", status.fleet && !status.fleet.members ? "They are unknown: Redis does not respond." : "");
  offer("fleet", status.fleet);
  showPlots();
}

function otherRoutes({ routes, other_routes: others }) {
  if (!routes.length) return "No requests yet.";
  return others ? `${others} more had requests.` : "";
}

/** Replaces the rows of a table, and hides a table without rows. */
function rows(id, elements) {
  update(byId(id), elements);
  byId(id).closest("table").hidden = !elements.length;
}

/** Replaces only what differs, so that a selection and the place of a screen reader stay. */
function update(parent, elements) {
  elements.forEach((shown, at) => {
    const old = parent.children[at];
    if (!old) parent.append(shown);
    else if (!old.isEqualNode(shown)) {
      if (shown.children.length) update(old, [...shown.children]);
      else old.replaceWith(shown);
    }
  });
  while (parent.children.length > elements.length) parent.lastElementChild.remove();
}

/** Shows a section and its link, or hides them. */
function offer(id, isShown) {
  byId(id).closest("section").hidden = !isShown;
  document.querySelector(`nav a[href="#${id}"]`).hidden = !isShown;
}

function store({ problem, stored, evicted, dropped, errors, pending_removals: pending }) {
  const counts = [[stored, "stored"], [evicted, "evicted"], [dropped, "dropped"], [errors, "failed queries"], [pending, "removals wait"]];
  const text = counts.map(([count, name]) => `${count.toLocaleString()} ${name}`).join(", ");
  return `${problem ? `Requests bypass the cache: ${problem}. ` : ""}Since the start: ${text}.`;
}

function cacheHits(cache) {
  if (!cache) return "no cache";
  const [lookups, hits] = [6, 7].map((column) => points.reduce((sum, point) => sum + point[column], 0));
  return lookups ? `${Math.round((hits / lookups) * 100)} % in 2 min` : "no lookups in 2 min";
}

function credentials({ identities, reasons }) {
  if (!identities.length) return "not needed";
  const missing = identities.filter(({ error }) => error).length;
  if (missing) return identities.length > 1 ? `${missing} of ${identities.length} missing` : "missing";
  const left = identities.map((it) => it.expires_in).filter((it) => it !== null);
  if (left.length) return Math.min(...left) ? `expire in ${span(Math.min(...left))}` : "expired";
  return reasons ? "do not expire" : "checking";
}

function bytes(count) {
  const power = Math.min(4, Math.floor(Math.log2(Math.max(1, count)) / 10));
  return `${Number((count / 1024 ** power).toFixed(1))} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

function showPlots() {
  const column = (number) => points.map((point) => [point[0], point[number]]);
  const [, rate, failed, p50, p90, p99] = points.at(-1);
  const rateLabel = `Requests per second over two minutes, now ${rate}, failed ${failed}`;
  plot(byId("rate"), { a: column(1), c: column(2) }, (value) => String(Number(value.toPrecision(3))), rateLabel);
  const timesLabel = `Response time over two minutes, now p50 ${seconds(p50)}, p90 ${seconds(p90)}, p99 ${seconds(p99)}`;
  plot(byId("times"), { a: column(3), b: column(4), c: column(5) }, seconds, timesLabel.replaceAll("–", "no request"));
  const row = ([at, rate, failed, ...times]) => {
    const cells = [rate, failed, ...times.slice(0, 3).map(seconds)];
    const time = element("th", new Date(at).toLocaleTimeString(), { scope: "row" });
    return element("tr", [time, ...cells.map((text) => element("td", String(text)))]);
  };
  byId("seconds").replaceChildren(...points.slice(-10).reverse().map(row));
}

function showRejections({ origins, callers }) {
  for (const [name, { total, recent }] of Object.entries({ origins, callers })) {
    const list = byId(`rejections-${name}`);
    // Reuses elements, to preserve open details and the keyboard focus.
    const known = new Map([...list.children].map((item) => [item.dataset.number, item]));
    const items = recent.map((rejection) => known.get(String(rejection.number)) ?? rejectionItem(rejection));
    for (const old of [...list.children]) if (!items.includes(old)) old.remove();
    items.forEach((item, at) => {
      if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null);
    });
    write(`${name}-total`, total ? `last ${recent.length} of ${total.toLocaleString()}` : "none");
  }
}

function rejectionItem(rejection) {
  const parts = [
    element("p", [
      element("span", rejection.kind, { class: "kind" }),
      " ",
      element("span", `${new Date(rejection.at).toLocaleString()}, route ${rejection.route}, origin ${rejection.origin}`, { class: "when" }),
    ]),
    element("p", sentence(rejection.summary)),
    ...rejection.remedies.map((remedy) => element("p", `Remedy: ${remedy}.`)),
  ];
  const more = [];
  for (const { part, signed, derived } of rejection.differences) more.push(difference(part, signed, derived));
  if (rejection.canonical) more.push(element("p", "Canonical request derived by the gateway; possibly secret values are replaced by their length"), element("div", rejection.canonical, { class: "lines" }));
  if (rejection.string_to_sign) more.push(element("p", "String to sign"), element("div", rejection.string_to_sign, { class: "lines" }));
  if (more.length) parts.push(element("details", [element("summary", "Details"), ...more]));
  return element("li", parts, { "data-number": rejection.number });
}

/** Formats a message of the gateway as a sentence. */
export function sentence(clause) {
  return `${clause.charAt(0).toUpperCase()}${clause.slice(1)}.`;
}

/** Shows a part in which two canonical requests differ. */
function difference(part, signed, derived) {
  const lines = [element("del", `- signed   ${signed}`), element("ins", `+ derived  ${derived}`)];
  return element("div", [element("span", part, { class: "kind" }), element("div", lines, { class: "lines" })]);
}

connect();
