// Small helpers for elements, numbers and requests that come faster than they can be answered.

export const $ = (id) => document.getElementById(id);

/** An element: properties that the DOM has are set, others become attributes; children are nodes or text. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export const percent = (p, digits = 1) => `${(100 * p).toFixed(digits)}\u00a0%`;

/** A number in few characters: 0.123, 12.3, 1.2e6. */
export function short(value, digits = 3) {
  const size = Math.abs(value);
  if (size >= 1e5 || (size && size < 1e-4)) return minus(value.toExponential(1));
  const places = size ? digits - 1 - Math.floor(Math.log10(size)) : 0;
  return minus(value.toFixed(Math.max(0, Math.min(places, 4))));
}

/** A number with a fixed count of decimals, so that sums can be followed. */
export function fixed(value, places = 3) {
  const size = Math.abs(value);
  if (size >= 1e5) return minus(value.toExponential(1));
  return minus(value.toFixed(size >= 1000 ? 0 : size >= 100 ? Math.min(1, places) : places));
}
const minus = (text) => (/^-[0.]*$/.test(text) ? text.slice(1) : text.replace(/^-/, "−"));

/** A function that runs `work` with the newest arguments, one call at a time; calls in between are dropped. */
export function latest(work) {
  let running = false, waiting = null;
  return async function call(...args) {
    if (running) { waiting = args; return; }
    running = true;
    try { await work(...args); } finally {
      running = false;
      if (waiting) { const next = waiting; waiting = null; call(...next); }
    }
  };
}

export function debounced(work, milliseconds) {
  let timer;
  return (...args) => { clearTimeout(timer); timer = setTimeout(() => work(...args), milliseconds); };
}

/** A message at the top of the page; an empty one takes it away. */
export function notice(message = "") {
  $("notice").textContent = message;
  $("notice").hidden = !message;
}

/** Lets arrow keys, Home and End move between the items of a group, as in a list of tabs. */
export function roving(group, selector) {
  group.addEventListener("keydown", (event) => {
    const items = [...group.querySelectorAll(selector)];
    const here = items.indexOf(document.activeElement);
    const to = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1,
      Home: 0, End: items.length - 1 }[event.key];
    if (here < 0 || to === undefined || !items[to]) return;
    event.preventDefault();
    items[to].focus();
    items[to].click();
  });
}
