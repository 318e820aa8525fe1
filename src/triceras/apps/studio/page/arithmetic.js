// One value of a layer, computed before the reader's eyes: window times kernel, pooling, weighted sums, softmax.

import { paintMap } from "./charts.js";
import { el, fixed, percent, svg } from "./dom.js";

let term = 0; // which of the listed input maps is worked out

/**
 * Shows how a value came about.
 * root: element; unit: from the server; layer: its layer; place: { channel, row, column }; move(row, column), play().
 */
export function arithmetic(root, context) {
  const { unit, layer } = context;
  const draw = { convolution, pooling, dense, softmax: (c) => [softmax(c.unit, c.classes)], global: globalPooling, pointwise }[unit.kind];
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset.keep : null;
  if (unit.terms && term >= unit.terms.length) term = 0;
  const again = () => arithmetic(root, context);
  root.replaceChildren(...(draw ? draw({ ...context, again }) : []));
  root.dataset.value = unit.value;
  if (focused) root.querySelector(`[data-keep="${focused}"]`)?.focus({ preventScroll: true });
  root.ariaLabel = `How a value of ${layer.name} comes about`;
}

// -- maps with a window ------------------------------------------------------------------------------------------------

/** A map with a frame around some of its cells; a click or the arrow keys move to another place. */
function framed({ encoded, index = 0, label, top, left, rows, columns, full, onPick, keep }) {
  const canvas = el("canvas", { className: "pixels" });
  paintMap(canvas, encoded, index);
  const [height, width] = full;
  const frame = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", preserveAspectRatio: "none" },
    svg("rect", { x: left, y: top, width: columns, height: rows, class: "frame" }));
  const box = el("div", { className: "framed", tabIndex: onPick ? 0 : -1, role: onPick ? "application" : "img", ariaLabel: label, "data-keep": keep }, canvas, frame);
  box.style.aspectRatio = `${width} / ${height}`;
  if (onPick) {
    const at = (event) => {
      const area = box.getBoundingClientRect();
      onPick(Math.floor(((event.clientY - area.top) / area.height) * height), Math.floor(((event.clientX - area.left) / area.width) * width));
    };
    box.onpointerdown = (event) => { event.preventDefault(); box.focus({ preventScroll: true }); at(event); };
    box.onpointermove = (event) => { if (event.buttons & 1) at(event); };
  }
  return box;
}

function arrows(root, place, move) {
  root.onkeydown = (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step || ["SELECT", "INPUT"].includes(event.target.tagName)) return;
    event.preventDefault();
    move(place.row + step[0], place.column + step[1]);
  };
  return root;
}

const clamp = (value, most) => Math.min(most - 1, Math.max(0, value));

/** Source with the window, the work in the middle, result with the cell. */
function windowed({ unit, layer, place, move, play, playing }, middle) {
  const { rows, columns } = unit;
  const [inRows, inColumns] = layer.inputShape, [outRows, outColumns] = layer.shape;
  const stride = { y: Math.max(1, Math.round(inRows / outRows)), x: Math.max(1, Math.round(inColumns / outColumns)) };
  const source = framed({ encoded: unit.sources, index: term, full: [inRows, inColumns], top: rows[0], left: columns[0],
    rows: rows.at(-1) - rows[0] + 1, columns: columns.at(-1) - columns[0] + 1, keep: "source",
    label: `Input map ${unit.terms[term].channel}; the window covers rows ${rows[0]} to ${rows.at(-1)}, columns ${columns[0]} to ${columns.at(-1)}`,
    onPick: (row, column) => move(clamp(Math.round((row - (rows.length - 1) / 2) / stride.y), outRows), clamp(Math.round((column - (columns.length - 1) / 2) / stride.x), outColumns)) });
  const result = framed({ encoded: unit.map, full: [outRows, outColumns], top: place.row, left: place.column, rows: 1, columns: 1,
    keep: "result", label: `Output map ${place.channel}. Arrow keys move the window`,
    onPick: (row, column) => move(clamp(row, outRows), clamp(column, outColumns)) });
  const said = `Row ${place.row}, column ${place.column}: ${fixed(unit.value)}`;
  return arrows(el("div", { className: "work" },
    el("div", { className: "side" }, el("h3", {}, `Input map ${unit.terms[term].channel}`), source),
    el("div", { className: "middle" }, middle),
    el("div", { className: "side" }, el("h3", {}, `Output map ${place.channel}`), result,
      el("p", { className: "soft small", ariaLive: playing ? "off" : "polite" }, said)),
    el("div", { className: "work-tools" },
      el("button", { type: "button", onclick: play, "data-keep": "play", ariaPressed: String(playing) }, playing ? "Stop" : "Slide"),
      el("span", { className: "soft small" }, "Click a map, or use the arrow keys, to move the window."))), place, move);
}

/** Numbers in cells, coloured by their size. */
function grid(values, { inside, mark, title, scale }) {
  const size = Math.max(values.length, values[0].length);
  const most = scale ?? (Math.max(...values.flat().map(Math.abs)) || 1);
  const table = el("div", { className: `grid size-${Math.min(size, 8)}`, role: "img",
    ariaLabel: `${title}: ${values.map((row) => row.map((v) => fixed(v, 2)).join(", ")).join("; ")}` });
  table.style.gridTemplateColumns = `repeat(${values[0].length}, 1fr)`;
  values.forEach((row, y) => row.forEach((value, x) => {
    const out = inside && !inside[y][x];
    const cell = el("span", { className: `cell${out ? " out" : ""}${mark === y * row.length + x ? " mark" : ""}`,
      title: out ? "outside the map: padding" : String(value) }, out ? "·" : size <= 5 ? fixed(value, 2) : "");
    if (!out) cell.style.setProperty("--level", Math.min(1, Math.abs(value) / most).toFixed(3));
    if (!out) cell.classList.add(value < 0 ? "below" : "above");
    table.append(cell);
  }));
  return el("figure", { className: "numbers-grid" }, el("figcaption", {}, title), table);
}

const sign = (text) => el("span", { className: "sign", ariaHidden: "true" }, text);
const plus = (value) => (value < 0 ? ` − ${fixed(-value)}` : ` + ${fixed(value)}`);

function convolution(context) {
  const { unit, again } = context;
  const { values, kernel, sum } = unit.terms[term];
  const products = values.map((row, y) => row.map((value, x) => value * kernel[y][x]));
  const work = [el("div", { className: "grids" }, grid(values, { inside: unit.inside, title: "Window" }), sign("×"),
    grid(kernel, { title: "Kernel" }), sign("="), grid(products, { inside: unit.inside, title: "Products" })),
  el("p", { className: "sum" }, "The products sum to ", el("b", {}, fixed(sum)), ".")];
  const count = unit.terms.length + unit.rest.count;
  if (count > 1) {
    const most = Math.max(...unit.terms.map((t) => Math.abs(t.sum))) || 1;
    const bars = el("div", { className: "terms", role: "group", ariaLabel: "Sums of the input maps, largest first" }, unit.terms.map((t, i) => {
      const bar = el("span", { className: `bar ${t.sum < 0 ? "below" : "above"}` });
      bar.style.width = `${(50 * Math.abs(t.sum)) / most}%`;
      return el("button", { type: "button", className: "term", ariaPressed: String(i === term), "data-keep": `term-${i}`,
        onclick: () => { term = i; again(); } }, el("span", { className: "name" }, `map ${t.channel}`),
      el("span", { className: "track" }, bar), el("span", { className: "number" }, fixed(t.sum)));
    }));
    work.push(el("details", { open: true }, el("summary", {}, `The same over all ${count} input maps`), bars,
      unit.rest.count > 0 && el("p", { className: "soft small" }, `${unit.rest.count} more sum to ${fixed(unit.rest.sum)}.`)));
  }
  work.push(result(unit, count > 1 ? "all sums" : "sum", unit.before - unit.bias));
  return [windowed(context, work)];
}

const FUNCTIONS = { relu: "max(0, x)", sigmoid: "1 / (1 + e⁻ˣ)", tanh: "tanh x" };

/** sum + bias = before, activation, value. */
function result(unit, what, sum) {
  const parts = [el("span", {}, `${what} `), el("b", {}, fixed(sum)), el("span", {}, ` ${unit.bias < 0 ? "−" : "+"} bias `),
    el("b", {}, fixed(Math.abs(unit.bias))), " = ", el("b", {}, fixed(unit.before))];
  if (unit.activation && unit.activation !== "softmax") {
    parts.push(" → ", el("span", { title: FUNCTIONS[unit.activation] ?? "" }, unit.activation === "relu" ? "ReLU" : unit.activation),
      " → ", el("b", { className: "final" }, fixed(unit.value)));
  }
  return el("p", { className: "result" }, parts);
}

function pooling(context) {
  const { unit, layer } = context;
  term = 0;
  const rule = { MaxPooling2D: "The largest value wins", MinPooling2D: "The smallest value wins" }[layer.kind];
  const rest = rule ? "the others are dropped; where exactly it stood is forgotten." : "every cell counts the same.";
  return [windowed(context, [el("div", { className: "grids" }, grid(unit.terms[0].values, { inside: unit.inside, mark: unit.winner, title: "Window" }),
    sign("→"), grid([[unit.value]], { title: rule ? "Winner" : "Mean" })),
  el("p", { className: "sum" }, `${rule ?? "The mean of the window goes on"}: `, el("b", {}, fixed(unit.value)), `; ${rest}`)])];
}

function globalPooling({ unit, place, layer }) {
  const canvas = el("canvas", { className: "pixels whole", role: "img", ariaLabel: `Map ${place.channel}` });
  paintMap(canvas, unit.whole);
  return [el("div", { className: "work flat" }, el("div", { className: "side" }, el("h3", {}, `Map ${place.channel}`), canvas),
    el("p", { className: "result" }, `${layer.kind.includes("Max") ? "The largest" : "The mean"} of all ${unit.cells} values: `,
      el("b", { className: "final" }, fixed(unit.value))))];
}

function pointwise({ unit, layer }) {
  const how = unit.activation ? `${layer.kind} (${unit.activation})` : layer.kind;
  return [el("p", { className: "result" }, "For example, ", el("b", {}, fixed(unit.input)), ` → ${how} → `,
    el("b", { className: "final" }, fixed(unit.value)))];
}

function dense({ unit, place, classes, layer }) {
  const most = Math.max(...unit.terms.map((t) => Math.abs(t.value * t.weight))) || 1;
  const rows = unit.terms.slice(0, 12).map((t) => {
    const product = t.value * t.weight, bar = el("span", { className: `bar ${product < 0 ? "below" : "above"}` });
    bar.style.width = `${(50 * Math.abs(product)) / most}%`;
    return el("tr", {}, el("th", { scope: "row" }, String(t.input)), el("td", {}, fixed(t.value)), el("td", {}, fixed(t.weight)),
      el("td", { className: "wide" }, el("span", { className: "track" }, bar)), el("td", {}, fixed(product)));
  });
  const left = unit.rest.count + unit.terms.length - rows.length;
  const listed = unit.terms.slice(0, 12).reduce((sum, t) => sum + t.value * t.weight, 0);
  const total = unit.before - unit.bias;
  const name = unit.softmax && classes.length === layer.count ? `“${classes[place.channel]}”` : `unit ${place.channel}`;
  const parts = [el("div", { className: "dense" }, el("h3", {}, `The sum of ${name}`), el("div", { className: "scroll" }, el("table", { className: "table" },
    el("thead", {}, el("tr", {}, ["Input", "Value", "× weight", "", "= product"].map((t) => el("th", { scope: "col" }, t)))), el("tbody", {}, rows))),
  left > 0 && el("p", { className: "soft small" }, `${left} more inputs add${plus(total - listed)}.`), result(unit, "all products", total))];
  if (unit.softmax) parts.push(softmax(unit.softmax, classes));
  return [el("div", { className: "dense-pair" }, parts)];
}

function softmax({ classes: rows, largest, total }, names) {
  const label = (i) => names[i] ?? String(i);
  return el("div", { className: "dense" }, el("h3", {}, "Scores become probabilities"), el("div", { className: "scroll" }, el("table", { className: "table" },
    el("thead", {}, el("tr", {}, ["Class", "Score", "eˢ⁻ᵐ", "", "Share"].map((t) => el("th", { scope: "col" }, t)))),
    el("tbody", {}, rows.map((row) => {
      const bar = el("span", { className: "bar whole" });
      bar.style.width = `${100 * row.probability}%`;
      return el("tr", {}, el("th", { scope: "row" }, label(row.class)), el("td", {}, fixed(row.score)), el("td", {}, fixed(row.power)),
        el("td", { className: "wide" }, el("span", { className: "track" }, bar)), el("td", {}, percent(row.probability)));
    })))),
  el("p", { className: "soft small" }, `m is the largest score, ${fixed(largest)}; the powers sum to ${fixed(total)}, and each share is its power divided by that.`));
}
