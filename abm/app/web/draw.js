// Tools for drawing on a surface {g, w, h}: a canvas, or a recorder of SVG with the same methods. Arrays in, marks out.
import { clock, none } from "/format.js";

const NAMES = ["long", "short", "adl", "fund", "depth", "depth-edge", "treasury", "spot", "perp", "mark", "news", "forced",
  "text", "note", "axis", "grid", "band", "paper"];
const cached = {};
export const colours = () => {
  const root = document.documentElement, theme = root.dataset.theme, style = getComputedStyle(root);
  const read = (name) => [name.replace("-", "_"), style.getPropertyValue(`--${name}`).trim()];
  return (cached[theme] ||= Object.fromEntries(NAMES.map(read)));
};
export const FONT = 'Plex, "DejaVu Sans", sans-serif';
export const LEFT = 62, RIGHT = 28, TOP = 27;

export function fit(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const w = Math.max(50, Math.round(box.width)), h = Math.max(50, Math.round(box.height));
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { g, w, h };
}

export function clear(surface, c) { surface.g.fillStyle = c.paper; surface.g.fillRect(0, 0, surface.w, surface.h); }

// The part of a surface for each of `many` models side by side; the first has room for the axis.
export function columns(surface, many, top = 0) {
  const wide = surface.w / many;
  return Array.from({ length: many }, (_, i) => ({ x: i * wide, y: top, w: wide, h: surface.h - top }));
}

// Boxes below each other within an area, heights by share; a header of TOP pixels above each, `foot` below the last.
export function stack(area, shares, foot = 22) {
  const rest = Math.max(40 * shares.length, area.h - shares.length * TOP - foot), sum = shares.reduce((a, b) => a + b, 0);
  let y = area.y + TOP;
  return shares.map((share) => {
    const box = { left: area.x, x: area.x + LEFT, y, w: area.w - LEFT - RIGHT, h: (share / sum) * rest };
    y += box.h + TOP;
    return box;
  });
}

export function nice(low, high, count) {
  const span = high - low || Math.abs(high) || 1, raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((s) => s >= raw * 0.999), ticks = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) {
    ticks.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  }
  return { ticks, step };
}

export function digits_of(step) {
  let n = 0;
  while (n < 6 && Math.abs(step * 10 ** n - Math.round(step * 10 ** n)) > 1e-6) n++;
  return n;
}

export const scale = (low, high, box) => (v) => box.y + box.h - ((v - low) / (high - low || 1)) * box.h;

export function extent(lists, n, pad = 0.06) {
  let low = Infinity, high = -Infinity;
  for (const list of lists) {
    for (let i = 0, m = Math.min(n, list?.length || 0); i < m; i++) {
      const v = list[i];
      if (none(v)) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  if (low > high) return [0, 1];
  const more = high > low ? (high - low) * pad : Math.abs(high) * 0.02 || 1; // a constant: 2 % either way
  return [low - more, high + more];
}

export function text(g, words, x, y, { colour, size = 11, bold = false, align = "left", base = "alphabetic" } = {}) {
  g.font = `${bold ? 700 : 400} ${size}px ${FONT}`; g.fillStyle = colour; g.textAlign = align; g.textBaseline = base;
  g.fillText(words, x, y);
  return g.measureText(words).width;
}
export function width_of(g, words, bold = false, size = 11) {
  g.font = `${bold ? 700 : 400} ${size}px ${FONT}`;
  return g.measureText(words).width;
}

// A line of `n` points, at most four marks a half-pixel (first, lowest, highest, last): long runs draw as fast as short.
function trace(g, xs, ys, n, x, y, step) {
  let open = false, column = 0, low = 0, high = 0, last = 0;
  const flush = () => {
    if (low !== high) { g.lineTo(column, low); g.lineTo(column, high); }
    g.lineTo(column, last);
  };
  g.beginPath();
  for (let i = 0; i < n; i++) {
    const v = ys[i];
    if (none(v)) { if (open) flush(); open = false; continue; }
    const py = y(v), at = Math.round(x(xs[i]) * 2) / 2;
    if (!open) { g.moveTo(at, py); open = true; column = at; low = high = last = py; continue; }
    if (at === column) { low = Math.min(low, py); high = Math.max(high, py); last = py; continue; }
    flush();
    if (step) g.lineTo(at, last);
    g.lineTo(at, py);
    column = at; low = high = last = py;
  }
  if (open) flush();
}

export function line(g, xs, ys, n, x, y, { colour, width = 1.4, dash = [], casing = "", step = false } = {}) {
  trace(g, xs, ys, n, x, y, step);
  g.lineJoin = "round";
  if (casing) { g.setLineDash([]); g.strokeStyle = casing; g.lineWidth = width + 2.6; g.stroke(); }
  g.setLineDash(dash); g.strokeStyle = colour; g.lineWidth = width; g.stroke(); g.setLineDash([]);
}

export function area(g, xs, ys, n, x, y, y0, fill) {
  let open = false, last = 0;
  g.beginPath();
  for (let i = 0; i < n; i++) {
    if (none(ys[i])) continue;
    const px = x(xs[i]);
    if (!open) { g.moveTo(px, y0); open = true; } else if (px - last < 0.4 && i < n - 1) continue;
    g.lineTo(px, y(ys[i])); last = px;
  }
  if (!open) return;
  g.lineTo(last, y0); g.closePath(); g.fillStyle = fill; g.fill();
}

export function rule(g, x0, y0, x1, y1, colour, width = 1, dash = []) {
  g.setLineDash(dash); g.strokeStyle = colour; g.lineWidth = width;
  g.beginPath(); g.moveTo(x0, y0); g.lineTo(x1, y1); g.stroke(); g.setLineDash([]);
}

function key_mark(g, key, x, y) {
  if (key.shape === "line" || key.shape === "dash") {
    rule(g, x, y - 4, x + 14, y - 4, key.colour, 2, key.shape === "dash" ? [4, 3] : []);
  } else if (key.shape === "ring") {
    g.beginPath(); g.arc(x + 7, y - 4, 5, 0, 7); g.fillStyle = key.colour + "52"; g.fill();
    g.strokeStyle = key.colour; g.lineWidth = 1; g.stroke();
  } else if (key.shape === "hollow") {
    g.strokeStyle = key.colour; g.lineWidth = 1; g.strokeRect(x + 4.5, y - 8.5, 8, 8);
  } else { g.fillStyle = key.colour; g.fillRect(x + 4, y - 9, 9, 9); }
}

// Title, unit and legend above a box. What does not fit is left out: first the unit's explanation, behind its comma, then
// the legend, then the unit.
export function header(g, box, c, title, unit, keys = [], right = "") {
  const y = box.y - 10, end = box.x + box.w, words_w = keys.map((key) => width_of(g, key.words));
  const from = box.left + 16, titled = width_of(g, title, true, 12), room = end - from - titled - 20, brief = unit.split(/[,;]/)[0];
  let legend = words_w.reduce((a, w) => a + w + 28, 0) + (right ? width_of(g, right) + 8 : 0), said = unit;
  if (legend + width_of(g, said) > room) said = brief;
  if (legend + width_of(g, said) > room) legend = 0;
  if (!legend && width_of(g, unit) <= room) said = unit;
  text(g, title, from, y, { colour: c.perp, size: 12, bold: true });
  if (said && width_of(g, said) <= room) text(g, said, from + titled + 8, y, { colour: c.note });
  if (!legend) return;
  let x = end;
  if (right) text(g, right, x, y, { colour: c.note, align: "right" });
  for (let i = keys.length - 1; i >= 0; i--) {
    text(g, keys[i].words, x, y, { colour: c.text, align: "right" });
    x -= words_w[i] + 19; key_mark(g, keys[i], x, y); x -= 9;
  }
}

export function axis(g, box, c, y, ticks, format) {
  for (const v of ticks) {
    const py = y(v);
    if (py < box.y - 1 || py > box.y + box.h + 1) continue;
    rule(g, box.x, py, box.x + box.w, py, c.grid);
    text(g, format(v), box.x - 6, py, { colour: c.note, align: "right", base: "middle" });
  }
}

const STEPS = [5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 172800, 432000];
export function time_axis(g, box, c, about, x) {
  const most = Math.max(3, Math.floor(box.w / 80)), step = STEPS.find((s) => about.duration_s / s <= most) || 864000;
  const bottom = box.y + box.h, opening = about.start_ms / 1000;
  rule(g, box.x, bottom + 0.5, box.x + box.w, bottom + 0.5, c.axis);
  for (let s = Math.ceil(opening / step) * step - opening; s <= about.duration_s + 1e-9; s += step) {
    const ms = about.start_ms + s * 1000;
    rule(g, x(s), bottom, x(s), bottom + 4, c.axis);
    const words = step >= 86400 ? new Date(ms).toISOString().slice(5, 10) : clock(ms, step < 60);
    text(g, words, x(s), bottom + 15, { colour: c.note, align: "center" });
  }
}

export const time_scale = (about, box) => (seconds) => box.x + (seconds / Math.max(about.duration_s, 1)) * box.w;

// The tick that is shown, across the boxes.
export function cursor(g, boxes, c, px) {
  for (const box of boxes) rule(g, px, box.y, px, box.y + box.h, c.perp);
}
