// Learning curves of one run, or of several beside each other.

import { lineChart } from "./charts.js";
import { el } from "./dom.js";

const points = (history, key) => (history[key] ?? []).map((y, i) => [history.epoch?.[i] ?? i + 1, y ?? NaN]);
const spoken = (key) => key.charAt(0).toUpperCase() + key.slice(1).replaceAll("_", " ");

export const SOON = "Curves appear when the first epoch is done.";

/** A panel a metric; of one run training and validation, of several runs validation where there is one. */
export function curves(root, runs, none = "No epoch was finished.") {
  const keys = [...new Set(runs.flatMap(({ history }) => Object.keys(history)))]
    .filter((key) => key !== "epoch" && !key.startsWith("val_") && !["learning_rate", "seconds", "time"].includes(key));
  const order = (key) => (key === "loss" ? 0 : key === "accuracy" ? 1 : 2);
  keys.sort((a, b) => order(a) - order(b));
  const boxes = keys.map(() => el("div"));
  // before they are filled, as a chart asks for its width
  root.replaceChildren(...boxes);
  keys.forEach((key, i) => {
    let series;
    if (runs.length === 1) {
      const [{ history }] = runs;
      series = [{ name: "training", color: 1, points: points(history, key) },
        { name: "validation", color: 2, points: points(history, `val_${key}`) }];
    } else {
      series = runs.map(({ name, history, color }) => ({ name, color,
        points: points(history, history[`val_${key}`] ? `val_${key}` : key) }));
    }
    lineChart(boxes[i], { title: spoken(key) + (runs.length > 1 ? ", validation" : ""), series });
  });
  if (!keys.length) root.replaceChildren(el("p", { className: "soft" }, none));
}
