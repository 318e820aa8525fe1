// What the parts of the page share: the chosen model and the picture at hand.

export const state = {
  model: "",       // id
  facts: null,     // what the server says about it: classes, size, channels
  input: null,     // { strokes } or { blob, url }
  centre: true,
  version: 0,      // counts changes of any of these
};

const listeners = new Set();
export const onChange = (listener) => listeners.add(listener);

export function change(values) {
  Object.assign(state, values);
  state.version += 1;
  for (const listener of listeners) listener(Object.keys(values));
}

/** A 3, as a hand draws it, for those who have nothing at hand. */
export const EXAMPLE = [[[.32, .30], [.36, .24], [.43, .20], [.52, .19], [.60, .22], [.65, .28], [.65, .35], [.61, .41],
  [.54, .46], [.46, .48], [.54, .49], [.62, .53], [.67, .59], [.68, .67], [.64, .74], [.57, .79], [.48, .81], [.39, .79],
  [.33, .74], [.30, .69]]];

/** Goes on to draw with a model. */
export function useModel(model) {
  localStorage.setItem("model", model);
  document.getElementById("model").value = "";
  location.hash = "#/draw";
}
