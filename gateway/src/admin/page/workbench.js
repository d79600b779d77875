// Signature workbench: sends a saved exchange to the gateway and shows the explanation.

import { sentence } from "./page.js";
import { element } from "./tables.js";

const byId = (id) => document.getElementById(id);
const MAX_LENGTH = 1024 * 1024;

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("error").textContent = "";
  byId("result").hidden = true;
  const text = [byId("request"), byId("response")].map((field) => field.value.trimEnd()).join("\n\n");
  try {
    show(await explain(text));
  } catch (error) {
    byId("error").textContent = error.message;
  }
});

byId("form").addEventListener("reset", () => {
  byId("error").textContent = "";
  byId("result").hidden = true;
  byId("request").focus();
});

async function explain(text) {
  if (!text.trim()) throw new Error("Paste a request, a response, or both.");
  if (new Blob([text]).size > MAX_LENGTH) throw new Error("The text is longer than 1 MiB; paste the heads and the start of the response's body.");
  let response;
  try {
    response = await fetch("/explain", { method: "POST", body: text });
  } catch {
    throw new Error("The gateway is not reachable; retry later.");
  }
  const result = await response.json().catch(() => ({ message: `the gateway responded with ${response.status}` }));
  if (!response.ok) throw new Error(sentence(result.message));
  return result;
}

function show({ diagnosis, note, signed, derived, lines }) {
  const title = diagnosis ? diagnosis.cause : "Signed request";
  const parts = [element("h3", title, { id: "result-title" })];
  if (diagnosis) {
    parts.push(element("p", sentence(diagnosis.summary)));
    for (const remedy of diagnosis.remedies) parts.push(element("p", `Remedy: ${remedy}.`));
    if (diagnosis.client_forms.length) {
      parts.push(element("h4", "Parts of this request that known clients sign in another form"));
      parts.push(element("ul", diagnosis.client_forms.map((form) => element("li", form)), { class: "forms" }));
    }
  }
  if (note) parts.push(element("p", note, { class: "hint" }));
  if (lines) {
    const marks = { same: ["span", "  "], signed: ["del", "- "], derived: ["ins", "+ "] };
    const line = ([tag, text]) => element(marks[tag][0], `${marks[tag][1]}${text}\n`);
    parts.push(element("h4", "Differences between the canonical requests"));
    parts.push(element("p", "Lines with - were signed; lines with + were derived by the origin.", { class: "hint" }));
    parts.push(element("div", lines.map(line), { class: "lines" }));
  }
  for (const [name, strings] of [["signed", signed], ["derived by the origin", derived]]) {
    if (!strings) continue;
    parts.push(...block(`Canonical request, ${name}`, strings.canonical_request));
    if (strings.canonical_request.includes("[redacted]")) parts.push(element("p", "The string to sign contains the hash of the request with its session token.", { class: "hint" }));
    if (strings.string_to_sign) parts.push(...block(`String to sign, ${name}`, strings.string_to_sign));
  }
  byId("result").replaceChildren(...parts);
  byId("result").hidden = false;
  byId("result").focus();
}

function block(title, text) {
  return [element("h4", title), element("div", text, { class: "lines" })];
}
