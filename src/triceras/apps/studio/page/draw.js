// The part "Draw": strokes or a picture go out, probabilities come back while one draws.

import { send } from "./api.js";
import { paintPixels } from "./charts.js";
import { $, debounced, el, latest, notice, percent } from "./dom.js";
import { Pad } from "./pad.js";
import { change, onChange, state } from "./state.js";

const FEW = 12; // classes that are all shown, in their order; of more, the likeliest ten

const pad = new Pad($("pad"), (strokes) => {
  forget();
  $("pad-hint").hidden = strokes.length > 0;
  change({ input: strokes.length ? { strokes } : null });
});

function forget() {
  if (state.input?.url) URL.revokeObjectURL(state.input.url);
}

const speak = debounced((text) => { $("spoken").textContent = text; }, 600);

const predict = latest(async () => {
  const { input, model, centre, version } = state;
  if (!input || !model) return;
  const began = performance.now(), slow = setTimeout(() => { $("best-how").textContent = "Thinking …"; }, 500);
  try {
    const answer = await send("/api/predict", input, model, centre);
    if (!state.input || model !== state.model) return;
    notice();
    showAnswer(answer, performance.now() - began);
    $("bars").dataset.version = version;
  } catch (error) {
    notice(error.message);
    $("best-how").textContent = "";
  } finally {
    clearTimeout(slow);
  }
});

function showAnswer({ classes, probabilities, order, seen }, milliseconds) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  $("best-class").textContent = classes[best];
  $("best-class").classList.toggle("word", classes[best].length > 2);
  $("best-class").style.setProperty("--letters", Math.max(...classes[best].split(/[\s_-]/).map((word) => word.length)));
  $("best-how").textContent = percent(probabilities[best]);
  $("bars").dataset.milliseconds = milliseconds.toFixed(1);
  showBars(classes, probabilities, best, order);
  paintPixels($("seen"), seen);
  $("seen-text").textContent = `${seen.width} × ${seen.height} pixels, ${seen.channels === 1 ? "gray" : "in colour"}. `
    + `Answered in ${milliseconds.toFixed(0)} ms.`;
  speak(`${classes[best]}, ${percent(probabilities[best], 0)}`);
}

function showBars(classes, probabilities, best, order) {
  const list = $("bars");
  const shown = order ?? classes.map((_, i) => i);
  list.parentElement.classList.toggle("words", shown.some((index) => classes[index].length > 8));
  while (list.children.length > shown.length) list.lastChild.remove();
  while (list.children.length < shown.length) {
    list.append(el("li", {}, el("span", { className: "name" }), el("span", { className: "track" },
      el("span", { className: "fill" })), el("span", { className: "number" })));
  }
  shown.forEach((index, row) => {
    const [name, track, number] = list.children[row].children;
    name.textContent = classes[index];
    name.title = classes[index];
    track.firstChild.style.transform = `scaleX(${probabilities[index]})`;
    number.textContent = percent(probabilities[index]);
    list.children[row].classList.toggle("first", index === best);
  });
}

function showNothing() {
  $("best-class").textContent = "–";
  $("best-class").classList.remove("word");
  const none = $("model").options.length && !$("model").value;
  $("best-how").textContent = state.model ? "Waiting for a drawing" : none ? "No model yet" : "";
  $("spoken").textContent = "";
  const classes = state.facts?.classes ?? [];
  showBars(classes.slice(0, FEW), classes.slice(0, FEW).map(() => 0), -1);
  for (const number of $("bars").querySelectorAll(".number")) number.textContent = "";
  const canvas = $("seen");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  $("seen-text").textContent = "Each picture is brought to the size that the network was trained on.";
}

async function take(file) {
  if (!file) return;
  forget();
  const url = URL.createObjectURL(file), image = new Image();
  image.src = url;
  $("pad-hint").hidden = true;
  await image.decode().then(() => pad.show(image), () => pad.show(null)); // the server says what is wrong with it
  change({ input: { blob: file, url } });
}

export function start() {
  $("clear").onclick = () => pad.clear();
  $("undo").onclick = () => pad.undo();
  $("centre").onchange = (event) => change({ centre: event.target.checked });
  for (const id of ["file", "camera"]) {
    $(id).onchange = (event) => { take(event.target.files[0]); event.target.value = ""; };
  }
  const drop = $("drop");
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    if (file && !$("draw").hidden) take(file);
  });
  onChange((names) => {
    if (names.includes("facts")) {
      $("centre").checked = state.centre;
      $("centre-row").hidden = state.facts?.channels !== 1;
      $("pad-what").textContent = state.facts?.digits ? "Draw a digit here" : "Draw here";
    }
    if (names.includes("input") && state.input?.strokes !== pad.strokes && state.input?.strokes) {
      pad.image = null; // an example, taken elsewhere
      pad.strokes = state.input.strokes;
      pad.paint();
      $("pad-hint").hidden = true;
    }
    if (state.input && state.model) predict(); else showNothing();
  });
  showNothing();
}
