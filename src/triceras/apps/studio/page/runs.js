// The part "Runs": past trainings, their curves beside each other, reports and pictures.

import { get, picture } from "./api.js";
import { curves, SOON } from "./curves.js";
import { $, el, notice, percent, short } from "./dom.js";
import { useModel } from "./state.js";
import { badge, LIVE } from "./train.js";

const MOST = 8; // runs compared at once, one for each colour
const PICTURES = { "curves.png": "Learning curves", "confusion.png": "Confusion matrix", "mistakes.png": "Worst mistakes",
  "gradcam.png": "Grad-CAM", "predictions.png": "Predictions" };

const FOLLOW = { preparing: "Follow it", running: "Follow it", stopped: "Resume it", interrupted: "Resume it" };

let list = [];
let compared = [];  // names
let shown = null;   // the run below
let urls = [];      // of its pictures

function table() {
  const row = (run) => {
    const box = el("input", { type: "checkbox", ariaLabel: `Compare ${run.name}`, checked: compared.includes(run.name),
      onchange: (event) => compare(run.name, event.target.checked) });
    return el("tr", { "data-run": run.name }, el("td", { className: "text" }, box),
      el("th", { scope: "row", className: "text" }, el("a", { href: `#/runs/${encodeURIComponent(run.name)}` }, run.name)),
      el("td", { className: "text" }, badge(run.state)),
      el("td", { className: "more" }, run.epochs ? `${run.epoch} / ${run.epochs}` : String(run.epoch || "–")),
      el("td", {}, typeof run.accuracy === "number" ? percent(run.accuracy, 2) : "–"),
      el("td", { className: "more" }, typeof run.best.accuracy === "number" ? percent(run.best.accuracy, 2) : "–"),
      el("td", { className: "more" }, new Date(1000 * run.changed).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })));
  };
  const heads = [["Compare", "text"], ["Run", "text"], ["State", "text"], ["Epochs", "more"], ["Test accuracy", ""],
    ["Best validation", "more"], ["Changed", "more"]];
  $("runs-table").replaceChildren(el("thead", {}, el("tr", {}, heads.map(([text, className]) => el("th", { scope: "col", className }, text)))),
    el("tbody", {}, list.map(row)));
}

function compare(name, wanted) {
  compared = compared.filter((each) => each !== name);
  if (wanted) compared = [...compared, name];
  for (const box of $("runs-table").querySelectorAll("input")) {
    box.disabled = compared.length >= MOST && !box.checked;
  }
  showCompared();
}

async function showCompared() {
  const box = $("compare");
  box.hidden = compared.length < 2;
  if (box.hidden) return;
  try {
    const names = [...compared];
    const runs = await Promise.all(names.map((name) => get(`/api/runs/${encodeURIComponent(name)}`)));
    const charts = el("div", { className: "charts" });
    box.replaceChildren(el("h2", {}, `${names.length} runs compared`), charts);
    curves(charts, runs.map((run, i) => ({ ...run, color: i + 1 })));
  } catch (error) { notice(error.message); }
}

async function showRun(name) {
  shown = name;
  for (const row of $("runs-table").tBodies[0].rows) row.classList.toggle("here", row.dataset.run === name);
  const box = $("run");
  box.hidden = !name;
  if (!name) return;
  try {
    const run = await get(`/api/runs/${encodeURIComponent(name)}`);
    if (shown !== name) return;
    const charts = el("div", { className: "charts" });
    const facts = [["Test accuracy", run.accuracy, percent], ["Best validation accuracy", run.best.accuracy, percent], ["Least validation loss", run.best.loss, short]]
      .filter(([, value]) => typeof value === "number")
      .map(([label, value, say]) => el("div", {}, el("dt", {}, label), el("dd", {}, say === percent ? percent(value, 2) : short(value))));
    box.replaceChildren(
      el("div", { className: "training-head" }, el("h2", { tabIndex: -1 }, run.name), badge(run.state),
        run.model && el("button", { type: "button", onclick: () => useModel(run.model) }, "Draw with it"),
        el("a", { href: `#/train/${encodeURIComponent(name)}` }, FOLLOW[run.state] ?? "Its training")),
      run.status.error ? el("p", { className: "notice" }, run.status.error) : "",
      facts.length ? el("dl", { className: "figures" }, facts) : "", charts, report(run.report), pictures(run), settings(run.settings));
    curves(charts, [run], LIVE.includes(run.state) ? SOON : undefined);
  } catch (error) { notice(error.message); }
}

function report(found) {
  const rows = Object.entries(found).filter(([, value]) => value && typeof value === "object" && "precision" in value);
  if (!rows.length) return "";
  const number = (value) => (typeof value === "number" ? value.toFixed(3) : "–");
  return el("div", {}, el("h3", { className: "gap" }, "Test report, by class"), el("div", { className: "scroll" }, el("table", { className: "table" },
    el("thead", {}, el("tr", {}, ["Class", "Precision", "Recall", "F1", "Images"].map((t) => el("th", { scope: "col" }, t)))),
    el("tbody", {}, rows.map(([name, r]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, number(r.precision)), el("td", {}, number(r.recall)),
      el("td", {}, number(r["f1-score"])), el("td", {}, Math.round(r.support ?? 0).toLocaleString())))))));
}

function pictures(run) {
  urls.forEach(URL.revokeObjectURL);
  urls = [];
  if (!run.pictures?.length) return "";
  const box = el("div", { className: "pictures" });
  for (const file of run.pictures) {
    const title = PICTURES[file] ?? file, image = el("img", { alt: `${title} of ${run.name}` });
    picture(`/api/runs/${encodeURIComponent(run.name)}/${encodeURIComponent(file)}?${run.changed}`)
      .then((url) => { image.src = url; urls.push(url); }, (error) => notice(error.message));
    box.append(el("button", { type: "button", onclick: () => enlarge(image) }, image, el("span", {}, title)));
  }
  return el("div", {}, el("h3", { className: "gap" }, "Pictures"), box);
}

function enlarge(image) {
  $("viewer-image").src = image.src;
  $("viewer-image").alt = image.alt;
  $("viewer").showModal();
}

function settings(found) {
  const rows = Object.entries(found);
  if (!rows.length) return "";
  const said = (value) => (Array.isArray(value) ? value.join(", ") : value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
  return el("details", {}, el("summary", {}, "Settings"), el("dl", { className: "settings" },
    rows.map(([key, value]) => el("div", {}, el("dt", {}, key.replaceAll("_", " ")), el("dd", {}, said(value))))));
}

export function start() {
  $("viewer").addEventListener("click", (event) => { if (event.target === $("viewer")) $("viewer").close(); });
}

export async function show([name] = []) {
  try {
    ({ runs: list } = await get("/api/runs"));
    $("runs-empty").hidden = list.length > 0;
    $("runs-full").hidden = !list.length;
    if (!list.length) return;
    const known = (each) => list.some((run) => run.name === each);
    compared = compared.filter(known);
    table();
    if (name && !known(name)) notice(`There is no run called “${name}”.`);
    await Promise.all([showRun(known(name) ? name : list[0].name), showCompared()]);
    if (!known(name)) return;
    // the link that was followed is gone
    $("run").querySelector("h2")?.focus({ preventScroll: true });
    $("run").scrollIntoView({ block: "nearest" });
  } catch (error) { notice(error.message); }
}
