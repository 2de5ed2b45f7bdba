// A chart of curves: axes, the values under the mouse or a cursor that the arrow keys move, and a table for screen readers.

import { element, number } from "./format.js";

const MARGIN = { left: 52, right: 14, top: 10, bottom: 38 };
const MOST_READ = 8;

// Ticks at round numbers of a linear axis, or at powers of ten and, if these are few, their doubles and halves.
function ticks([low, high], isLog, wanted) {
  if (isLog) {
    const decades = Math.log10(high / low), every = Math.ceil(decades / wanted), all = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      if (e % every === 0) for (const step of decades > wanted ? [1] : decades > wanted / 2 ? [1, 3] : [1, 2, 5]) all.push(step * 10 ** e);
    return all.filter((x) => x >= low * 0.999 && x <= high * 1.001);
  }
  const rough = (high - low) / wanted, decade = 10 ** Math.floor(Math.log10(rough));
  const step = decade * [1, 2, 5, 10].find((s) => s * decade >= rough), all = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) all.push(i * step);
  return all;
}
const scale = ([low, high], [from, to], isLog) => {
  const f = isLog ? Math.log : (x) => x, [a, b] = [f(low), f(high)];
  return (x) => from + (b > a ? (f(x) - a) / (b - a) : 0.5) * (to - from);
};
function extent(values, isLog, isTight) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return isLog ? [0.1, 1] : [0, 1];
  if (isLog) return high > low ? (isTight ? [low, high] : [low * (low / high) ** 0.05, high * (high / low) ** 0.05]) : [low / 2, high * 2];
  const free = high > low ? (isTight ? 0 : 0.05 * (high - low)) : Math.abs(low) / 2 || 0.5;
  return [low - free, high + free];
}

// The path of a curve. Where several points share a pixel, it passes through the smallest and the largest, so that no peak is lost.
function pathOf(points, x, y) {
  const parts = [];
  let column = null;
  const flush = () => {
    if (!column) return;
    const { at, first, low, high, last } = column;
    for (const value of [first, low, high, last].filter((v, i, all) => i === 0 || v !== all[i - 1])) parts.push(`${at.toFixed(1)} ${value.toFixed(1)}`);
  };
  for (const [px, py] of points) {
    const [at, value] = [x(px), y(py)];
    if (column && at - column.at < 0.5) Object.assign(column, { low: Math.min(column.low, value), high: Math.max(column.high, value), last: value });
    else {
      flush();
      column = { at, first: value, low: value, high: value, last: value };
    }
  }
  flush();
  return parts.length > 0 ? `M${parts.join("L")}` : "";
}

// A chart in `holder`. `draw` takes { title, yName, xName, isLogX, isLogY, y, series, edges }: a series has an id, a name, a colour, dashes and
// points [x, y]; `y` shows a value; an edge has a value, a name and a colour. `choose` is told the id of a clicked curve.
export function chart(holder, choose) {
  let spec = null, cursor = null, reading = null;
  const heading = element("h3"), box = element("div", { class: "plot" });
  const tip = element("div", { class: "tip", hidden: true }), spoken = element("p", { class: "hidden", role: "status", "aria-live": "polite" });
  const table = element("div", { class: "hidden" });
  holder.append(heading, box, spoken, table);
  new ResizeObserver(() => spec && draw(spec)).observe(box);
  let frame = null;

  function usable() {
    const { isLogX, isLogY } = spec;
    const fits = ([x, y]) => Number.isFinite(y) && (!isLogX || x > 0) && (!isLogY || y > 0);
    return spec.series.map((one) => ({ ...one, points: one.points.filter(fits) })).filter((one) => one.points.length > 0);
  }

  function draw(next) {
    spec = next;
    heading.replaceChildren(...(spec.heading ?? [spec.title]), ...(spec.note ? [element("small", {}, ` ${spec.note}`)] : []));
    const width = Math.max(box.clientWidth, 200), height = box.clientHeight || 220;
    const series = usable(), edges = (spec.edges ?? []).filter((edge) => !spec.isLogY || edge.value > 0);
    holder.dataset.curves = series.length;
    if (series.length === 0) {
      frame = null;
      box.replaceChildren(element("p", { class: "empty" }, "nothing to draw yet"));
      table.replaceChildren();
      return;
    }
    const xs = extent(series.flatMap((one) => one.points.map(([x]) => x)), spec.isLogX, true);
    const ys = extent(series.flatMap((one) => one.points.map(([, y]) => y)), spec.isLogY);
    // An edge far beyond the curves would flatten them.
    const near = edges.filter((edge) => (spec.isLogY ? edge.value < ys[1] * 8 && edge.value > ys[0] / 8 : edge.value < ys[1] + 2 * (ys[1] - ys[0])));
    for (const edge of near) {
      ys[0] = Math.min(ys[0], edge.value * (spec.isLogY ? 0.9 : 1));
      ys[1] = Math.max(ys[1], edge.value * 1.05);
    }
    const right = width - MARGIN.right, bottom = height - MARGIN.bottom;
    const x = scale(xs, [MARGIN.left, right], spec.isLogX), y = scale(ys, [bottom, MARGIN.top], spec.isLogY);
    const label = `${spec.title} of ${series.length === 1 ? "one curve" : `${series.length} curves`} over ${spec.xName}. Arrow keys read values.`;
    const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application", "aria-roledescription": "chart",
      "aria-label": label, pointermove: onMove, pointerleave: hide, click: onClick, keydown: onKey, blur: hide });
    svg.append(...axes({ x, y, xs, ys, right, bottom, width }));
    for (const edge of near)
      svg.append(
        element("line", { class: "edge", x1: MARGIN.left, x2: right, y1: y(edge.value), y2: y(edge.value), style: { stroke: edge.colour } }),
        element("text", { class: "edge-name", x: right - 2, y: y(edge.value) + (y(edge.value) < MARGIN.top + 14 ? 13 : -4), "text-anchor": "end" }, edge.name),
      );
    for (const one of series) {
      const style = { stroke: one.colour };
      if (one.points.length > 1) svg.append(element("path", { class: "curve", d: pathOf(one.points, x, y), "stroke-dasharray": one.dashes ?? null, "data-id": one.id, style }));
      if (one.points.length === 1 || one.isEnd) {
        const [px, py] = one.points.at(-1);
        svg.append(element("circle", { class: "end", cx: x(px), cy: y(py), r: 3.5, style: { fill: one.colour } }));
      }
    }
    const line = element("line", { class: "crosshair", y1: MARGIN.top, y2: bottom, visibility: "hidden" });
    const dot = element("circle", { class: "dot", r: 4.5, visibility: "hidden" });
    svg.append(line, dot);
    const hadFocus = box.contains(document.activeElement), before = reading;
    box.replaceChildren(svg, tip);
    reading = before;
    frame = { series, x, y, svg, line, dot, width };
    if (hadFocus) svg.focus({ preventScroll: true });
    describe(series);
    // New data must not take away the values that someone reads.
    const again = reading && series.find((one) => one.name === reading.name);
    if (again) read(again, nearest(again.points, reading.px));
    else hide();
  }

  function axes({ x, y, xs, ys, right, bottom, width }) {
    const made = [];
    for (const tick of ticks(ys, spec.isLogY, 4))
      made.push(element("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(tick), y2: y(tick) }),
        element("text", { class: "tick", x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" }, (spec.tick ?? number)(tick)));
    for (const tick of ticks(xs, spec.isLogX, width < 360 ? 4 : 6))
      made.push(element("line", { class: "grid", x1: x(tick), x2: x(tick), y1: bottom, y2: bottom + 4 }),
        element("text", { class: "tick", x: x(tick), y: bottom + 17, "text-anchor": "middle" }, number(tick)));
    made.push(element("line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }),
      element("text", { class: "tick name", x: (MARGIN.left + right) / 2, y: bottom + 33, "text-anchor": "middle" }, spec.xName));
    return made;
  }

  // A few numbers of every curve, for those who cannot see it.
  function describe(series) {
    const rows = series.map(({ name, points }) => {
      const values = points.map(([, y]) => y);
      const numbers = [values[0], values.at(-1), values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
      return element("tr", {}, element("th", { scope: "row" }, name), numbers.map((value) => element("td", {}, spec.y(value))));
    });
    const heads = ["curve", "first", "last", "smallest", "largest"].map((text) => element("th", { scope: "col" }, text));
    table.replaceChildren(element("table", {}, element("caption", {}, spec.title), element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows)));
  }

  // The point of a curve nearest to an abscissa, by bisection.
  function nearest(points, at) {
    let [low, high] = [0, points.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < at) low = middle;
      else high = middle;
    }
    return at - points[low][0] <= points[high][0] - at ? low : high;
  }
  function read(one, index) {
    const { x, y, line, dot, width, svg } = frame, [px, py] = one.points[index];
    reading = { name: one.name, px };
    for (const path of svg.querySelectorAll(".curve")) path.classList.toggle("bright", path.dataset.id === one.id);
    for (const [name, value] of [["x1", x(px)], ["x2", x(px)], ["visibility", "visible"]]) line.setAttribute(name, value);
    for (const [name, value] of [["cx", x(px)], ["cy", y(py)], ["visibility", "visible"]]) dot.setAttribute(name, value);
    dot.style.fill = one.colour;
    const others = frame.series.map((other) => [other, other.points[nearest(other.points, px)]]);
    others.sort(([, a], [, b]) => Math.abs(y(a[1]) - y(py)) - Math.abs(y(b[1]) - y(py)));
    const few = others.slice(0, MOST_READ).sort(([, a], [, b]) => b[1] - a[1]);
    tip.replaceChildren(element("b", {}, `${spec.xName} ${number(px, 7)}`), ...few.map(([other, [, value]]) =>
      element("div", { class: other === one ? "this" : null }, element("i", { style: { background: other.colour } }), ` ${other.name} `, element("span", {}, spec.y(value)))));
    tip.hidden = false;
    const at = x(px), isRight = at > width / 2;
    tip.style.left = isRight ? "" : `${at + 12}px`;
    tip.style.right = isRight ? `${width - at + 12}px` : "";
    return `${one.name}, ${spec.xName} ${number(px, 7)}: ${spec.y(py)}`;
  }
  function hide() {
    tip.hidden = true;
    reading = null;
    if (!frame) return;
    frame.line.setAttribute("visibility", "hidden");
    frame.dot.setAttribute("visibility", "hidden");
    for (const path of frame.svg.querySelectorAll(".bright")) path.classList.remove("bright");
  }
  function under(event) {
    const place = frame.svg.getBoundingClientRect(), [mx, my] = [event.clientX - place.left, event.clientY - place.top];
    let best = null;
    for (const one of frame.series) {
      // Pixels grow with the abscissa, so bisection finds the nearest there too.
      const pixels = one.points.map(([px]) => [frame.x(px)]), index = nearest(pixels, mx);
      const [px, py] = one.points[index], distance = Math.hypot((frame.x(px) - mx) / 3, frame.y(py) - my);
      if (!best || distance < best.distance) best = { one, index, distance };
    }
    return best;
  }
  function onMove(event) {
    const found = under(event);
    if (found) read(found.one, found.index);
  }
  function onClick(event) {
    const found = under(event);
    if (found && found.distance < 30) choose?.(found.one.id);
  }
  function onKey(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-Infinity, 0], End: [Infinity, 0] };
    if (event.key === "Escape") return hide();
    if (event.key === "Enter" && cursor) return choose?.(frame.series[Math.min(cursor.curve, frame.series.length - 1)].id);
    const move = moves[event.key];
    if (!move || !frame) return undefined;
    event.preventDefault();
    cursor ??= { curve: 0, index: move[0] === 1 ? -1 : 0 };
    const count = frame.series.length;
    cursor.curve = (Math.min(cursor.curve, count - 1) + move[1] + count) % count;
    const one = frame.series[cursor.curve];
    cursor.index = Math.min(Math.max(cursor.index + move[0], 0), one.points.length - 1);
    spoken.textContent = read(one, cursor.index);
    return undefined;
  }
  return { draw };
}
