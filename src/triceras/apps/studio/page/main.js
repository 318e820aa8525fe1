// Which part of the page is shown, the chosen model, and light or dark.

import { get } from "./api.js";
import * as draw from "./draw.js";
import { $, el, notice } from "./dom.js";
import * as inside from "./inside.js";
import * as runs from "./runs.js";
import { change, state } from "./state.js";
import * as train from "./train.js";

const PARTS = { draw, inside, train, runs };

function route() {
  const [, name, ...rest] = location.hash.split("/");
  const part = PARTS[name] ? name : "draw";
  for (const each of Object.keys(PARTS)) $(each).hidden = each !== part;
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.hash === `#/${part}`) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  $("with-model").hidden = !["draw", "inside"].includes(part);
  notice();
  for (const [each, { hide }] of Object.entries(PARTS)) if (each !== part) hide?.();
  if (part === "draw" || part === "inside") loadModels();
  PARTS[part].show?.(rest.map(decoded));
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

/** Says what is wrong with a model, while a part is shown that uses it. */
function complain(error) {
  if (!$("with-model").hidden) notice(error.message);
}

async function loadModels() {
  try {
    const { models } = await get("/api/models");
    const select = $("model"), wanted = select.value || localStorage.getItem("model");
    select.replaceChildren(...models.map(({ id, name }) => el("option", { value: id }, name)));
    if (!models.length) {
      select.append(el("option", { value: "" }, "none yet"));
      $("model-facts").replaceChildren(el("a", { href: "#/train" }, "Train a network first"));
    }
    if (models.some(({ id }) => id === wanted)) select.value = wanted;
    if (select.value === state.model) return;
    const first = !models.some(({ id }) => id === wanted);
    while (!await choose(select.value) && first && select.selectedIndex + 1 < models.length) select.selectedIndex += 1;
  } catch (error) { complain(error); }
}

/** Opens a model; returns whether it can be used. */
async function choose(model) {
  change({ model: "", facts: null });
  if (!model) return false;
  $("model-facts").textContent = "Opening …";
  try {
    const facts = await get(`/api/model?${new URLSearchParams({ model })}`);
    if ($("model").value !== model) return true;
    notice();
    localStorage.setItem("model", model);
    const [height, width] = facts.size;
    $("model-facts").textContent = `${facts.classes.length} classes · ${width} × ${height} `
      + `${facts.channels === 1 ? "gray" : "colour"} · ${facts.parameters.toLocaleString()} weights`;
    change({ model, facts, centre: facts.digits });
    return true;
  } catch (error) {
    // another one was chosen meanwhile
    if ($("model").value !== model) return true;
    $("model-facts").textContent = "";
    complain(error);
    return false;
  }
}

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)"), button = $("theme");
  let chosen = localStorage.getItem("theme");
  const apply = () => {
    if (chosen) document.documentElement.dataset.theme = chosen;
    const now = chosen ?? (dark.matches ? "dark" : "light");
    button.textContent = now === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Change to the ${now === "dark" ? "light" : "dark"} theme`);
  };
  button.onclick = () => {
    chosen = (chosen ?? (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
    localStorage.setItem("theme", chosen);
    apply();
  };
  dark.addEventListener("change", apply);
  apply();
}

theme();
$("model").onchange = (event) => choose(event.target.value);
for (const part of Object.values(PARTS)) part.start();
document.querySelector(".skip").onclick = (event) => { event.preventDefault(); $("content").focus(); };
addEventListener("hashchange", () => { route(); scrollTo(0, 0); });
route();
