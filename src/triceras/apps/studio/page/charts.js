// Charts and pictures of numbers, drawn by hand: lines over epochs, and maps of values.

import { el, short, svg } from "./dom.js";

/** Round numbers that cover a range, about `count` of them. */
function ticks(low, high, count = 5) {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * power >= raw) * power;
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => (first + i) * step);
}

/**
 * Lines over epochs.
 * root: element that holds the chart; series: [{ name, color: 1..8, dashed, points: [[x, y]] }].
 */
export function lineChart(root, { title, series, width = root.clientWidth || 460, height = 240 }) {
  const drawn = series.map((s) => ({ ...s, points: s.points.filter(([, y]) => Number.isFinite(y)) }))
    .filter((s) => s.points.length);
  const figure = el("figure", { className: "chart" }, el("figcaption", {}, title));
  root.replaceChildren(figure);
  if (!drawn.length) {
    figure.append(el("p", { className: "soft" }, "The first epoch isn't done yet."));
    return;
  }
  const all = drawn.flatMap((s) => s.points);
  const xs = all.map((p) => p[0]), ys = all.map((p) => p[1]);
  const x0 = Math.min(...xs), x1 = Math.max(...xs, x0 + 1);
  let y0 = Math.min(...ys), y1 = Math.max(...ys);
  const air = (y1 - y0 || Math.abs(y1) || 1) * 0.06;
  y0 = y0 >= 0 ? Math.max(0, y0 - air) : y0 - air;
  y1 += air;
  const left = 46, right = 12, top = 8, bottom = 26;
  const px = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const py = (y) => height - bottom - ((y - y0) / (y1 - y0)) * (height - top - bottom);
  const summary = drawn.map((s) => `${s.name}: ${short(s.points.at(-1)[1])} at epoch ${s.points.at(-1)[0]}`).join("; ");
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}. ${summary}` });
  for (const y of ticks(y0, y1)) {
    chart.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: py(y), y2: py(y) }),
      svg("text", { class: "tick", x: left - 7, y: py(y) + 4, "text-anchor": "end" }, String(+y.toPrecision(6))));
  }
  for (const x of ticks(x0, x1, 6).filter(Number.isInteger)) {
    chart.append(svg("text", { class: "tick", x: px(x), y: height - 8, "text-anchor": "middle" }, String(x)));
  }
  for (const s of drawn) {
    const path = s.points.map(([x, y], i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
    chart.append(svg("path", { class: `line c${s.color}${s.dashed ? " dashed" : ""}`, d: path }));
    if (s.points.length <= 20) {
      for (const [x, y] of s.points) chart.append(svg("circle", { class: `dot c${s.color}`, cx: px(x), cy: py(y), r: 2.6 }));
    }
  }
  const hair = svg("line", { class: "hair", y1: top, y2: height - bottom, visibility: "hidden" });
  chart.append(hair);
  const reading = el("p", { className: "reading", ariaHidden: "true" });
  const legend = el("ul", { className: "legend" }, drawn.map((s) => el("li", {},
    svg("svg", { viewBox: "0 0 22 8", width: 22, height: 8, "aria-hidden": "true" },
      svg("path", { class: `line c${s.color}${s.dashed ? " dashed" : ""}`, d: "M1 4H21" })), s.name)));
  const say = (x) => {
    hair.setAttribute("x1", px(x));
    hair.setAttribute("x2", px(x));
    hair.setAttribute("visibility", "visible");
    reading.textContent = `Epoch ${x} · ` + drawn.map((s) => [s.name, s.points.find((p) => p[0] === x)])
      .filter(([, point]) => point).map(([name, point]) => `${name} ${short(point[1], 4)}`).join(" · ");
  };
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = x0 + (((event.clientX - box.left) / box.width) * width - left) / (width - left - right) * (x1 - x0);
    say(xs.reduce((best, each) => (Math.abs(each - x) < Math.abs(best - x) ? each : best)));
  });
  chart.addEventListener("pointerleave", () => { hair.setAttribute("visibility", "hidden"); reading.textContent = ""; });
  figure.append(chart, legend, reading);
}

// -- maps --------------------------------------------------------------------------------------------------------

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** { height, width, scale, data } from the server: map `index` as numbers from -127 to 127. */
export function mapOf(encoded, index = 0) {
  encoded.bytes ??= new Int8Array(bytes(encoded.data).buffer);
  const size = encoded.height * encoded.width;
  return encoded.bytes.subarray(index * size, (index + 1) * size);
}

/** Black is 0, green above, amber below; the eye reads brightness as strength. */
function signed(level) {
  const t = Math.min(1, Math.abs(level) / 127) ** 0.7;
  const [r, g, b] = level >= 0 ? [214, 255, 240] : [255, 190, 92];
  const floor = level >= 0 ? [14, 20, 20] : [20, 17, 14];
  const bend = level >= 0 ? [t ** 1.7, t, t ** 1.15] : [t, t ** 1.15, t ** 1.7];
  return [floor[0] + (r - floor[0]) * bend[0], floor[1] + (g - floor[1]) * bend[1], floor[2] + (b - floor[2]) * bend[2]];
}
const SIGNED = Array.from({ length: 255 }, (_, i) => signed(i - 127));

export function paintMap(canvas, encoded, index = 0) {
  const levels = mapOf(encoded, index);
  canvas.width = encoded.width;
  canvas.height = encoded.height;
  const context = canvas.getContext("2d"), image = context.createImageData(encoded.width, encoded.height);
  levels.forEach((level, i) => {
    const color = SIGNED[level + 127];
    image.data.set([color[0], color[1], color[2], 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
}

/** Numbers in a row, as a strip. */
export function paintStrip(canvas, values, height = 10) {
  const scale = Math.max(...values.map(Math.abs)) || 1;
  canvas.width = values.length;
  canvas.height = 1;
  const context = canvas.getContext("2d"), image = context.createImageData(values.length, 1);
  values.forEach((value, i) => {
    const color = SIGNED[Math.round((value / scale) * 127) + 127];
    image.data.set([color[0], color[1], color[2], 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
}

/** { height, width, channels, data }: pixels as bytes. */
export function paintPixels(canvas, { height, width, channels, data }) {
  const pixels = bytes(data);
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    const at = (c) => pixels[i * channels + Math.min(c, channels - 1)];
    image.data.set([at(0), at(1), at(2), 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

export const isBlank = (heat) => bytes(heat.data).every((level) => level === 0);

/** Heat (bytes, height x width) over pixels, from clear through violet and orange to pale yellow. */
export function paintHeat(canvas, heat, strength) {
  const levels = bytes(heat.data);
  const small = el("canvas", { width: heat.width, height: heat.height });
  const image = small.getContext("2d").createImageData(heat.width, heat.height);
  levels.forEach((level, i) => {
    const t = level / 255;
    const color = [255 * Math.min(1, 0.35 + 1.1 * t), 255 * t ** 1.6, 255 * (0.55 * (1 - t) + 0.35 * t ** 4)];
    image.data.set([...color, 255 * strength * Math.min(1, 1.4 * t)], 4 * i);
  });
  small.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}
