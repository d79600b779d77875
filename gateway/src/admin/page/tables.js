// Rows of the tables.

/** Creates an element that contains a string or other elements. */
export function element(name, content = "", attributes = {}) {
  const created = document.createElement(name);
  created.append(...(Array.isArray(content) ? content : [content]));
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  return created;
}

// Roles are explicit, since tables whose rows are blocks on small screens lose theirs.
const row = (cells) => element("tr", cells, { role: "row" });
const heading = (text) => element("th", text, { role: "rowheader", scope: "row" });
const cell = (text, label, attributes = {}) => element("td", text, { role: "cell", "data-name": label, ...attributes });
const state = (problem, fine) => cell(problem || fine, "State", { class: problem ? "bad-text" : "ok-text" });

export function span(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

export function seconds(value) {
  if (value === null) return "–";
  return value < 1 ? `${Number((value * 1000).toPrecision(2))} ms` : `${Number(value.toPrecision(3))} s`;
}

/** Both times are the gateway's, so the browser's clock does not matter. */
function since(time, now) {
  const seconds = Math.round((now - time) / 1000);
  if (seconds < 2) return "now";
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [size, unit] = units.find(([size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

export function route({ route, origin, requests_per_second: rate, failed, p50, p90, p99 }) {
  const share = `${Number((failed * 100).toPrecision(2))} %`;
  const times = Object.entries({ p50, p90, p99 }).map(([name, value]) => cell(seconds(value), name));
  return row([
    heading(route),
    cell(origin, "Origin"),
    cell(String(rate), "Requests/s"),
    cell(share, "Failed", failed ? { class: "bad-text" } : {}),
    ...times,
  ]);
}

export function origin({ name, host, port, resolves, rate, last_response: last, clock_offset: offset }, now) {
  let [state, kind] = ["no requests yet", ""];
  if (resolves === false) [state, kind] = ["name does not resolve", "bad-text"];
  else if (last?.error) [state, kind] = [last.error, "bad-text"];
  else if (last?.status >= 500) [state, kind] = ["failing", "bad-text"];
  else if (last?.status === 401 || last?.status === 403) state = "rejected the last request";
  else if (last) [state, kind] = ["responding", "ok-text"];
  const resolved = { true: "resolves", false: "does not resolve", null: "checking" }[resolves];
  const when = last ? `${last.status ?? last.error}, ${since(last.at, now)}` : "none";
  const cells = [
    heading(name),
    cell(state, "State", { class: kind }),
    cell(`${host}:${port} ${resolved}`, "Address"),
    cell(when, "Last response"),
    cell(String(rate), "Requests/s"),
    cell(offset ? `${Math.abs(offset)} s ${offset > 0 ? "ahead" : "behind"}` : "–", "Clock"),
  ];
  return row(cells);
}

export function identity({ name, source, error, expires_in: left, sessions, calls }) {
  const cells = [
    heading(name),
    cell(error ?? "no error", "State", { class: error ? "bad-text" : "ok-text" }),
    cell(source, "Source"),
    cell(left === null ? "–" : span(left), "Expires in"),
    cell(sessions === null ? "–" : String(sessions), "Sessions"),
    cell(`${calls.succeeded}, ${calls.failed} failed`, "Calls"),
  ];
  return row(cells);
}

export function caller({ name, admitted, beyond_rate: rate, beyond_concurrency: concurrency }) {
  const counts = { Requests: admitted, "Beyond the rate": rate, "Beyond the concurrency": concurrency };
  return row([heading(name), ...Object.entries(counts).map(([label, count]) => cell(count.toLocaleString(), label))]);
}

export function issuer({ issuer, keys, age, failures, error }) {
  return row([
    heading(issuer),
    state(error, "no error"),
    cell(String(keys), "Keys"),
    cell(age === null ? "never" : `${span(age)} ago`, "Fetched"),
    cell(failures.toLocaleString(), "Failed fetches"),
  ]);
}

export function server({ address, slots, problem }) {
  return row([heading(address), state(problem, "no problem"), cell(slots === null ? "–" : String(slots), "Slots")]);
}

export function gateway({ this: isThis, state: it }) {
  const problem = it.degraded && `degraded: ${it.degraded}`;
  return row([
    heading(isThis ? `${it.host} (this one)` : it.host),
    it.stopping ? cell("stopping", "State") : state(problem, "running"),
    cell(String(it.requests_per_second), "Requests/s"),
    cell(String(it.failed_per_second), "Failed/s"),
    cell(seconds(it.p99), "p99"),
    cell(String(it.in_flight), "In flight"),
    cell(it.version, "Version"),
    cell(it.config, "Configuration"),
    cell(span(it.uptime), "Running for"),
  ]);
}
