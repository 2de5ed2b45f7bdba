// The table of runs. Only the rows in view are elements, so that ten thousand are as fast as ten.

import { $, ago, duration, element, exact, moment, number, percent, settingName, settingValue } from "./format.js";
import { RESULTS } from "./query.js";

// Settings in the order of their importance; others follow.
const FIRST = ["model.arch", "data.name", "training.learning_rate", "training.batch_size", "training.sam.rho", "model.dropout", "training.optimizer.name",
  "training.optimizer.momentum", "training.schedule.name", "model.activation", "data.train_examples", "seed"];
const rank = (key) => (FIRST.includes(key) ? FIRST.indexOf(key) : FIRST.length);
const MOST_SETTINGS = 5;
const STATES = ["running", "failed", "damaged", "started", "to do", "trained", "done"];
const OUTCOMES = { converged: "", "max-epochs": "below the target", diverged: "diverged", interrupted: "stopped" };

// What a row says about the time: of a running training, what is left.
function timeText(row) {
  if (row.state === "running" && Number.isFinite(row.seconds_left)) return `${row.left_is_bound ? "≤" : "≈"} ${duration(row.seconds_left)} left`;
  return duration(row.seconds);
}
const timeTitle = (row) =>
  row.state !== "running" || !Number.isFinite(row.seconds_left) ? "training time"
    : row.left_is_bound ? "time left to the last epoch that the settings allow; the training may reach its target before"
      : "time left if this training takes as many epochs as those of other seeds";
const lambdaTitle = (row) => (Number.isFinite(row.lambda_max) ? `${exact(row.lambda_max)} ± ${number(row.residual, 2)}${row.unconverged ? ", not to the requested tolerance" : ""}` : null);

// Columns of results: a head, the text of a row, and the value that orders it.
const COLUMNS = {
  epochs: { name: "epochs", text: (row) => (row.state === "to do" ? "–" : row.epochs.toLocaleString("en")) },
  train_loss: { name: "train loss", text: (row) => number(row.train_loss, 3), title: (row) => exact(row.train_loss) },
  train_accuracy: { name: "train acc.", text: (row) => percent(row.train_accuracy), title: (row) => exact(row.train_accuracy) },
  test_accuracy: { name: "test acc.", text: (row) => percent(row.test_accuracy), title: (row) => exact(row.test_accuracy) },
  lambda_max: { name: "λ_max", text: (row) => number(row.lambda_max) + (row.unconverged ? "?" : ""), title: lambdaTitle },
  edge: { name: "2/η", text: (row) => number(row.edge), title: () => "the edge of stability of this optimizer at its first learning rate" },
  seconds: { name: "time", text: timeText, title: timeTitle, order: (row) => row.seconds_left ?? row.seconds },
  updated: { name: "changed", text: (row) => (row.updated ? ago(row.updated) : "–"), title: (row) => moment(row.updated) },
};
const SHOWN = ["epochs", "test_accuracy", "lambda_max", "seconds"];

export function varyingSettings(rows) {
  const first = new Map(), varying = new Set();
  for (const row of rows)
    for (const [key, value] of Object.entries(row.settings)) {
      const text = typeof value === "object" ? JSON.stringify(value) : value;
      if (!first.has(key)) first.set(key, { text, count: 1 });
      else if (first.get(key).text !== text) varying.add(key);
      else first.get(key).count++;
    }
  let total = 0;
  for (const row of rows) if (Object.keys(row.settings).length > 0) total++;
  for (const [key, { count }] of first) if (count < total) varying.add(key);
  return [...varying].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}
export const allSettings = (rows) => [...new Set([...rows].flatMap((row) => Object.keys(row.settings)))].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));

export function defaultColumns(rows) {
  let settings = varyingSettings(rows).filter((key) => !key.endsWith("micro_batch_size")).slice(0, MOST_SETTINGS);
  if (settings.length < 2) settings = [...new Set([...FIRST.slice(0, 4), ...settings])].filter((key) => rows.some((row) => key in row.settings));
  return [...settings, ...SHOWN];
}
const column = (key) => COLUMNS[key] ?? { name: settingName(key), text: (row) => settingValue(row.settings[key]), isSetting: true };
export const columnName = (key) => (key === "state" ? "state" : key === "run" ? "run" : column(key).name);
export const RESULT_COLUMNS = Object.keys(COLUMNS);

const isText = (value) => typeof value === "string";

// The order of rows by a key; rows without a value come last, whatever the direction.
export function order(key, isDescending) {
  const value = key === "state" ? (row) => STATES.indexOf(row.state) : COLUMNS[key]?.order ?? RESULTS[key] ?? ((row) => row.settings[key]);
  const sign = isDescending ? -1 : 1;
  return (a, b) => {
    const [p, q] = [value(a), value(b)], [noP, noQ] = [p === undefined || p === null, q === undefined || q === null];
    if (noP || noQ) return noP - noQ || (b.updated ?? 0) - (a.updated ?? 0);
    const by = typeof p === "number" && typeof q === "number" ? p - q : String(p).localeCompare(String(q), "en", { numeric: true });
    return sign * by || (b.updated ?? 0) - (a.updated ?? 0) || (a.id < b.id ? -1 : 1);
  };
}

// The state of a row: words, never colour alone.
export function stateBadge(row) {
  const outcome = OUTCOMES[row.outcome] ?? "", name = row.state === "done" && outcome ? outcome : row.state;
  const share = row.state === "running" && !row.outcome && row.max_epochs ? Math.min(1, row.epochs / row.max_epochs) : null;
  const badge = element("span", { class: `state ${row.state.replace(" ", "-")}${row.outcome === "diverged" ? " diverged" : ""}`, title: row.reason || null }, name);
  if (share === null) return [badge];
  const bar = element("progress", { max: 1, value: share, "aria-label": `epoch ${row.epochs} of at most ${row.max_epochs}`, title: `epoch ${row.epochs} of at most ${row.max_epochs}` });
  return [badge, bar];
}

// The table; `act` has select(id), open(id) and sort(key).
export function runTable(act) {
  const table = $("table"), box = $("table-box");
  const head = element("thead"), body = element("tbody");
  table.replaceChildren(head, body);
  table.tabIndex = 0;
  let state = { rows: [], columns: [], selected: new Set(), colours: new Map() }, active = 0, drawn = "", frame = 0;

  function drawHead() {
    const cell = (key, isNumber) => {
      const isSorted = state.sort === key, direction = state.isDescending ? "descending" : "ascending";
      const button = element("button", { type: "button", tabindex: -1, click: () => act.sort(key) }, columnName(key), element("span", { "aria-hidden": "true" }, isSorted ? (state.isDescending ? " ↓" : " ↑") : ""));
      return element("th", { scope: "col", role: "columnheader", "aria-sort": isSorted ? direction : "none", class: isNumber ? "number" : null, title: key }, button);
    };
    const select = element("th", { scope: "col", role: "columnheader" }, element("span", { class: "hidden" }, "selected"));
    head.replaceChildren(element("tr", { role: "row", "aria-rowindex": 1 }, select, cell("run"), cell("state"), state.columns.map((key) => cell(key, !state.rows.some((row) => isText(row.settings[key]))))));
  }

  function rowElement(row, index) {
    const isSelected = state.selected.has(row.id), colour = state.colours.get(row.id);
    const check = element("input", { type: "checkbox", tabindex: -1, checked: isSelected, "aria-label": `draw ${row.id}` });
    check.checked = isSelected;
    const swatch = element("i", { class: "swatch", style: colour ? { background: colour } : {} });
    const cells = state.columns.map((key) => {
      const { text, title, name, isSetting } = column(key);
      return element("td", { role: "gridcell", class: `${isText(row.settings[key]) ? "" : "number"}${isSetting ? " setting" : ""}`, title: title?.(row) ?? null, "data-name": name }, text(row));
    });
    return element("tr", { role: "row", id: `row-${row.id}`, "data-id": row.id, "aria-rowindex": index + 2, "aria-selected": String(isSelected), class: index === active ? "active" : null },
      element("td", { role: "gridcell", class: "check" }, check),
      element("th", { role: "rowheader", scope: "row", class: "run" }, swatch, element("code", { title: row.id }, row.id.slice(0, 9))),
      element("td", { role: "gridcell", class: "status" }, stateBadge(row)), cells);
  }

  const heightOfRow = () => Number.parseFloat(getComputedStyle(table).getPropertyValue("--row")) || 34;
  function drawRows(isAll = false) {
    const height = heightOfRow(), count = state.rows.length;
    const first = isAll ? 0 : Math.max(0, Math.floor(box.scrollTop / height) - 8);
    const last = isAll ? count : Math.min(count, Math.ceil((box.scrollTop + box.clientHeight) / height) + 8);
    const key = `${first} ${last} ${active} ${state.version}`;
    if (key === drawn) return;
    drawn = key;
    const gap = (rows) => element("tr", { class: "gap", "aria-hidden": "true", style: { height: `${rows * height}px` } });
    const shown = state.rows.slice(first, last).map((row, i) => rowElement(row, first + i));
    body.replaceChildren(gap(first), ...shown, gap(count - last));
    const current = state.rows[active];
    table.setAttribute("aria-rowcount", count + 1);
    if (current && active >= first && active < last) table.setAttribute("aria-activedescendant", `row-${current.id}`);
    else table.removeAttribute("aria-activedescendant");
  }
  const later = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => drawRows());
  };
  box.addEventListener("scroll", later, { passive: true });
  addEventListener("resize", later);
  addEventListener("beforeprint", () => drawRows(true));
  addEventListener("afterprint", () => drawRows());

  function move(to) {
    active = Math.min(Math.max(to, 0), state.rows.length - 1);
    const height = heightOfRow(), top = active * height, view = box.clientHeight - head.offsetHeight;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + height > box.scrollTop + view) box.scrollTop = top + height - view;
    drawRows();
  }
  table.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(box.clientHeight / heightOfRow()) - 2);
    const moves = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: state.rows.length - 1 };
    const row = state.rows[active];
    if (event.key in moves) move(moves[event.key]);
    else if (event.key === " " && row) act.select(row.id);
    else if (event.key === "Enter" && row && event.target === table) act.open(row.id, table);
    else return;
    event.preventDefault();
  });
  body.addEventListener("click", (event) => {
    const id = event.target.closest("tr")?.dataset.id;
    if (!id) return;
    active = state.rows.findIndex((row) => row.id === id);
    if (event.target.closest(".check")) act.select(id);
    else act.open(id, table);
  });

  return {
    // Shows rows. The active one stays active wherever it is now.
    show(next) {
      const current = state.rows[active]?.id, at = current ? next.rows.findIndex((row) => row.id === current) : -1;
      const version = (state.version ?? 0) + 1;
      state = { ...next, version };
      if (at >= 0) active = at;
      active = Math.min(active, Math.max(0, next.rows.length - 1));
      drawHead();
      drawRows();
    },
  };
}
