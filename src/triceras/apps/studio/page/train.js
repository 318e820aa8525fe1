// The part "Train": a recipe and its options, and the newest training as it goes.

import { get, post } from "./api.js";
import { $, el, notice, percent } from "./dom.js";
import { curves, SOON } from "./curves.js";

const EVERY = 800; // milliseconds between looks at a training

let recipes = [];
let name = null;   // of the run that is shown
let timer = null, lookedAt = 0, lost = false;

export const LIVE = ["preparing", "running"];
const STATES = { preparing: "Preparing", running: "Running", finished: "Finished", stopped: "Stopped", failed: "Failed",
  interrupted: "Interrupted" };
export const badge = (state) => el("span", { className: `state ${state}` }, STATES[state] ?? state);

// -- the form -------------------------------------------------------------------------------------------------------

function showRecipe() {
  const recipe = recipes.find((each) => each.name === $("recipe").value);
  if (!recipe) return;
  $("recipe-about").textContent = recipe.summary;
  $("recipe-about").title = recipe.about;
  const [main, rest] = [recipe.options.filter((o) => o.main), recipe.options.filter((o) => !o.main)];
  $("options").replaceChildren(...main.map(option));
  $("more-options").replaceChildren(...rest.map(option));
  $("more").hidden = !rest.length;
}

function option({ name, label, kind, usual, choices, help }) {
  const id = `option-${name}`, about = help && el("p", { className: "soft", id: `${id}-help` }, help);
  const named = { id, name, "aria-describedby": help ? `${id}-help` : null };
  if (kind === "flag") {
    return el("div", { className: "option" }, el("label", { className: "check" }, el("input", { ...named, type: "checkbox", checked: usual === true }), label), about);
  }
  let input;
  if (kind === "choice") {
    input = el("select", named, el("option", { value: "" }, usual ? `usual (${usual})` : "usual"), choices.map((c) => el("option", { value: c }, c)));
  } else {
    const number = kind === "int" || kind === "float";
    input = el("input", { ...named, type: "text", inputMode: { int: "numeric", float: "decimal" }[kind] ?? "text", autocomplete: "off", spellcheck: false,
      placeholder: usual === null || usual === undefined || usual === "" ? (number ? "usual" : "") : String(usual) });
  }
  if (kind !== "path") return el("div", { className: "option" }, el("label", { htmlFor: id }, label), input, about);
  const list = el("div", { className: "folders", hidden: true });
  const browse = el("button", { type: "button", ariaExpanded: "false", onclick: () => {
    list.hidden = !list.hidden;
    browse.setAttribute("aria-expanded", String(!list.hidden));
    if (!list.hidden) openFolder(list, input, input.value);
  } }, "Browse");
  return el("div", { className: "option" }, el("label", { htmlFor: id }, label), el("div", { className: "path" }, input, browse), list, about);
}

async function openFolder(list, input, path) {
  try {
    const found = await post("/api/folders", { path });
    const go = (to) => () => openFolder(list, input, to).then(() => list.querySelector("button")?.focus());
    const join = (child) => `${found.path.replace(/[/\\]$/, "")}${found.path.includes("\\") ? "\\" : "/"}${child}`;
    list.replaceChildren(el("span", { className: "soft small" }, `${found.path} · ${found.folders.length} folders, ${found.files} files`),
      found.parent ? el("button", { type: "button", onclick: go(found.parent) }, "↑ up") : "",
      ...found.folders.map((child) => el("button", { type: "button", onclick: go(join(child)) }, `${child}/`)),
      el("button", { type: "button", className: "main", onclick: () => { input.value = found.path; list.hidden = true; input.focus(); } }, "Take this folder"));
  } catch (error) {
    if (path) openFolder(list, input, ""); else notice(error.message);
  }
}

function values() {
  const found = {};
  for (const input of $("recipe-form").querySelectorAll("[name]")) {
    if (input.type === "checkbox") found[input.name] = input.checked;
    else if (input.value.trim()) found[input.name] = input.value.trim();
  }
  return found;
}

async function submit(event) {
  event.preventDefault();
  $("start").disabled = true;
  notice();
  try {
    const started = await post("/api/runs", { recipe: $("recipe").value, options: values() });
    follow(started.name);
    $("training").scrollIntoView({ block: "nearest" });
  } catch (error) {
    notice(error.message);
    $("notice").scrollIntoView({ block: "nearest" });
  } finally {
    $("start").disabled = false;
  }
}

// -- the training ---------------------------------------------------------------------------------------------------

function follow(run) {
  name = run;
  clearTimeout(timer);
  look();
}

async function look() {
  const run = name, turn = ++lookedAt;
  try {
    const found = await get(`/api/runs/${encodeURIComponent(run)}`);
    if (turn !== lookedAt) return;
    if (lost) notice();
    lost = false;
    showTraining(found);
    if (LIVE.includes(found.state) || found.job.alive) timer = setTimeout(look, EVERY);
  } catch (error) {
    if (turn !== lookedAt) return;
    notice(error.message);
    lost = error.status !== 404;
    if (lost) timer = setTimeout(look, 4 * EVERY); else showNone();
  }
}

async function act(action) {
  try {
    await post(`/api/runs/${encodeURIComponent(name)}/${action}`, {});
    notice();
    if (action === "stop") $("stop").textContent = "Stopping …";
    clearTimeout(timer);
    timer = setTimeout(look, 300);
  } catch (error) { notice(error.message); }
}

function showNone() {
  name = null;
  delete $("training").dataset.run;
  $("training").replaceChildren(el("div", { className: "empty" }, el("p", {}, "Start a training: its progress and curves appear here.")));
}

function frame(run) {
  const button = (id, text, action, kind = "") => el("button", { id, type: "button", className: kind, hidden: true, onclick: () => act(action) }, text);
  $("training").dataset.run = run;
  $("training").replaceChildren(
    el("div", { className: "training-head" }, el("h2", { id: "training-title" }, run), el("span", { id: "training-state" }),
      button("stop", "Stop", "stop", "danger"), button("resume", "Resume", "resume", "main"),
      el("a", { id: "to-run", href: `#/runs/${encodeURIComponent(run)}`, hidden: true }, "See the run")),
    el("div", { id: "training-progress", hidden: true }, el("p", { className: "soft", id: "training-said" }),
      el("progress", { id: "training-bar", max: 1, value: 0, ariaLabel: "Progress of the training" }),
      el("p", { className: "soft small", id: "training-elsewhere", hidden: true })),
    el("dl", { className: "figures", id: "figures" }),
    el("p", { className: "notice", id: "training-error", hidden: true }), el("pre", { id: "training-output", hidden: true }),
    el("div", { className: "charts", id: "live-curves" }),
    el("p", { className: "unseen", ariaLive: "polite", id: "training-spoken" }));
}

function showTraining({ name: run, state, status, history, settings, job }) {
  if ($("training").dataset.run !== run) frame(run);
  const live = LIVE.includes(state);
  $("training-state").replaceChildren(badge(state));
  $("stop").hidden = !(live && job.own);
  if (!live) $("stop").textContent = "Stop";
  $("resume").hidden = live || job.alive || !["stopped", "interrupted"].includes(state);
  $("to-run").hidden = live || !settings;
  $("training-progress").hidden = !live;
  $("training-elsewhere").hidden = job.own;
  $("training-elsewhere").textContent = `This studio didn't start it: stop it with Ctrl+C where it runs, or end its process, ${status.pid}.`;
  const { epoch = 0, epochs, step = 0, steps } = status;
  const whole = epochs && steps ? (Math.max(0, epoch - 1) + step / steps) / epochs : null;
  $("training-said").textContent = state === "preparing" ? "Reading data and building the network …"
    : `Epoch ${epoch}${epochs ? ` of ${epochs}` : ""}${steps ? `, step ${step} of ${steps}` : ""}`;
  if (whole === null) $("training-bar").removeAttribute("value"); else $("training-bar").value = Math.min(1, whole);
  const logs = live ? status.logs ?? {} : Object.fromEntries(Object.entries(history).map(([key, column]) => [key, column.at(-1)]));
  $("figures").replaceChildren(...Object.entries(logs).filter(([key, value]) => key !== "epoch" && typeof value === "number")
    .map(([key, value]) => el("div", {}, el("dt", {}, key.replace(/^val_/, "validation ").replaceAll("_", " ")),
      el("dd", {}, key.endsWith("accuracy") ? percent(value, 2) : value.toPrecision(3)))));
  $("training-error").hidden = !(status.error || state === "failed");
  $("training-error").textContent = status.error || job.output?.split("\n").at(-1) || "The training ended before it was done.";
  $("training-output").hidden = state !== "failed" || !job.output;
  $("training-output").textContent = job.output ?? "";
  const done = history.epoch?.length ?? 0;
  if ($("live-curves").dataset.drawn !== `${run} ${done} ${live}`) {
    $("live-curves").dataset.drawn = `${run} ${done} ${live}`;
    curves($("live-curves"), [{ name: run, history }], SOON);
    $("live-curves").hidden = !done && !live;
    const last = history.val_accuracy?.at(-1) ?? history.accuracy?.at(-1);
    if (done) $("training-spoken").textContent = `Epoch ${done} is done${last ? `, accuracy ${(100 * last).toFixed(1)} percent` : ""}.`;
  }
}

export function start() {
  $("recipe").onchange = showRecipe;
  $("recipe-form").onsubmit = submit;
}

export async function show([run] = []) {
  try {
    if (!recipes.length) {
      ({ recipes } = await get("/api/recipes"));
      $("recipe").replaceChildren(...recipes.map((each) => el("option", { value: each.name }, each.name)));
      showRecipe();
    }
    const { runs } = await get("/api/runs");
    const shown = run ?? (runs.find((each) => each.own) ?? runs.find((each) => LIVE.includes(each.state)))?.name ?? name;
    if (shown) follow(shown); else showNone();
  } catch (error) { notice(error.message); }
}

export function hide() { clearTimeout(timer); lookedAt += 1; lost = false; }
