// What the page asks of the server. Every request carries the token that the server put into the page.

const TOKEN = document.querySelector('meta[name="triceras-token"]').content;

async function request(path, { method = "GET", json, body } = {}) {
  const headers = { "x-triceras-token": TOKEN };
  if (json !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: json === undefined ? body : JSON.stringify(json) });
  } catch {
    throw new Error("The studio doesn't answer. Is it still running in the terminal?");
  }
  if (answer.ok) return answer;
  const error = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(error.error || `The studio answered with an error (${answer.status}).`),
    { status: answer.status });
}

export const get = async (path) => (await request(path)).json();
export const post = async (path, json) => (await request(path, { method: "POST", json })).json();
export const picture = async (path) => URL.createObjectURL(await (await request(path)).blob());

/** Sends what was drawn or uploaded. */
export async function send(path, input, model, centre) {
  const query = new URLSearchParams({ model, centre: centre ? "1" : "0" });
  const options = input.blob ? { body: input.blob } : { json: { strokes: input.strokes } };
  return (await request(`${path}?${query}`, { method: "POST", ...options })).json();
}
