// One run in detail, and two side by side.

import { $, duration, element, exact, moment, number, percent, settingName, settingValue } from "./format.js";
import { loadCurves, loadDetail, rows } from "./source.js";
import { stateBadge } from "./table.js";

const panel = $("detail");
let opener = null;

export function close() {
  if (panel.hidden) return;
  panel.hidden = true;
  panel.replaceChildren();
  document.body.classList.remove("has-detail");
  opener?.focus();
  opener = null;
}

function open(title, from, onClose, ...content) {
  opener = from ?? opener;
  const button = element("button", { type: "button", class: "close", "aria-label": "Close", click: onClose }, "✕");
  panel.replaceChildren(element("div", { class: "bar" }, element("h2", { id: "detail-heading", tabindex: -1 }, title), button), ...content);
  panel.onkeydown = (event) => {
    if (event.key === "Escape") onClose();
  };
  const isNew = panel.hidden;
  panel.hidden = false;
  document.body.classList.add("has-detail");
  if (isNew && from) $("detail-heading").focus();
}

const list = (pairs) => element("dl", {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "–" && value !== "")
  .flatMap(([name, ...value]) => [element("dt", {}, name), element("dd", {}, ...value.flat())]));

const resultPairs = (row) => [
  ["state", ...stateBadge(row), row.reason ? ` ${row.reason}` : ""],
  ["epochs", `${row.epochs.toLocaleString("en")}${row.max_epochs ? ` of at most ${row.max_epochs.toLocaleString("en")}` : ""}`],
  ["train loss", number(row.train_loss, 6)], ["train accuracy", percent(row.train_accuracy)], ["test accuracy", percent(row.test_accuracy)],
  ["λ_max", Number.isFinite(row.lambda_max) ? `${number(row.lambda_max, 7)} ± ${number(row.residual, 2)}${row.unconverged ? ", not to the requested tolerance" : ""}` : null],
  ["edge of stability", number(row.edge)],
  ["training time", duration(row.seconds)], ["last change", row.updated ? moment(row.updated) : null],
];

function measurementPart(found) {
  const { lambda_max: lambda } = found;
  const bounds = lambda.upper === null || lambda.upper === undefined ? "" : `, between ${number(lambda.lower, 6)} and ${number(lambda.upper, 6)}`;
  return [
    element("h3", {}, "Measurement ", element("code", {}, found.run)),
    list([["λ_max", `${exact(lambda.value)} ± ${number(lambda.residual, 2)}${bounds}${lambda.converged ? "" : " (not converged)"}, ${lambda.products} products`],
      ["examples", found.examples.toLocaleString("en")], ["loss", number(found.loss, 6)], ["gradient norm", number(found.gradient_norm, 6)],
      ["time", duration(found.seconds)], ...found.measures.map(([name, text]) => [name, text])]),
  ];
}

const startText = (start) => `${start.command.join(" ")} — ${start.version}${start.commit ? ` (${start.commit.slice(0, 12)})` : ""}, ${start.host ?? "unknown machine"}, ${moment(start.time)}`;

// Shows a run. `onClose` is called by Esc and the button; `charts` is filled by `drawCharts`.
export async function openDetail(id, from, onClose) {
  const row = rows.get(id);
  if (!row) return;
  const settings = element("details", { open: true }, element("summary", {}, "Settings"), list(Object.entries(row.settings).map(([key, value]) => [key, settingValue(value)])));
  const more = element("div", { "aria-busy": "true" }, element("p", { class: "faint" }, "Reading."));
  open(["Run ", element("code", {}, id)], from, onClose, list(resultPairs(row)), more, settings);
  let content;
  try {
    const detail = await loadDetail(id), [curve] = await loadCurves([id]);
    const problems = [...detail.problems, ...(curve?.damage ? [curve.damage] : [])];
    content = [
      ...problems.map((problem) => element("p", { class: "problem" }, problem)),
      ...detail.measurements.flatMap(measurementPart),
      ...(detail.isLeftOut ? [element("p", { class: "faint" }, "Measurements are left out of large pages: ", element("code", {}, `sharpness runs show ${id}`))] : []),
      ...(detail.starts.length > 0 ? [element("details", {}, element("summary", {}, "Made by"), element("ul", {}, detail.starts.map((start) => element("li", {}, startText(start)))))] : []),
    ];
  } catch (problem) {
    content = [element("p", { class: "problem" }, String(problem.message))];
  }
  more.replaceChildren(...content);
  more.removeAttribute("aria-busy");
}

// The values of two runs side by side; `isDifferent` marks those that differ.
function sideBySide(caption, ids, lines) {
  const heads = ["", ...ids.map((id) => id.slice(0, 9)), "difference"].map((text) => element("th", { scope: "col" }, text));
  const body = lines.map(([name, a, b, difference]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "number" }, a), element("td", { class: "number" }, b), element("td", { class: "number" }, difference ?? "")));
  return element("div", { class: "scroll" }, element("table", { class: "compared" }, element("caption", {}, caption), element("thead", {}, element("tr", {}, heads)), element("tbody", {}, body)));
}

const signed = (value, digits) => (Number.isFinite(value) ? (value > 0 ? "+" : "") + number(value, digits) : "");

// Shows how two runs differ. `drawCharts` draws their curves into an element.
export async function openComparison(ids, from, onClose, drawCharts) {
  const [a, b] = ids.map((id) => rows.get(id));
  if (!a || !b) return;
  const keys = [...new Set([...Object.keys(a.settings), ...Object.keys(b.settings)])].sort();
  const different = keys.filter((key) => JSON.stringify(a.settings[key]) !== JSON.stringify(b.settings[key]));
  const settings = different.length === 0 ? element("p", {}, "The settings of both trainings are the same.")
    : sideBySide("Settings that differ", ids, different.map((key) => {
      const [p, q] = [a.settings[key], b.settings[key]], isNumber = typeof p === "number" && typeof q === "number" && p !== 0 && key !== "seed";
      return [element("span", { title: key }, settingName(key)), settingValue(p), settingValue(q), isNumber ? `× ${number(q / p, 4)}` : ""];
    }));
  const factor = (p, q) => (p > 0 && q > 0 ? `× ${number(q / p, 4)}` : "");
  const results = sideBySide("Results", ids, [
    ["state", a.state, b.state], ["epochs", String(a.epochs), String(b.epochs), signed(b.epochs - a.epochs)],
    ["train loss", number(a.train_loss, 5), number(b.train_loss, 5), factor(a.train_loss, b.train_loss)],
    ["test accuracy", percent(a.test_accuracy), percent(b.test_accuracy), Number.isFinite(b.test_accuracy - a.test_accuracy) ? `${signed(100 * (b.test_accuracy - a.test_accuracy), 3)} points` : ""],
    ["λ_max", number(a.lambda_max, 5), number(b.lambda_max, 5), factor(a.lambda_max, b.lambda_max)],
    ["time", duration(a.seconds), duration(b.seconds), factor(a.seconds, b.seconds)],
  ]);
  const charts = element("div", { class: "charts" }), measures = element("div");
  open("Two runs", from, onClose, settings, results, charts, measures);
  drawCharts(charts, ids);
  const details = await Promise.all(ids.map(loadDetail));
  const texts = details.map((detail) => new Map(detail.measurements.flatMap((found) => found.measures)));
  const names = [...new Set([...texts[0].keys(), ...texts[1].keys()])].filter(Boolean);
  if (names.length > 0)
    measures.replaceChildren(sideBySide("Other measures", ids, names.map((name) => [name, texts[0].get(name) ?? "–", texts[1].get(name) ?? "–"])));
}
