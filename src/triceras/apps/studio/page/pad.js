// The drawing area: mouse, touch, pen or keyboard make strokes, lists of points between 0 and 1.

import { notice } from "./dom.js";

const PEN = 0.072; // width of a stroke, as a part of the area
const STEP = 0.02; // of the keyboard's pen
const NEAR = 0.004; // points that are closer are left out
const MOST = 4000; // points of a drawing, more than a hand makes

export class Pad {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.strokes = [];
    this.image = null;
    this.pens = new Map(); // of each pointer that is down, its stroke
    this.cursor = null;    // of the keyboard
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => { this.cursor = null; this.paint(); });
    this.paint();
  }

  clear() { this.strokes = []; this.image = null; this.pens.clear(); this.#lift(); this.#tell(); }
  undo() { this.strokes.pop(); this.image = null; this.pens.clear(); this.#lift(); this.#tell(); }
  show(image) { this.strokes = []; this.image = image; this.paint(); }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    const part = (value) => Math.min(1, Math.max(0, value));
    const round = (value) => Math.round(value * 1e4) / 1e4;
    return [round(part((event.clientX - box.left) / box.width)), round(part((event.clientY - box.top) / box.height))];
  }

  #down(event) {
    if (event.button) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    try { this.canvas.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone already */ }
    this.#begin(event.pointerId, this.#at(event), event);
  }

  #begin(pen, point, event) {
    if (this.points >= MOST) return notice("The drawing is full: undo or clear something to go on.");
    this.image = null;
    const stroke = [point];
    stroke.pressure = event?.pointerType === "pen" && event.pressure ? [event.pressure] : null;
    this.strokes.push(stroke);
    this.pens.set(pen, stroke);
    this.#tell();
  }

  #move(event) {
    const stroke = this.pens.get(event.pointerId);
    if (!stroke) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      const point = this.#at(each), last = stroke.at(-1);
      if (Math.hypot(point[0] - last[0], point[1] - last[1]) < NEAR || this.points >= MOST) continue;
      stroke.push(point);
      stroke.pressure?.push(each.pressure);
    }
    this.#tell();
  }

  #up(event) {
    if (this.pens.has(event.pointerId)) { this.#move(event); this.pens.delete(event.pointerId); }
  }

  #lift() { this.pens.delete("keyboard"); }

  #key(event) {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const key = event.key.toLowerCase(), command = event.ctrlKey || event.metaKey;
    if (event.altKey || (command && key !== "z")) return;
    if (move) {
      const [x, y] = this.cursor ?? [0.5, 0.5], clip = (v) => Math.round(1e4 * Math.min(0.98, Math.max(0.02, v))) / 1e4;
      this.cursor = [clip(x + move[0] * STEP), clip(y + move[1] * STEP)];
      const stroke = this.pens.get("keyboard");
      if (stroke && this.points < MOST) { stroke.push(this.cursor); this.#tell(); } else this.paint();
    } else if (event.key === " ") {
      this.cursor ??= [0.5, 0.5];
      if (this.pens.has("keyboard")) { this.#lift(); this.paint(); } else this.#begin("keyboard", this.cursor);
    } else if (key === "c" || key === "delete") this.clear();
    else if (key === "z" || key === "backspace") this.undo();
    else return;
    event.preventDefault();
  }

  get points() { return this.strokes.reduce((sum, stroke) => sum + stroke.length, 0); }

  #tell() { this.paint(); this.changed(this.strokes); }

  /** Once a frame, however many events there are. */
  paint() {
    this.frame ??= requestAnimationFrame(() => { this.frame = null; this.#draw(); });
  }

  #draw() {
    const { canvas } = this, size = canvas.width, context = canvas.getContext("2d");
    context.fillStyle = "#101314";
    context.fillRect(0, 0, size, size);
    if (this.image) {
      const scale = Math.min(size / this.image.width, size / this.image.height);
      const [w, h] = [this.image.width * scale, this.image.height * scale];
      context.imageSmoothingEnabled = scale < 3;
      context.drawImage(this.image, (size - w) / 2, (size - h) / 2, w, h);
    }
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = context.fillStyle = "#f6f4ef";
    for (const stroke of this.strokes) this.#ink(context, stroke, size);
    if (this.cursor) {
      context.lineWidth = 2;
      context.strokeStyle = this.pens.has("keyboard") ? "#5fcab4" : "#8b9296";
      context.beginPath();
      context.arc(this.cursor[0] * size, this.cursor[1] * size, (PEN * size) / 2 + 3, 0, 7);
      context.stroke();
    }
  }

  #ink(context, stroke, size) {
    const width = (i) => PEN * size * (stroke.pressure ? 0.6 + 0.8 * (stroke.pressure[i] || 0.5) : 1);
    if (stroke.length === 1) {
      context.beginPath();
      context.arc(stroke[0][0] * size, stroke[0][1] * size, width(0) / 2, 0, 7);
      context.fill();
      return;
    }
    context.lineWidth = width(0);
    context.beginPath();
    context.moveTo(stroke[0][0] * size, stroke[0][1] * size);
    stroke.slice(1).forEach(([x, y], i) => {
      context.lineTo(x * size, y * size);
      if (stroke.pressure) { // a width of its own for each piece
        context.lineWidth = width(i + 1);
        context.stroke();
        context.beginPath();
        context.moveTo(x * size, y * size);
      }
    });
    context.stroke();
  }
}
