// Elements, and numbers as text.

export const $ = (id) => document.getElementById(id);

// An element. Attributes that are functions listen to events; those that are null or false are left out. Children are elements or text, never HTML.
export function element(tag, attributes = {}, ...children) {
  const isDrawn = ["svg", "path", "line", "rect", "circle", "text", "g", "clipPath", "tspan"].includes(tag);
  const made = isDrawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) made.style.setProperty(key, text);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

// A number with some significant digits; a minus sign is one.
export function number(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const rounded = Number(value.toPrecision(digits)), size = Math.abs(rounded);
  const text = size !== 0 && (size < 1e-4 || size >= 1e7) ? rounded.toExponential() : String(rounded);
  return text.replace("e+", "e").replace(/-/g, "−");
}
export const exact = (value) => (Number.isFinite(value) ? String(value).replace(/-/g, "−") : "–");
export const percent = (share, digits = 2) => (Number.isFinite(share) ? `${(100 * share).toFixed(digits)} %` : "–");
export const plural = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const [s, two] = [Math.round(seconds), (part) => String(part).padStart(2, "0")];
  if (seconds < 10) return `${number(seconds, 2)} s`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}
export function ago(time, now = Date.now() / 1000) {
  const past = now - time;
  if (!Number.isFinite(past)) return "–";
  if (past < 60) return "now";
  const [size, unit] = past < 3600 ? [60, "min"] : past < 48 * 3600 ? [3600, "h"] : [86400, "d"];
  return `${Math.floor(past / size)} ${unit} ago`;
}
export const moment = (time) => (Number.isFinite(time) ? new Date(time * 1000).toLocaleString() : "unknown");

// The short names of settings that have one in the field.
const NAMES = {
  "training.learning_rate": "η", "training.batch_size": "batch", "training.sam.rho": "ρ (SAM)", "model.dropout": "dropout", "model.arch": "network",
  "data.name": "data", "data.seed": "data seed", "model.width_divisor": "width ÷", "training.optimizer.weight_decay": "weight decay",
};
export function settingName(key) {
  if (NAMES[key]) return NAMES[key];
  const parts = key.split(".");
  const last = parts.at(-1) === "name" && parts.length > 1 ? parts.at(-2) : parts.at(-1);
  return last.replace(/_/g, " ");
}
export function settingValue(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return number(value, 6);
  return typeof value === "string" ? value : JSON.stringify(value);
}
