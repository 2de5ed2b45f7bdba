"use strict";
const view = JSON.parse(document.getElementById("data").textContent);
const stops = JSON.parse(document.getElementById("colours").textContent);
const content = view.content, isMap = content.kind === "map";
const [logBox, predictionBox] = ["log", "prediction"].map((id) => document.getElementById(id));
const plot = document.getElementById("plot"), readout = document.getElementById("readout");
const known = (values) => values.filter((value) => value !== null);
const range = (values) => values.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
const text = (value) => value === null || value === undefined ? "not finite" : String(Number(value.toPrecision(5)));
const escaped = (name) => name.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

// Ticks at round numbers of a linear axis, or at powers of ten and, if these are few, their doubles and halves.
function ticks(low, high, isLog) {
  if (isLog) {
    const all = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const step of high / low > 1e4 ? [1] : [1, 2, 5]) all.push(step * 10 ** e);
    return all.filter((x) => x >= low && x <= high);
  }
  const rough = (high - low) / 6, decade = 10 ** Math.floor(Math.log10(rough));
  const step = decade * [1, 2, 5, 10].find((s) => s * decade >= rough), all = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) all.push(i * step);
  return all;
}
const scale = ([low, high], [from, to], isLog) => {
  const f = isLog ? Math.log : (x) => x, [a, b] = [f(low), f(high)];
  return (x) => from + (b > a ? (f(x) - a) / (b - a) : 0.5) * (to - from);
};
const wider = ([low, high], isLog) => {
  if (isLog) return high > low ? [low * (low / high) ** 0.05, high * (high / low) ** 0.05] : [low / 2, high * 2];
  const free = high > low ? 0.05 * (high - low) : Math.abs(low) / 2 || 0.5;
  return [low - free, high + free];
};
function axes({ x, y, box: [left, top, right, bottom], xName, yName, xTicks, yTicks, grid }) {
  const number = (value) => String(Number(value.toPrecision(4)));
  const vertical = xTicks.map((t) => `<line class="grid" x1="${x(t)}" x2="${x(t)}" y1="${grid ? top : bottom}" y2="${bottom + 5}"/>
    <text x="${x(t)}" y="${bottom + 19}" text-anchor="middle">${number(t)}</text>`);
  const horizontal = yTicks.map((t) => `<line class="grid" y1="${y(t)}" y2="${y(t)}" x1="${left - 5}" x2="${grid ? right : left}"/>
    <text x="${left - 8}" y="${y(t) + 4}" text-anchor="end">${number(t)}</text>`);
  return `${vertical.join("")}${horizontal.join("")}
    <rect class="frame" x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"/>
    <text x="${(left + right) / 2}" y="${bottom + 38}" text-anchor="middle">${escaped(xName)}</text>
    <text transform="translate(14 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(yName)}</text>`;
}
function make(width, height, label) {
  const holder = document.createElement("div");
  holder.innerHTML = `<svg viewBox="0 0 ${width} ${height}" tabindex="0" role="application" aria-label="${escaped(label)}"></svg>`;
  plot.append(holder);
  return holder.firstChild;
}
const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
const at = (coordinates, value) =>
  coordinates.reduce((best, x, i) => (Math.abs(x - value) < Math.abs(coordinates[best] - value) ? i : best), 0);

// The cursor: indices of coordinates.
const sizes = isMap ? content.axes.map((axis) => axis.length) : [content.places.length];
const cursor = sizes.map((size) => Math.floor(size / 2));
const drawings = [];

function drawLines() {
  for (const panel of content.panels) {
    const box = [70, 48, 705, 303], [left, top, right, bottom] = box;
    const svg = make(720, 348, `${panel.name} over ${content.x}; arrow keys move the cursor`);
    drawings.push({ svg, draw() {
      const isLog = panel.is_loss && logBox.checked;
      const series = panel.series.filter((one) => predictionBox.checked || !one.is_prediction);
      const fits = (value) => value !== null && (!isLog || value > 0);
      const values = panel.series.filter((one) => !one.is_prediction).flatMap((one) => one.values).filter(fits);
      const xs = wider(range(content.places), false), ys = wider(values.length ? range(values) : [0.1, 1], isLog);
      const x = scale(xs, [left, right], false), y = scale(ys, [bottom, top], isLog);
      let marks = "", entries = "", offset = left, row = 15;
      panel.series.forEach((one) => {
        const place = panel.series.filter((other) => other.is_prediction === one.is_prediction).indexOf(one);
        if (!series.includes(one)) return;
        const pieces = [[]];
        one.values.forEach((value, i) => {
          if (fits(value)) pieces[pieces.length - 1].push([x(content.places[i]), y(value)]); else pieces.push([]);
        });
        const style = `class="line${one.is_prediction ? " dashed" : ""}" style="stroke:var(--c${place % 7})"`;
        marks += pieces.filter((piece) => piece.length).map((piece) => piece.length > 1
          ? `<path ${style} d="${path(piece)}"/>` : `<circle cx="${piece[0][0]}" cy="${piece[0][1]}" r="2" style="fill:var(--c${place % 7})"/>`).join("");
        const i = cursor[0];
        if (fits(one.values[i]) && !one.is_prediction)
          marks += `<circle cx="${x(content.places[i])}" cy="${y(one.values[i])}" r="4" style="fill:var(--c${place % 7})"/>`;
        const width = 50 + 7 * one.name.length;
        if (offset > left && offset + width > right) [offset, row] = [left, row + 18];
        entries += `<path ${style} d="M${offset} ${row}h26"/><text x="${offset + 32}" y="${row + 4}">${escaped(one.name)}</text>`;
        offset += width;
      });
      const c = x(content.places[cursor[0]]);
      svg.innerHTML = `<defs><clipPath id="c${panel.name}"><rect x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"/></clipPath></defs>
        ${axes({ x, y, box, xName: content.x, yName: panel.name, xTicks: ticks(...xs, false), yTicks: ticks(...ys, isLog), grid: true })}
        <line class="cursor" x1="${c}" x2="${c}" y1="${top}" y2="${bottom}"/><g clip-path="url(#c${panel.name})">${marks}</g>${entries}`;
    }, pick: ([px]) => [at(content.places, xsInverse(px, left, right))] });
  }
  function xsInverse(px, left, right) {
    const [low, high] = wider(range(content.places), false);
    return low + (px - left) / (right - left) * (high - low);
  }
}
function colour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1), i = Math.min(Math.floor(place), stops.length - 2);
  return `rgb(${stops[i].map((from, k) => Math.round(from + (place - i) * (stops[i + 1][k] - from))).join(" ")})`;
}
function drawMap() {
  const box = [70, 12, 590, 532], [left, top, right, bottom] = box, [xs, ys] = content.axes;
  const svg = make(720, 580, `loss over ${content.names.join(" and ")}; arrow keys move the cursor`);
  const half = (axis) => (axis[1] - axis[0]) / 2, bounds = (axis) => [axis[0] - half(axis), axis[axis.length - 1] + half(axis)];
  const x = scale(bounds(xs), [left, right], false), y = scale(bounds(ys), [bottom, top], false);
  drawings.push({ svg, draw() {
    const isLog = logBox.checked, losses = known(content.loss).filter((loss) => !isLog || loss > 0);
    const [low, high] = losses.length ? range(losses) : [0.1, 1], share = scale([low, high], [0, 1], isLog);
    const [w, h] = [x(half(xs)) - x(-half(xs)), y(-half(ys)) - y(half(ys))];
    let cells = "", lines = "", bar = "";
    content.loss.forEach((loss, i) => {
      if (loss === null || (isLog && loss <= 0)) return;
      cells += `<rect x="${x(xs[i % xs.length] - half(xs))}" y="${y(ys[Math.floor(i / xs.length)] + half(ys))}"
        width="${w + 0.4}" height="${h + 0.4}" fill="${colour(share(loss))}"/>`;
    });
    for (const contour of content.contours) {
      const stroke = share(contour.level) < 0.6 ? "white" : "black";
      const draw = (polylines, more) => polylines.forEach((polyline) => {
        lines += `<path class="contour${more}" stroke="${stroke}" d="${path(polyline.map(([a, b]) => [x(a), y(b)]))}"/>`;
      });
      draw(contour.loss, "");
      if (predictionBox.checked) draw(contour.predicted, " dashed");
    }
    const v = scale([low, high], [bottom, top], isLog);
    for (let i = 0; i < 64; i++)
      bar += `<rect x="640" width="16" y="${bottom - (i + 1) * (bottom - top) / 64}" height="${(bottom - top) / 64 + 0.4}" fill="${colour((i + 0.5) / 64)}"/>`;
    bar += ticks(low, high, isLog).map((t) => `<text x="661" y="${v(t) + 4}">${Number(t.toPrecision(3))}</text>`).join("");
    const [cx, cy] = [x(xs[cursor[0]]), y(ys[cursor[1]])];
    svg.innerHTML = `${cells}${lines}
      ${axes({ x, y, box, xName: content.names[0], yName: content.names[1], xTicks: ticks(...bounds(xs), false), yTicks: ticks(...bounds(ys), false), grid: false })}
      ${bar}${["marked", "inner"].map((name) => `<circle class="cursor ${name}" cx="${cx}" cy="${cy}" r="6"/>`).join("")}`;
  }, pick: ([px, py]) => {
    const inverse = (axis, p, from, to) => { const [low, high] = bounds(axis); return low + (p - from) / (to - from) * (high - low); };
    return [at(xs, inverse(xs, px, left, right)), at(ys, inverse(ys, py, bottom, top))];
  } });
}
function told() {
  if (isMap) {
    const i = cursor[1] * sizes[0] + cursor[0], place = cursor.map((index, axis) => text(content.axes[axis][index]));
    return `at (${place.join(", ")}): loss ${text(content.loss[i])}, accuracy ${text(content.accuracy[i])}, prediction ${text(content.predicted[i])}`;
  }
  const i = cursor[0], parts = content.panels.map((panel) => {
    const has = panel.series.filter((one) => one.values[i] !== null || !one.is_prediction);
    return has.map((one) => `${panel.series.length > 1 && one.name !== panel.name ? `${panel.name} (${one.name})` : panel.name} ${text(one.values[i])}`).join(", ");
  });
  return `at ${text(content.places[i])}: ${parts.join("; ")}`;
}
function show() {
  drawings.forEach(({ draw }) => draw());
  readout.textContent = told();
}
function move(indices) {
  indices.forEach((index, axis) => { cursor[axis] = Math.min(Math.max(index, 0), sizes[axis] - 1); });
  show();
}
if (isMap) drawMap(); else drawLines();
// Room for all series, so that the plot does not move with the cursor.
if (!isMap && content.panels[0].series.length > 2) readout.style.minHeight = "7.5em";
for (const { svg, pick } of drawings) {
  svg.addEventListener("pointermove", (event) => {
    const shape = svg.getBoundingClientRect(), factor = svg.viewBox.baseVal.width / shape.width;
    move(pick([(event.clientX - shape.left) * factor, (event.clientY - shape.top) * factor]));
  });
  svg.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Home: [-1e9, 0], End: [1e9, 0] }[event.key];
    if (!steps || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(cursor.map((index, axis) => index + steps[axis]));
  });
}
const losses = isMap ? known(content.loss) : content.panels.filter((panel) => panel.is_loss)
  .flatMap((panel) => panel.series.filter((one) => !one.is_prediction).flatMap((one) => known(one.values)));
const [lowest, highest] = range(losses);
logBox.checked = isMap ? content.is_log : lowest > 0 && highest > 50 * lowest;
if (!(lowest > 0)) logBox.disabled = true;
[logBox, predictionBox].forEach((box) => box.addEventListener("change", show));
show();
