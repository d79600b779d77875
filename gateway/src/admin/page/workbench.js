// The workbench: an exchange that was saved goes to this gateway's own port, and what the doctor says comes back.

import { element, sentence } from "./page.js";

const byId = (id) => document.getElementById(id);
const LONGEST = 1024 * 1024;

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("error").textContent = "";
  byId("result").hidden = true;
  const text = [byId("request"), byId("answer")].map((box) => box.value.trimEnd()).join("\n\n");
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
  if (!text.trim()) throw new Error("Paste a request, an answer, or both.");
  if (new Blob([text]).size > LONGEST) throw new Error("That is longer than 1 MiB; paste the heads, and the answer's beginning.");
  let answer;
  try {
    answer = await fetch("/explain", { method: "POST", body: text });
  } catch {
    throw new Error("The gateway does not answer; try again once it does.");
  }
  const told = await answer.json().catch(() => ({ message: `the gateway answered ${answer.status}` }));
  if (!answer.ok) throw new Error(sentence(told.message));
  return told;
}

function show({ diagnosis, note, signed, derived, lines }) {
  const title = diagnosis ? diagnosis.cause : "What was signed";
  const parts = [element("h3", title, { id: "result-title" })];
  if (diagnosis) parts.push(element("p", sentence(diagnosis.sentence)), element("p", `Remedy: ${diagnosis.remedy}.`));
  if (note) parts.push(element("p", note, { class: "hint" }));
  if (lines) {
    const marks = { same: ["span", "  "], signed: ["del", "- "], derived: ["ins", "+ "] };
    const line = ([tag, text]) => element(marks[tag][0], `${marks[tag][1]}${text}\n`);
    parts.push(element("h4", "Canonical requests, line by line"));
    parts.push(element("p", "A line with - was signed, one with + was derived by the origin.", { class: "hint" }));
    parts.push(element("div", lines.map(line), { class: "lines" }));
  }
  for (const [name, texts] of [["signed", signed], ["derived by the origin", derived]]) {
    if (!texts) continue;
    parts.push(...copied(`Canonical request, ${name}`, texts.canonical_request));
    if (texts.canonical_request.includes("[redacted]")) parts.push(element("p", "The hash in the string to sign is that of the request with its session token.", { class: "hint" }));
    if (texts.string_to_sign) parts.push(...copied(`String to sign, ${name}`, texts.string_to_sign));
  }
  byId("result").replaceChildren(...parts);
  byId("result").hidden = false;
  byId("result").focus();
}

function copied(title, text) {
  return [element("h4", title), element("div", text, { class: "lines" })];
}
