// Where data come from: this page, or the server that it was loaded from.

import { $ } from "./format.js";

const embedded = $("rows");
export const isLive = !embedded;
const read = (id) => JSON.parse($(id).textContent);

// All rows by name, complete with the settings that they share.
export const rows = new Map();
let base = {}, instance = null, version = null;

function take(document) {
  base = document.base;
  if (document.whole !== false) rows.clear();
  for (const id of document.removed ?? []) rows.delete(id);
  for (const row of document.rows) {
    row.settings = { ...base, ...row.settings };
    for (const key of Object.keys(row.settings)) if (row.settings[key] === null) delete row.settings[key];
    row.text = [row.id, row.state, row.outcome ?? "", ...Object.values(row.settings)].join(" ").toLowerCase();
    rows.set(row.id, row);
  }
}

// The token stays in this tab. It may come in the fragment of a link, which browsers do not send.
const TOKEN = "sharpness-token";
let token = isLive ? sessionStorage.getItem(TOKEN) : null;
if (isLive && location.hash.startsWith("#token=")) {
  token = decodeURIComponent(location.hash.slice("#token=".length));
  sessionStorage.setItem(TOKEN, token);
  history.replaceState(null, "", location.pathname + location.search);
}
let asking = null;
function askToken() {
  asking ??= new Promise((resolve) => {
    const form = $("token-form"), input = $("token");
    form.hidden = false;
    input.focus();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      token = input.value.trim();
      sessionStorage.setItem(TOKEN, token);
      input.value = "";
      form.hidden = true;
      asking = null;
      resolve();
    }, { once: true });
  });
  return asking;
}

async function get(path, headers = {}) {
  for (;;) {
    const answer = await fetch(path, { headers: token ? { ...headers, authorization: `Bearer ${token}` } : headers });
    if (answer.status === 401) await askToken();
    else if (answer.ok) return answer;
    else throw new Error(`${path.split("?")[0]}: ${answer.status} ${await answer.text()}`);
  }
}
const getJson = async (path) => (await get(path)).json();

// Loads the rows, or those that have changed. Gives the name of the store.
export async function loadRows() {
  if (!isLive) {
    take(read("rows"));
    return null;
  }
  const document = await getJson(instance === null ? "/api/runs" : `/api/runs?instance=${instance}&since=${version}`);
  take(document);
  ({ instance, version } = document);
  return document.store;
}

// Curves by name. Those of a live training are loaded again when its row has changed.
const curves = new Map(), stamps = new Map();
const stamp = (id) => {
  const row = rows.get(id);
  return row ? `${instance} ${row.state} ${row.epochs} ${row.updated} ${row.measurements}` : "";
};
export async function loadCurves(ids) {
  if (!isLive && curves.size === 0) for (const curve of read("curves")) curves.set(curve.id, curve);
  const missing = isLive ? ids.filter((id) => stamps.get(id) !== stamp(id)) : [];
  if (missing.length > 0) {
    const asked = missing.map((id) => [id, stamp(id)]);
    for (const curve of await getJson(`/api/curves?ids=${missing.map(encodeURIComponent).join(",")}`)) curves.set(curve.id, curve);
    for (const [id, known] of asked) stamps.set(id, known);
  }
  return ids.map((id) => curves.get(id)).filter(Boolean);
}

let details = null;
export async function loadDetail(id) {
  if (isLive) return getJson(`/api/detail?id=${encodeURIComponent(id)}`);
  details ??= new Map(read("details").map((detail) => [detail.id, detail]));
  return details.get(id) ?? { id, measurements: [], starts: [], problems: [], isLeftOut: true };
}
export const loadConclusions = () => getJson("/api/conclusions");

// Tells about every change, and whether the server is there.
export async function follow(tell, isThere) {
  for (let pause = 1000; ; pause = Math.min(2 * pause, 15000)) {
    try {
      const answer = await get("/api/events", { accept: "text/event-stream" });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      isThere(true);
      pause = 1000;
      for (let text = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        const events = text.split("\n\n");
        text = events.pop();
        for (const event of events) {
          const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
          if (data.length > 0) tell(JSON.parse(data.join("\n")));
        }
      }
    } catch (problem) {
      console.debug("the server is not there", problem);
    }
    isThere(false);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
