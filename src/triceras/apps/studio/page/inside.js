// The part "Look inside": what each layer made of the picture, and the arithmetic behind any value of it.

import { post, send } from "./api.js";
import { isBlank, mapOf, paintHeat, paintMap, paintPixels, paintStrip } from "./charts.js";
import { $, el, latest, notice, percent, roving, short } from "./dom.js";
import { arithmetic } from "./arithmetic.js";
import { change, EXAMPLE, onChange, state } from "./state.js";

const FIRST = 32; // maps shown before "show all"

let seen = null;      // the server's answer for the picture at hand
let chosen = 0;       // the layer: -1 is the picture, layers.length is "why"
let place = { channel: 0, row: 0, column: 0 };
let stale = true, playing = null;

const visible = () => !$("inside").hidden;

const look = latest(async () => {
  if (!state.input || !state.model) return;
  const { version } = state;
  $("inside-full").classList.add("busy");
  try {
    const answer = await send("/api/inside", state.input, state.model, state.centre);
    if (version !== state.version) { stale = true; return; }
    const same = Boolean(seen);
    seen = Object.assign(answer, { model: state.model });
    stale = false;
    notice();
    if (!same) {
      const first = seen.layers.findIndex((layer) => layer.kind.includes("Conv"));
      chosen = first < 0 ? 0 : first;
      place = busiest(seen.layers[chosen]);
    }
    $("inside-full").hidden = false;
    showRail();
    showLayer();
  } catch (error) {
    notice(error.message);
  } finally {
    $("inside-wait").hidden = true;
    $("inside-full").classList.remove("busy");
  }
});

function refresh() {
  const ready = Boolean(state.input && state.model);
  if (seen?.model !== state.model) seen = null;
  $("inside-empty").hidden = Boolean(state.input);
  $("inside-full").hidden = !ready || !seen;
  $("inside-wait").hidden = !ready || Boolean(seen);
  if (ready && stale) look();
}

/** The place of a layer's largest value, where there is something to see. */
function busiest(layer) {
  if (!layer.maps) return { channel: Math.max(0, layer.values?.indexOf(Math.max(...layer.values))), row: 0, column: 0 };
  const { height, width } = layer.maps;
  let best = { value: -1 };
  for (let map = 0; map < Math.min(FIRST, layer.channels.length); map++) {
    mapOf(layer.maps, map).forEach((level, i) => {
      if (level > best.value) best = { value: level, map, i };
    });
  }
  const grow = (i, small, all) => Math.min(all - 1, Math.floor((i * all) / small));
  return { channel: layer.channels[best.map], row: grow(Math.floor(best.i / width), height, layer.shape[0]),
    column: grow(best.i % width, width, layer.shape[1]) };
}

// -- the row of layers ---------------------------------------------------------------------------------------------

function showRail() {
  const tab = (index, title, detail, picture) => el("button", { type: "button", role: "tab", className: "stop",
    id: `tab-${index}`, ariaSelected: String(index === chosen), tabIndex: index === chosen ? 0 : -1,
    "aria-controls": "layer", onclick: () => choose(index) }, picture, el("b", {}, title), el("span", {}, detail));
  const image = el("canvas", { className: "pixels", ariaHidden: "true" });
  paintPixels(image, seen.seen);
  const tabs = [tab(-1, "Picture", `${seen.seen.height}×${seen.seen.width}`, image)];
  seen.layers.forEach((layer, index) => {
    const canvas = el("canvas", { className: layer.maps ? "pixels" : "pixels strip", ariaHidden: "true" });
    if (layer.maps) paintMap(canvas, layer.maps, strongest(layer)); else paintStrip(canvas, layer.values);
    tabs.push(tab(index, title(layer), layer.shape.join("×"), canvas));
  });
  const best = seen.probabilities.indexOf(Math.max(...seen.probabilities));
  const label = seen.classes[best];
  tabs.push(tab(seen.layers.length, "Why?", "Grad-CAM", el("i", { className: label.length > 3 ? "word" : "" }, label)));
  $("rail").replaceChildren(...tabs);
  centre();
}

const TITLES = { Conv2D: "Convolution", DepthwiseConv2D: "Depthwise", SeparableConv2D: "Separable", MaxPooling2D: "Max pool",
  MinPooling2D: "Min pool", AveragePooling2D: "Mean pool", GlobalAveragePooling2D: "Global mean", GlobalMaxPooling2D: "Global max",
  BatchNormalization: "Batch norm", Normalization: "Normalize", Rescaling: "Rescale" };
const title = (layer) => TITLES[layer.kind] ?? layer.kind;

function strongest(layer) {
  let best = 0, most = -1;
  for (let map = 0; map < layer.channels.length; map++) {
    const sum = mapOf(layer.maps, map).reduce((total, level) => total + Math.abs(level), 0);
    if (sum > most) [best, most] = [map, sum];
  }
  return best;
}

/** Brings the chosen tab into the middle. */
function centre() {
  const rail = $("rail"), tab = $(`tab-${chosen}`);
  rail.scrollLeft = tab.offsetLeft - (rail.clientWidth - tab.offsetWidth) / 2;
}

function choose(index) {
  stop();
  chosen = index;
  if (seen.layers[index]) place = busiest(seen.layers[index]);
  for (const tab of $("rail").children) {
    const here = tab.id === `tab-${index}`;
    tab.setAttribute("aria-selected", String(here));
    tab.tabIndex = here ? 0 : -1;
  }
  centre();
  showLayer();
}

// -- one layer -----------------------------------------------------------------------------------------------------

function showLayer() {
  const panel = $("layer");
  panel.setAttribute("aria-labelledby", `tab-${chosen}`);
  if (chosen < 0) return showPicture(panel);
  if (chosen >= seen.layers.length) return showWhy(panel);
  const layer = seen.layers[chosen];
  const facts = [layer.kind, layer.inputShape.length && `${layer.inputShape.join(" × ")} → ${layer.shape.join(" × ")}`,
    layer.parameters && `${layer.parameters.toLocaleString()} weights`].filter(Boolean).join(" · ");
  panel.replaceChildren(el("div", { className: "layer-head" }, el("h2", {}, layer.name), el("p", { className: "soft" }, facts),
    layer.about && el("p", {}, layer.about)));
  if (layer.maps) panel.append(maps(layer)); else panel.append(numbers(layer));
  panel.append(el("div", { id: "detail" }));
  if (layer.explained) showUnit();
}

function maps(layer) {
  const grid = el("div", { className: "maps", role: "group", ariaLabel: "Feature maps of this layer" });
  const one = (channel, i) => {
    const canvas = el("canvas", { className: "pixels" });
    paintMap(canvas, layer.maps, i);
    return el("button", { type: "button", className: "map", ariaPressed: String(channel === place.channel), tabIndex: -1,
      ariaLabel: `Map ${channel}`, onclick: () => pick(channel) }, canvas, el("span", {}, String(channel)));
  };
  grid.append(...layer.channels.slice(0, FIRST).map(one));
  // one stop of the Tab key; arrow keys go to the others
  (grid.querySelector("[aria-pressed=true]") ?? grid.firstChild).tabIndex = 0;
  roving(grid, ".map");
  const left = layer.channels.length - FIRST;
  const all = left > 0 && el("button", { type: "button", className: "quiet", onclick: (event) => {
    grid.append(...layer.channels.slice(FIRST).map((channel, i) => one(channel, i + FIRST)));
    event.target.remove();
  } }, `Show ${left} more`);
  const note = layer.count > layer.channels.length
    ? `The ${layer.channels.length} strongest of ${layer.count} maps.` : `${layer.count} ${layer.count === 1 ? "map" : "maps"}.`;
  return el("div", {}, grid, el("p", { className: "soft small" }, note,
    " Black is 0, green above, amber below; the brightest is ", short(layer.maps.scale), ". "), all);
}

function numbers(layer) {
  const canvas = el("canvas", { className: "pixels long", role: "img", ariaLabel: `${layer.count} values` });
  paintStrip(canvas, layer.values);
  const names = layer.count === seen.classes.length && chosen >= seen.layers.length - 2 ? seen.classes : null;
  const select = el("select", { id: "value", onchange: (event) => pick(Number(event.target.value)) },
    layer.values.map((value, i) => el("option", { value: i, selected: i === place.channel },
      `${names ? names[i] : i}: ${short(value)}`)));
  const shown = layer.values.length < layer.count ? `the first ${layer.values.length} of ${layer.count}` : `${layer.count} values`;
  canvas.onclick = (event) => {
    const box = canvas.getBoundingClientRect();
    pick(Math.min(layer.values.length - 1, Math.floor(((event.clientX - box.left) / box.width) * layer.values.length)));
  };
  return el("div", { className: "numbers" }, canvas, el("p", { className: "pick" },
    el("label", { htmlFor: "value" }, `One of ${shown}`), select));
}

function pick(channel) {
  stop();
  place = { ...place, channel };
  for (const map of $("layer").querySelectorAll(".map")) {
    const here = map.getAttribute("aria-label") === `Map ${channel}`;
    map.setAttribute("aria-pressed", String(here));
    map.tabIndex = here ? 0 : -1;
  }
  if ($("value")) $("value").value = channel;
  if (seen.layers[chosen].explained) showUnit();
}

const showUnit = latest(async () => {
  const layer = chosen, where = { ...place }, { key } = seen;
  try {
    const unit = await post("/api/inside/unit", { key, layer, ...where });
    if (layer !== chosen || key !== seen?.key) return;
    arithmetic($("detail"), { unit, layer: seen.layers[layer], place: where, classes: seen.classes, move, play, playing: Boolean(playing) });
  } catch (error) {
    if (error.status === 410) { stale = true; look(); } else { stop(); notice(error.message); }
  }
});

/** Moves the window; returns false at the end of the map. */
function move(row, column) {
  const [rows, columns] = seen.layers[chosen].shape;
  if (row < 0 || column < 0 || row >= rows || column >= columns) return false;
  place = { ...place, row, column };
  showUnit();
  return true;
}

function play() {
  if (playing) { stop(); showUnit(); return; }
  const [rows, columns] = seen.layers[chosen].shape;
  playing = setInterval(() => {
    if (!visible()) return stop();
    const next = place.column + 1 < columns ? [place.row, place.column + 1] : [(place.row + 1) % rows, 0];
    move(...next);
  }, 220);
  showUnit();
}

function stop() { clearInterval(playing); playing = null; }

// -- the picture, and why --------------------------------------------------------------------------------------------

function showPicture(panel) {
  const canvas = el("canvas", { className: "pixels whole", role: "img", ariaLabel: "The picture as the network sees it" });
  paintPixels(canvas, seen.seen);
  const { height, width, channels } = seen.seen;
  panel.replaceChildren(el("div", { className: "layer-head" }, el("h2", {}, "The picture"),
    el("p", {}, `To the network it is a block of ${height} × ${width} × ${channels} numbers from 0 (black) to 255. `
      + "Everything that follows is arithmetic on them.")), canvas);
}

function showWhy(panel) {
  const best = seen.probabilities.indexOf(Math.max(...seen.probabilities));
  const base = el("canvas", { className: "pixels" }), heat = el("canvas", { width: 336, height: 336 });
  paintPixels(base, seen.seen);
  const classes = el("select", { id: "why-class" }, seen.classes.map((name, i) => el("option", { value: i, selected: i === best },
    `${name} (${percent(seen.probabilities[i])})`)));
  const maps = seen.layers.some((layer) => layer.kind.includes("Conv"));
  const method = el("select", { id: "why-method" }, maps && el("option", { value: "grad-cam" }, "Grad-CAM: regions"),
    el("option", { value: "saliency" }, "Saliency: pixels"));
  const strength = el("input", { id: "why-strength", type: "range", min: 0, max: 100, value: 75 });
  const said = el("p", { className: "soft", ariaLive: "polite" });
  let answer = null;
  const paint = () => { if (answer) paintHeat(heat, answer, strength.value / 100); };
  const ask = latest(async () => {
    said.textContent = "Computing …";
    try {
      answer = await post("/api/inside/why", { key: seen.key, class: Number(classes.value), method: method.value });
      said.textContent = isBlank(answer) ? `Nothing in the picture speaks for ${seen.classes[classes.value]}.`
        : method.value === "grad-cam" ? `Where the last maps spoke for ${seen.classes[classes.value]}: bright regions raised its score.`
        : `Which pixels would change the score of ${seen.classes[classes.value]} most if they changed a little.`;
      paint();
      heat.dataset.ready = `${method.value} ${classes.value}`;
    } catch (error) {
      if (error.status === 410) { stale = true; look(); } else said.textContent = error.message;
    }
  });
  classes.onchange = method.onchange = ask;
  strength.oninput = paint;
  panel.replaceChildren(el("div", { className: "layer-head" }, el("h2", {}, "Why this answer?"),
    el("p", {}, "The answer's gradient tells which parts of the picture it rests on.")),
  el("div", { className: "why" }, el("div", { className: "overlay", role: "img", ariaLabel: "The picture with the regions that counted" }, base, heat),
    el("div", { className: "why-tools" }, el("label", { htmlFor: "why-class" }, "For the class"), classes,
      el("label", { htmlFor: "why-method" }, "Method"), method,
      el("label", { htmlFor: "why-strength" }, "Strength"), strength, said)));
  ask();
}

export function start() {
  $("example").onclick = () => { change({ input: { strokes: EXAMPLE } }); };
  roving($("rail"), ".stop");
  onChange(() => { stop(); stale = true; if (visible()) refresh(); });
}

export function show() { refresh(); }
export function hide() { stop(); }
