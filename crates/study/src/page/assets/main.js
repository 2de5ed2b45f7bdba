// Puts the page together: what the address says, the table, the curves, and what the server tells.

import { show, shown, shownList } from "./address.js";
import { chart } from "./chart.js";
import { close, openComparison, openDetail } from "./detail.js";
import { $, element, exact, number, percent, plural, settingName, settingValue } from "./format.js";
import { RESULTS, parseQuery } from "./query.js";
import { follow, isLive, loadConclusions, loadCurves, loadRows, rows } from "./source.js";
import { RESULT_COLUMNS, allSettings, columnName, defaultColumns, order, runTable, varyingSettings } from "./table.js";

const MOST_DRAWN = 12, MOST_SELECTED = 64, COLOURS = 8;
const DASHES = { train: null, test: "2 3" };

const table = runTable({ select, open: openRun, sort: sortBy });
let all = [], visible = [], settings = [], varying = [];

// The runs that are drawn: those selected, or the first in the table that have curves.
const selected = () => shownList("selected").filter((id) => rows.has(id));
const drawnRows = () => {
  const chosen = selected().map((id) => rows.get(id));
  return chosen.length > 0 ? chosen.slice(0, MOST_SELECTED) : visible.filter((row) => row.epochs > 0).slice(0, MOST_DRAWN);
};

// Colours by run, or along a scale by a setting: by the first number that varies if there are more runs than colours.
function coloursOf(drawn) {
  const asked = shown("colour"), isNumber = (key) => drawn.every((row) => typeof row.settings[key] === "number") && new Set(drawn.map((row) => row.settings[key])).size > 1;
  const key = asked === "run" ? "" : asked || (drawn.length > COLOURS ? varying.find((name) => name !== "seed" && isNumber(name)) ?? "" : "");
  if (!key) return { key, colours: new Map(drawn.map((row, i) => [row.id, `var(--c${i % COLOURS})`])) };
  const values = [...new Set(drawn.map((row) => row.settings[key]))].sort((a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b))));
  const colour = (value) => isNumber(key) || values.length > COLOURS
    ? `color-mix(in oklab, var(--high) ${Math.round((100 * values.indexOf(value)) / Math.max(values.length - 1, 1))}%, var(--low))` : `var(--c${values.indexOf(value) % COLOURS})`;
  return { key, values, colour, colours: new Map(drawn.map((row) => [row.id, colour(row.settings[key])])) };
}

// What tells a run apart from the others that are drawn.
function nameOf(row, drawn) {
  const different = varying.filter((key) => !key.endsWith("micro_batch_size") && drawn.some((other) => settingValue(other.settings[key]) !== settingValue(row.settings[key])));
  const parts = different.slice(0, 3).map((key) => `${settingName(key)} ${settingValue(row.settings[key])}`);
  return parts.length > 0 ? parts.join(", ") : row.id.slice(0, 9);
}

const panels = new Map();
function panel(holder, name) {
  if (!panels.has(holder)) panels.set(holder, new Map());
  const known = panels.get(holder);
  if (!known.has(name)) {
    const place = element("figure", { class: "chart", "data-chart": name });
    holder.append(place);
    known.set(name, { place, chart: chart(place, (id) => openRun(id, null)) });
  }
  return known.get(name);
}

function draw(holder, drawn, curves, colours) {
  const byId = new Map(curves.map((curve) => [curve.id, curve])), data = shown("data", "both"), isStep = shown("x") === "step";
  const found = drawn.filter((row) => byId.has(row.id)).map((row) => ({ row, curve: byId.get(row.id), name: nameOf(row, drawn), colour: colours.get(row.id) }));
  const logs = new Set(shown("log", "loss,lambda").split(","));
  const common = { xName: isStep ? "step" : "epoch", isLogX: logs.has("x") };
  const kinds = data === "both" ? ["train", "test"] : [data];
  const epochs = (name, isLogY, f = (value) => value) => kinds.flatMap((kind) => found.map(({ row, curve, name: text, colour }) => {
    const values = curve[`${kind}_${name}`], xs = isStep ? curve.step : curve.epoch;
    const points = xs.map((x, i) => [x, values[i] === null ? NaN : f(values[i])]).filter(([, y]) => Number.isFinite(y));
    return { id: row.id, name: kinds.length > 1 ? `${text} (${kind})` : text, colour, dashes: DASHES[kind], points, isEnd: kind === "test" && points.length === 1 };
  }));
  const thinned = curves.filter((curve) => curve.every > 1).length;
  const note = thinned > 0 ? "some epochs are left out" : "";
  const isLogLoss = logs.has("loss"), isError = logs.has("accuracy"), isLogLambda = logs.has("lambda");
  panel(holder, "loss").chart.draw({ ...common, title: "Loss", note, isLogY: isLogLoss, y: (v) => number(v, 5), series: epochs("loss") });
  panel(holder, "accuracy").chart.draw({
    ...common, title: isError ? "Error (1 − accuracy)" : "Accuracy", isLogY: isError, y: (v) => percent(v), tick: (v) => `${number(100 * v, 3)} %`,
    series: epochs("accuracy", isError, (value) => (isError ? 1 - value : value)),
  });
  drawPoints(holder, found, { ...common, isStep, isLogLambda });
}

function drawPoints(holder, found, { isStep, isLogLambda, ...common }) {
  const place = (curve) => (step) => (isStep || curve.epoch.length === 0 ? step : (step * curve.epoch.at(-1)) / curve.step.at(-1));
  const points = (key) => found.map(({ row, curve, name, colour }) => {
    const at = place(curve), known = curve.points.step.map((step, i) => [at(step), curve.points[key][i]]).filter(([, y]) => Number.isFinite(y));
    const end = key === "lambda_max" && curve.end && Number.isFinite(curve.end[1]) ? [[at(curve.end[0]), curve.end[1]]] : [];
    if (known.length > 0 && end.length > 0 && known.at(-1)[0] >= end[0][0]) known.pop();
    return { id: row.id, name, colour, points: [...known, ...end], isEnd: end.length > 0 };
  });
  const edges = new Map();
  for (const { curve, colour } of found)
    if (curve.edge) edges.set(curve.edge[0], { value: curve.edge[0], name: `${curve.edge[1]} = ${number(curve.edge[0], 3)}`, colour: (edges.get(curve.edge[0])?.colour ?? colour) === colour ? colour : "var(--faint)" });
  const some = edges.size <= 6 ? [...edges.values()] : [];
  panel(holder, "lambda").chart.draw({ ...common, title: "λ_max", heading: ["λ", element("sub", {}, "max")], note: some.length > 0 ? "dashed: edge of stability" : "", isLogY: isLogLambda, y: exact, series: points("lambda_max"), edges: some });
  const gradients = points("gradient_norm"), { place: box, chart: own } = panel(holder, "gradient");
  box.hidden = gradients.every((one) => one.points.length === 0);
  if (!box.hidden) own.draw({ ...common, title: "Gradient norm", isLogY: true, y: (v) => number(v, 5), series: gradients });
}

let drawing = 0;
async function drawCharts() {
  const drawn = drawnRows(), { key, values, colour, colours } = coloursOf(drawn), ticket = ++drawing;
  table.show({ rows: visible, columns: columns(), selected: new Set(selected()), colours, sort: sortKey(), isDescending: isDescending() });
  $("clear").disabled = selected().length === 0;
  $("compare").disabled = selected().length !== 2;
  const count = drawn.length === 0 ? "No run has curves yet." : selected().length > 0 ? `${plural(drawn.length, "selected run")}.` : `The first ${plural(drawn.length, "run")} of the table; select runs to draw others.`;
  $("drawn").textContent = `${count} ${shown("data", "both") === "both" ? "Lines: train. Dots and dotted lines: test." : ""}`;
  const swatch = (text, paint) => element("span", { class: "key" }, element("i", { class: "swatch", style: { background: paint } }), text);
  $("legend").replaceChildren(...(key ? [element("b", {}, settingName(key)), ...values.map((value) => swatch(settingValue(value), colour(value)))] : drawn.map((row) => swatch(nameOf(row, drawn), colours.get(row.id)))));
  const curves = await loadCurves(drawn.map((row) => row.id));
  if (ticket === drawing) draw($("charts"), drawn, curves, colours);
}

const columns = () => {
  const chosen = shownList("columns").filter((key) => RESULT_COLUMNS.includes(key) || settings.includes(key));
  return chosen.length > 0 ? chosen : defaultColumns(all);
};
const sortKey = () => shown("sort", "state").replace(/^-/, "");
const isDescending = () => shown("sort", "state").startsWith("-");
function sortBy(key) {
  const isSame = sortKey() === key;
  show({ sort: isSame ? `${isDescending() ? "" : "-"}${key}` : `${RESULTS[key] && key !== "state" ? "-" : ""}${key}` });
  update();
}
function select(id) {
  const chosen = new Set(selected());
  if (!chosen.delete(id)) chosen.add(id);
  show({ selected: [...chosen].join(","), compare: chosen.size === 2 ? shown("compare") : "" });
  update();
}
function closeDetail() {
  show({ run: "", compare: "" });
  close();
}
function openRun(id, from) {
  show({ run: id, compare: "" });
  openDetail(id, from, closeDetail);
}
function compare(from) {
  const ids = selected();
  if (ids.length !== 2) return;
  show({ compare: true, run: "" });
  openComparison(ids, from, closeDetail, async (holder) => {
    const pair = ids.map((id) => rows.get(id));
    draw(holder, pair, await loadCurves(ids), new Map(ids.map((id, i) => [id, `var(--c${i})`])));
  });
}

function drawStates(matching) {
  const counts = new Map();
  for (const row of matching) counts.set(row.state, (counts.get(row.state) ?? 0) + 1);
  const chosen = new Set(shownList("state"));
  for (const state of chosen) if (!counts.has(state)) counts.set(state, 0);
  const names = ["running", "to do", "started", "failed", "damaged", "trained", "done"].filter((state) => counts.has(state));
  $("states").replaceChildren(...names.map((state) => element("button", { type: "button", class: `chip ${state.replace(" ", "-")}`, "aria-pressed": String(chosen.has(state)), click: () => {
    if (!chosen.delete(state)) chosen.add(state);
    show({ state: [...chosen].join(",") });
    update();
    [...$("states").children].find((button) => button.dataset.state === state)?.focus();
  }, "data-state": state }, element("b", {}, counts.get(state).toLocaleString("en")), ` ${state}`)));
}

// Shows everything again after rows or the address have changed.
function update() {
  const { matches, problem } = parseQuery(shown("filter"), settings);
  $("filter-problem").textContent = problem;
  $("filter-problem").hidden = !problem;
  $("filter").setAttribute("aria-invalid", String(Boolean(problem)));
  const matching = all.filter(matches), states = new Set(shownList("state"));
  visible = matching.filter((row) => states.size === 0 || states.has(row.state)).sort(order(sortKey(), isDescending()));
  drawStates(matching);
  $("count").textContent = all.length === 0 ? "This store holds no runs yet. `sharpness sweep RECIPE` or `sharpness train --out DIR` makes some."
    : visible.length === all.length ? plural(all.length, "training") : `${visible.length.toLocaleString("en")} of ${plural(all.length, "training")}`;
  document.body.classList.toggle("is-empty", all.length === 0);
  $("sort").value = sortKey();
  $("direction").textContent = isDescending() ? "descending" : "ascending";
  drawCharts().catch((problem) => tellProblem(String(problem.message)));
}

// Reads the settings of all rows, and offers them in the controls.
function takeRows() {
  all = [...rows.values()];
  settings = allSettings(all);
  varying = varyingSettings(all);
  const option = (value, text) => element("option", { value }, text);
  const keep = (select, options, value) => {
    select.replaceChildren(...options);
    select.value = value;
  };
  const offered = [...RESULT_COLUMNS, ...varying];
  keep($("sort"), ["state", "run", ...offered].map((key) => option(key, columnName(key))), sortKey());
  keep($("colour"), [option("", "automatic"), option("run", "run"), ...varying.map((key) => option(key, settingName(key)))], shown("colour"));
  $("keys").replaceChildren(...[...Object.keys(RESULTS), ...varying].map((key) => option(`${key}=`, "")));
  const chosen = new Set(columns()), boxes = [...RESULT_COLUMNS, ...settings];
  const isNew = boxes.join() !== $("column-boxes").dataset.keys;
  if (!isNew) return;
  $("column-boxes").dataset.keys = boxes.join();
  $("column-boxes").replaceChildren(...boxes.map((key) => {
    const box = element("input", { type: "checkbox", value: key, change: () => {
      show({ columns: [...$("column-boxes").querySelectorAll(":checked")].map((one) => one.value).join(",") });
      update();
    } });
    box.checked = chosen.has(key);
    return element("label", { title: key }, box, ` ${columnName(key)}`);
  }));
}

function tellProblem(text) {
  if (!$("problem")) return;
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

function listen() {
  let timer = 0;
  $("filter").value = shown("filter");
  $("filter").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      show({ filter: $("filter").value.trim() });
      update();
    }, 120);
  });
  $("sort").addEventListener("change", () => sortBy($("sort").value));
  $("direction").addEventListener("click", () => sortBy(sortKey()));
  $("clear").addEventListener("click", () => {
    show({ selected: "", compare: "" });
    update();
  });
  $("compare").addEventListener("click", () => compare($("compare")));
  for (const name of ["x", "data", "colour"])
    $(name).addEventListener("change", () => {
      show({ [name]: $(name).value });
      update();
    });
  $("x").value = shown("x", "epoch");
  $("data").value = shown("data", "both");
  const logs = ["x", "loss", "accuracy", "lambda"], on = new Set(shown("log", "loss,lambda").split(","));
  for (const name of logs) {
    $(`log-${name}`).checked = on.has(name);
    $(`log-${name}`).addEventListener("change", () => {
      show({ log: logs.filter((one) => $(`log-${one}`).checked).join(",") || "none" });
      update();
    });
  }
  addEventListener("keydown", (event) => event.key === "Escape" && !$("detail").hidden && closeDetail());
}

function theme() {
  const names = { "": "system", light: "light", dark: "dark" }, order = Object.keys(names);
  let now = "";
  try {
    now = localStorage.getItem("sharpness-theme") ?? "";
  } catch {
    // A page in a file may have no storage.
  }
  const apply = () => {
    if (now) document.documentElement.dataset.theme = now;
    else delete document.documentElement.dataset.theme;
    $("theme").textContent = `◐ ${names[now] ?? "system"}`;
    $("theme").setAttribute("aria-label", `Theme: ${names[now] ?? "system"}`);
  };
  $("theme").addEventListener("click", () => {
    now = order[(order.indexOf(now) + 1) % order.length];
    apply();
    try {
      localStorage.setItem("sharpness-theme", now);
    } catch {
      // It is then the system's again after a reload.
    }
  });
  apply();
}

// Figures and verdicts, which the server computes apart. Open folds stay open.
async function takeConclusions() {
  const { version, sections, problem } = await loadConclusions(), holder = $("conclusions");
  if (version === 0) return;
  holder.removeAttribute("aria-busy");
  if (problem) return holder.replaceChildren(element("p", { class: "problem" }, `Figures and verdicts: ${problem}`));
  const open = [...holder.querySelectorAll("details")].map((fold) => fold.open);
  holder.innerHTML = sections.findings + sections.figures + sections.predictions;
  const folds = [...holder.querySelectorAll("details")];
  if (folds.length === open.length) folds.forEach((fold, i) => (fold.open = open[i]));
}

async function reload() {
  const store = await loadRows();
  if (store && $("store")) $("store").textContent = store;
  if (store) document.title = `${store} · sharpness`;
  takeRows();
  update();
}

async function main() {
  theme();
  listen();
  await reload();
  document.body.classList.add("is-ready");
  if (shown("compare")) compare(null);
  else if (rows.has(shown("run"))) openRun(shown("run"), null);
  if (!isLive) return;
  takeConclusions().catch((problem) => tellProblem(String(problem.message)));
  let runs = null, conclusions = null, unread = 0, isBusy = false, news = null;
  const take = async () => {
    if (isBusy) return;
    isBusy = true;
    while (news) {
      const told = news;
      news = null;
      tellProblem(told.problem ? `${told.problem}. The page shows what was read before.` : "");
      unread = told.unread;
      if (told.runs !== runs) await reload();
      if (told.conclusions !== conclusions) await takeConclusions();
      ({ runs, conclusions } = told);
      $("live").textContent = unread > 0 ? `reading: ${unread.toLocaleString("en")} trainings left` : "live";
    }
    isBusy = false;
  };
  follow((told) => {
    news = told;
    take().catch((problem) => {
      isBusy = false;
      tellProblem(String(problem.message));
    });
  }, (isThere) => {
    $("live").textContent = isThere ? "live" : "disconnected; trying again";
    $("live").classList.toggle("is-lost", !isThere);
  });
}
main().catch((problem) => tellProblem(String(problem.message)));
