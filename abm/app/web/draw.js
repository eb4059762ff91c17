// Drawing on the canvas: panels over one time axis. Arrays in, pixels out; nothing is computed that is shown as a number.
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const NAMES = ["long", "short", "adl", "fund", "depth", "depth-edge", "treasury", "spot", "perp", "mark", "news", "forced",
  "text", "note", "axis", "grid", "band", "paper"];
const cached = {};
export const colours = () => {
  const theme = document.documentElement.dataset.theme;
  return (cached[theme] ||= Object.fromEntries(NAMES.map((name) => [name.replace("-", "_"), css(name)])));
};
const FONT = 'Plex, "DejaVu Sans", sans-serif';
const LEFT = 46, RIGHT = 28;

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

export const clock = (ms, seconds = true) => new Date(ms).toISOString().slice(11, seconds ? 19 : 16);
export const minus = (text) => String(text).replace("-", "−");
export function short(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const text = size >= 1000 ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : Number(value.toPrecision(digits)).toString();
  return minus(text);
}

export function nice(low, high, count) {
  const span = high - low || Math.abs(high) || 1, raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((s) => s >= raw * 0.999), found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) found.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return { ticks: found, step };
}

export const digits_of = (step) => { let n = 0; while (n < 6 && Math.abs(step * 10 ** n - Math.round(step * 10 ** n)) > 1e-6) n++; return n; };

export function text(g, words, x, y, { colour, size = 11, bold = false, align = "left", base = "alphabetic" } = {}) {
  g.font = `${bold ? 700 : 400} ${size}px ${FONT}`; g.fillStyle = colour; g.textAlign = align; g.textBaseline = base;
  g.fillText(words, x, y);
  return g.measureText(words).width;
}

// Lines: at most two points a pixel (lowest and highest), so that a long run is drawn as fast as a short one.
export function line(g, xs, ys, n, x, y, { colour, width = 1.4, dash = [], casing = "", step = false } = {}) {
  const path = () => {
    g.beginPath();
    let open = false, column = -1e9, low = 0, high = 0, last = 0;
    const flush = () => { if (column > -1e8) { if (low !== high) { g.lineTo(column, low); g.lineTo(column, high); } g.lineTo(column, last); } };
    for (let i = 0; i < n; i++) {
      const v = ys[i];
      if (v === null || v === undefined) { flush(); open = false; column = -1e9; continue; }
      const px = x(xs[i]), py = y(v), at = Math.round(px * 2) / 2;
      if (!open) { g.moveTo(px, py); open = true; column = at; low = high = last = py; continue; }
      if (at === column) { low = Math.min(low, py); high = Math.max(high, py); last = py; continue; }
      flush();
      if (step) g.lineTo(at, last);
      column = at; low = high = last = py;
      g.lineTo(at, py);
    }
    flush();
  };
  if (casing) { path(); g.setLineDash([]); g.strokeStyle = casing; g.lineWidth = width + 2.6; g.stroke(); }
  path(); g.setLineDash(dash); g.strokeStyle = colour; g.lineWidth = width; g.lineJoin = "round"; g.stroke(); g.setLineDash([]);
}

export function area(g, xs, ys, n, x, y, y0, fill) {
  g.beginPath(); let open = false, lastX = 0;
  for (let i = 0; i < n; i++) {
    if (ys[i] === null || ys[i] === undefined) continue;
    const px = x(xs[i]);
    if (!open) { g.moveTo(px, y0); open = true; } else if (px - lastX < 0.4 && i < n - 1) continue;
    g.lineTo(px, y(ys[i])); lastX = px;
  }
  if (!open) return;
  g.lineTo(lastX, y0); g.closePath(); g.fillStyle = fill; g.fill();
}

export function header(g, box, c, title, unit, keys = [], right = "") {
  const at = LEFT - 46, y = box.y - 7;
  const w = text(g, title, at + 4, y, { colour: c.perp, size: 12, bold: true });
  text(g, unit, at + 12 + w, y, { colour: c.note });
  let x = box.x + box.w;
  if (right) text(g, right, x, y, { colour: c.note, align: "right" });
  for (const key of [...keys].reverse()) {
    const width = (g.font = `400 11px ${FONT}`, g.measureText(key.words).width);
    text(g, key.words, x, y, { colour: c.text, align: "right" });
    x -= width + 5;
    if (key.shape === "line" || key.shape === "dash") {
      g.strokeStyle = key.colour; g.lineWidth = 2; g.setLineDash(key.shape === "dash" ? [4, 3] : []);
      g.beginPath(); g.moveTo(x - 14, y - 4); g.lineTo(x, y - 4); g.stroke(); g.setLineDash([]); x -= 14;
    } else if (key.shape === "ring") {
      g.beginPath(); g.arc(x - 6, y - 4, 5, 0, 7); g.fillStyle = key.colour + "52"; g.fill(); g.strokeStyle = key.colour; g.lineWidth = 1; g.stroke(); x -= 12;
    } else { g.fillStyle = key.colour; g.fillRect(x - 9, y - 9, 9, 9); x -= 9; }
    x -= 12;
  }
}

function axis(g, box, c, y, ticks, format) {
  for (const v of ticks) {
    const py = y(v);
    if (py < box.y - 1 || py > box.y + box.h + 1) continue;
    g.strokeStyle = c.grid; g.lineWidth = 1; g.beginPath(); g.moveTo(box.x, py); g.lineTo(box.x + box.w, py); g.stroke();
    text(g, format(v), box.x - 6, py, { colour: c.note, align: "right", base: "middle" });
  }
}

const scale = (low, high, box) => (v) => box.y + box.h - ((v - low) / (high - low || 1)) * box.h;
const extent = (lists, n, pad = 0.06) => {
  let low = Infinity, high = -Infinity;
  for (const list of lists) for (let i = 0; i < n; i++) { const v = list?.[i]; if (v !== null && v !== undefined) { if (v < low) low = v; if (v > high) high = v; } }
  if (low > high) return [0, 1];
  const more = (high - low || Math.abs(high) * 0.001 || 1) * pad;
  return [low - more, high + more];
};

// The Market tab. Returns the time scale, for the pointer.
export function market(canvas, run, view) {
  const { g, w, h } = fit(canvas), c = colours(), arm = run.arms[0], d = arm.columns, n = view.upto, about = run.about;
  g.fillStyle = c.paper; g.fillRect(0, 0, w, h);
  const rest = Math.max(220, h - 5 * 26 - 22), share = [184, 66, 62, 40, 46].map((v) => (v / 398) * rest), boxes = [];
  let top = 26;
  for (const height of share) { boxes.push({ x: LEFT + 16, y: top, w: w - LEFT - RIGHT - 16, h: height }); top += height + 26; }
  const t1 = Math.max(about.duration_s, 1), x = (s) => boxes[0].x + (s / t1) * boxes[0].w, xs = d.seconds;
  const bottom = boxes[4].y + boxes[4].h;
  price(g, boxes[0], c, run, n, x, view);
  forced(g, boxes[1], c, run, n, x);
  ribbon(g, boxes[2], c, run, n, x);
  interest(g, boxes[3], c, run, n, x);
  fund(g, boxes[4], c, run, n, x);
  timeAxis(g, boxes[4], c, about, x, bottom);
  for (const item of arm.news) {
    const px = x(item.seconds);
    g.strokeStyle = c.news; g.lineWidth = 1; g.setLineDash([4, 3]); g.beginPath();
    for (const box of boxes) { g.moveTo(px, box.y); g.lineTo(px, box.y + box.h); }
    g.stroke(); g.setLineDash([]);
  }
  newsLabels(g, boxes[0], c, arm.news, x, about);
  if (n && view.cursor >= 0 && !view.follow) {
    g.strokeStyle = c.perp; g.lineWidth = 1; g.beginPath();
    for (const box of boxes) { g.moveTo(x(xs[view.cursor]), box.y); g.lineTo(x(xs[view.cursor]), box.y + box.h); }
    g.stroke();
  }
  return { from: boxes[0].x, width: boxes[0].w, duration: t1 };
}

function newsLabels(g, box, c, news, x, about) {
  const free = [-1e9, -1e9, -1e9];
  for (const item of [...news].sort((a, b) => a.seconds - b.seconds)) {
    const words = `${item.label} ${clock(about.start_ms + item.seconds * 1000, about.duration_s < 1000)}`, px = x(item.seconds);
    g.font = `700 11px ${FONT}`;
    const width = g.measureText(words).width, right = px + 5 + width > box.x + box.w, from = right ? px - 5 - width : px + 5, row = free.findIndex((at) => from > at);
    if (row < 0) continue;
    g.fillStyle = c.paper + "cc"; g.fillRect(from - 2, box.y + 1 + row * 13, width + 4, 12);
    text(g, words, from, box.y + 10 + row * 13, { colour: c.news, bold: true });
    free[row] = from + width + 10;
  }
}

function price(g, box, c, run, n, x, view) {
  const arm = run.arms[0], d = arm.columns, other = run.arms[1]?.columns;
  const lists = [d.perp_usd, d.mark_usd, d.spot_usd, d.perp_low_usd, d.perp_high_usd, ...(other ? [other.perp_usd] : [])];
  let [low, high] = extent(lists, n, 0.05);
  const span = high - low; low -= span * (arm.bubbles.size ? 0.42 : 0.08); high += span * 0.1;
  const y = scale(low, high, box), { ticks, step } = nice(low / 1000, high / 1000, 4);
  const digits = digits_of(step);
  header(g, box, c, "Price", "thousand USD", other
    ? [{ shape: "line", colour: c.perp, words: "as it is" }, { shape: "dash", colour: c.adl, words: "changed" }, { shape: "ring", colour: c.long, words: "longs liquidated" }, { shape: "ring", colour: c.short, words: "shorts" }]
    : [{ shape: "line", colour: c.perp, words: "perpetual" }, { shape: "dash", colour: c.mark, words: "mark" }, { shape: "line", colour: c.spot, words: "spot" }, { shape: "ring", colour: c.long, words: "longs liquidated" }, { shape: "ring", colour: c.short, words: "shorts" }]);
  axis(g, box, c, (v) => y(v * 1000), ticks, (v) => v.toFixed(digits));
  if (!n) { text(g, "press play", box.x + box.w / 2, box.y + box.h / 2, { colour: c.note, size: 13, align: "center" }); return; }
  g.save(); g.beginPath(); g.rect(box.x - 2, box.y - 4, box.w + RIGHT, box.h + 8); g.clip();
  bubbles(g, box, c, run, x, y, d.seconds[n - 1]);
  line(g, d.seconds, d.spot_usd, n, x, y, { colour: c.spot, width: 1 });
  line(g, d.seconds, d.mark_usd, n, x, y, { colour: c.mark, width: 1.6, dash: [4, 3] });
  line(g, d.seconds, d.perp_usd, n, x, y, { colour: c.perp, width: 1.8, casing: c.paper });
  if (other) line(g, other.seconds, other.perp_usd, Math.min(n, other.perp_usd.length), x, y, { colour: c.adl, width: 1.8, dash: [6, 3], casing: c.paper });
  g.restore();
}

function bubbles(g, box, c, run, x, y, until) {
  const { bubbles: bins } = run.arms[0], length = run.about.bubble_s, all = [];
  for (const [bin, long, short_, , low, high] of bins.values()) {
    if (bin * length >= until) continue;
    if (long > 0) all.push({ at: (bin + 0.5) * length, usd: long, price: low, side: 1 });
    if (short_ > 0) all.push({ at: (bin + 0.5) * length, usd: short_, price: high, side: -1 });
  }
  if (!all.length) return;
  const most = Math.max(...all.map((b) => b.usd)), k = (box.h / 6) / Math.sqrt(most);
  for (const b of all.sort((p, q) => q.usd - p.usd)) {
    const colour = b.side > 0 ? c.long : c.short, r = k * Math.sqrt(b.usd), px = x(Math.min(b.at, until));
    if (b.usd < most * 0.01) { g.fillStyle = colour; g.fillRect(px, box.y + box.h - 4, 1, 5); continue; }
    const py = y(b.price) + b.side * (r + 3);
    g.beginPath(); g.arc(px, Math.min(Math.max(py, box.y + r * 0.2), box.y + box.h - r * 0.2), r, 0, 7);
    g.fillStyle = colour + "52"; g.fill(); g.strokeStyle = colour; g.lineWidth = 0.7; g.stroke();
  }
  const power = 10 ** Math.floor(Math.log10(most)), sizes = [power * (most / power >= 5 ? 5 : most / power >= 2 ? 2 : 1), power / 10].filter((v) => k * Math.sqrt(v) > 2);
  const free = run.arms[0].news.length ? 0.32 : 0.1;
  sizes.forEach((usd, i) => {
    const r = k * Math.sqrt(usd), px = box.x + 8 + k * Math.sqrt(sizes[0]) + box.w * free * 0, py = box.y + box.h - 8 - r;
    g.beginPath(); g.arc(px, py, r, 0, 7); g.strokeStyle = c.note; g.lineWidth = 0.8; g.stroke();
    text(g, `${short(usd / 1e6)} $M${i ? "" : ` in ${run.about.bubble_s} s`}`, px + k * Math.sqrt(sizes[0]) + 6, py - r + 4 , { colour: c.note, base: "middle" });
  });
}

function forced(g, box, c, run, n, x) {
  const bins = [...run.arms[0].bars.values()], length = run.about.bar_s, until = n ? run.arms[0].columns.seconds[n - 1] : 0;
  const shown = bins.filter((b) => b[0] * length < until);
  const high = Math.max(1e-9, ...shown.map((b) => b[1] + b[3])) / 1e6, low = Math.max(0, ...shown.map((b) => b[2])) / 1e6;
  const top = shown.length ? high * 1.05 : 1, y = scale(-Math.max(low * 1.05, top * 0.08), top, box);
  header(g, box, c, "Liquidated", `$ million in ${length} s, in the book or taken over`, [{ colour: c.long, words: "longs" }, { colour: c.short, words: "shorts" }, { colour: c.adl, words: "ADL" }]);
  axis(g, box, c, y, nice(-low, top, 3).ticks, (v) => short(Math.abs(v)));
  const wide = Math.max(1.5, (length / run.about.duration_s) * box.w - 1);
  for (const [bin, long, short_, adl] of shown) {
    const px = x(bin * length) + 0.5, bar = (from, to, colour) => { g.fillStyle = colour; g.fillRect(px, Math.min(y(from), y(to)), wide, Math.abs(y(from) - y(to))); };
    bar(0, long / 1e6, c.long); bar(long / 1e6, (long + adl) / 1e6, c.adl); bar(0, -short_ / 1e6, c.short);
  }
  g.strokeStyle = c.forced; g.lineWidth = 1; g.beginPath(); g.moveTo(box.x, y(0)); g.lineTo(box.x + box.w, y(0)); g.stroke();
}

function ribbon(g, box, c, run, n, x) {
  const d = run.arms[0].columns, mid = box.y + box.h / 2, normal = run.about.depth_normal_usd / 1e6;
  let most = normal; for (let i = 0; i < n; i++) most = Math.max(most, (d.depth_bid_usd[i] || 0) / 1e6, (d.depth_ask_usd[i] || 0) / 1e6);
  const reach = (v) => (Math.log10(Math.max(v / 1e6, 1)) / Math.log10(Math.max(most * 1.05, 10))) * (box.h / 2);
  header(g, box, c, "Depth within 1 %", "$ million, log from the centre; a pinch is a vacuum", [{ colour: c.depth + "80", words: "asks" }, { colour: c.depth, words: "bids" }]);
  for (const side of [-1, 1]) {
    const ys = side < 0 ? d.depth_ask_usd : d.depth_bid_usd, y = (v) => mid + side * reach(v);
    area(g, d.seconds, ys, n, x, y, mid, side < 0 ? c.depth + "80" : c.depth);
    line(g, d.seconds, ys, n, x, y, { colour: c.depth_edge, width: 0.8 });
    const py = mid + side * reach(normal * 1e6);
    g.setLineDash([3, 3]); g.strokeStyle = c.note; g.lineWidth = 0.8; g.beginPath(); g.moveTo(box.x, py); g.lineTo(box.x + box.w, py); g.stroke(); g.setLineDash([]);
    text(g, short(normal), box.x - 6, py, { colour: c.note, align: "right", base: "middle" });
  }
  text(g, "1", box.x - 6, mid, { colour: c.note, align: "right", base: "middle" });
  g.strokeStyle = c.paper; g.lineWidth = 1; g.beginPath(); g.moveTo(box.x, mid); g.lineTo(box.x + box.w, mid); g.stroke();
  text(g, `normal ${short(normal)}`, box.x + box.w, mid + reach(normal * 1e6) - 4, { colour: c.note, align: "right" });
}

function interest(g, box, c, run, n, x) {
  const d = run.arms[0].columns, other = run.arms[1]?.columns, [low, high] = extent([d.open_interest_usd, other?.open_interest_usd], n, 0.15), y = scale(low, high, box);
  const { ticks, step } = nice(low / 1e9, high / 1e9, 3), digits = digits_of(step);
  const at = n ? d.funding_bp_8h[n - 1] : null;
  header(g, box, c, "Open interest", "$ billion, at the mark", [], at === null ? "" : `funding indicated ${at >= 0 ? "+" : ""}${minus(at.toFixed(2))} bp per 8 h`);
  axis(g, box, c, (v) => y(v * 1e9), ticks, (v) => v.toFixed(digits));
  line(g, d.seconds, d.open_interest_usd, n, x, y, { colour: c.perp, width: 1.8 });
  if (other) line(g, other.seconds, other.open_interest_usd, Math.min(n, other.seconds.length), x, y, { colour: c.adl, width: 1.5, dash: [6, 3] });
}

function fund(g, box, c, run, n, x) {
  const d = run.arms[0].columns, other = run.arms[1]?.columns;
  let [low, high] = extent([d.fund_usd, other?.fund_usd], n, 0.2); if (n) low = Math.min(low, high - Math.abs(high) * 0.02);
  const y = scale(low, high, box), { ticks, step } = nice(low / 1e9, high / 1e9, 3), digits = digits_of(step);
  header(g, box, c, "Insurance fund", "$ billion, equity at the mark", [{ colour: c.fund, words: "fund" }, { colour: c.adl, words: "ADL in a tick" }]);
  axis(g, box, c, (v) => y(v * 1e9), ticks, (v) => v.toFixed(digits));
  area(g, d.seconds, d.fund_usd, n, x, y, box.y + box.h, c.fund + "26");
  line(g, d.seconds, d.fund_usd, n, x, y, { colour: c.fund, width: 1.8 });
  if (other) line(g, other.seconds, other.fund_usd, Math.min(n, other.seconds.length), x, y, { colour: c.adl, width: 1.5, dash: [6, 3] });
  g.fillStyle = c.adl; let before = -9;
  for (let i = 0; i < n; i++) if (d.adl_usd[i] > 0) { const px = Math.round(x(d.seconds[i])); if (px > before) { g.fillRect(px - 1, box.y + box.h - 12, 2, 12); before = px; } }
}

function timeAxis(g, box, c, about, x, bottom) {
  const steps = [5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 172800, 432000];
  const step = steps.find((s) => about.duration_s / s <= 8) || 864000;
  g.strokeStyle = c.axis; g.lineWidth = 1; g.beginPath(); g.moveTo(box.x, bottom + 0.5); g.lineTo(box.x + box.w, bottom + 0.5); g.stroke();
  const first = Math.ceil(about.start_ms / 1000 / step) * step - about.start_ms / 1000;
  for (let s = first; s <= about.duration_s + 1e-9; s += step) {
    const px = x(s), day = step >= 86400;
    g.beginPath(); g.moveTo(px, bottom); g.lineTo(px, bottom + 4); g.stroke();
    const words = day ? new Date(about.start_ms + s * 1000).toISOString().slice(5, 10) : clock(about.start_ms + s * 1000, step < 60);
    text(g, words, px, bottom + 15, { colour: c.note, align: "center" });
  }
}

// Book: bars of coins by distance from the mid; makers in their tint, others grey.
export function book(canvas, data) {
  const { g, w, h } = fit(canvas), c = colours();
  g.fillStyle = c.paper; g.fillRect(0, 0, w, h);
  const box = { x: LEFT + 16, y: 46, w: w - LEFT - RIGHT - 16, h: h - 100 }, e = data.edges_percent, top = e[e.length - 1];
  const all = [...data.bids.makers.map((v, i) => v + data.bids.others[i]), ...data.asks.makers.map((v, i) => v + data.asks.others[i])];
  const most = Math.max(1e-9, ...all) * 1.05, y = scale(0, most, box), x = (p) => box.x + ((p + top) / (2 * top)) * box.w;
  header(g, box, c, "Resting orders", "BTC by distance from the middle price", [{ colour: c.depth, words: "makers" }, { colour: c.spot, words: "everybody else" }]);
  text(g, `bids (${data.bids.orders} orders)`, box.x, box.y + 10, { colour: c.note }); text(g, `asks (${data.asks.orders} orders)`, box.x + box.w, box.y + 10, { colour: c.note, align: "right" });
  axis(g, box, c, y, nice(0, most, 5).ticks, (v) => short(v));
  for (const [side, name] of [[-1, "bids"], [1, "asks"]]) for (let i = 0; i < e.length - 1; i++) {
    const [a, b] = [x(side * e[i]), x(side * e[i + 1])], from = Math.min(a, b) + 0.5, wide = Math.abs(b - a) - 1, made = data[name].makers[i], rest = data[name].others[i];
    g.fillStyle = c.depth; g.fillRect(from, y(made), wide, y(0) - y(made)); g.strokeStyle = c.depth_edge; g.lineWidth = 1;
    g.beginPath(); g.moveTo(from, y(made)); g.lineTo(from + wide, y(made)); g.stroke();
    g.fillStyle = c.spot; g.fillRect(from, y(made + rest), wide, y(made) - y(made + rest));
  }
  for (let p = -Math.floor(top); p <= top; p++) text(g, minus(`${p > 0 ? "+" : ""}${p} %`), x(p), box.y + box.h + 16, { colour: c.note, align: "center" });
  text(g, `middle ${data.mid_usd.toLocaleString("en", { maximumFractionDigits: 1 })} · bids within 1 % ${short((data.depth_bid_usd || 0) / 1e6)} $M · asks ${short((data.depth_ask_usd || 0) / 1e6)} $M · ${data.stops_waiting} stops waiting`,
    box.x, box.y + box.h + 36, { colour: c.text });
}

const rgb = (stops, t) => {
  const at = Math.min(Math.max(t, 0), 1) * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2), f = at - i;
  const p = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)), [a, b] = [p(stops[i]), p(stops[i + 1])];
  return a.map((v, k) => Math.round(v + (b[k] - v) * f));
};

// Heatmap: value that would be liquidated at each price, by time; longs and shorts in their own ramps, log.
export function heatmap(canvas, run, columns, n) {
  const { g, w, h } = fit(canvas), c = colours(), about = run.about, edges = about.map_edges_usd, d = run.arms[0].columns;
  g.fillStyle = c.paper; g.fillRect(0, 0, w, h);
  const box = { x: LEFT + 16, y: 40, w: w - LEFT - RIGHT - 16, h: h - 80 };
  header(g, box, c, "Liquidation prices", "value of positions that would be forced at each price, $, log", [{ colour: "#E0401A", words: "longs" }, { colour: "#1793E6", words: "shorts" }, { shape: "line", colour: c.perp, words: "perpetual" }]);
  const longs = [c.paper, "#F7C3AE", "#E0401A", "#6E1A07"], shorts = [c.paper, "#B9DDF8", "#1793E6", "#063A63"];
  let most = 1; for (const col of columns) for (const k of [1, 2]) for (const v of col[k]) if (v > most) most = v;
  const floor = most / 3000, x = (s) => box.x + (s / about.duration_s) * box.w, y = scale(edges[0], edges[edges.length - 1], box);
  const bins = edges.length - 1, image = new ImageData(Math.max(columns.length, 1), bins), tables = [longs, shorts].map((stops) => Array.from({ length: 64 }, (_, k) => rgb(stops, k / 63)));
  columns.forEach(([, long, short_], i) => {
    for (let k = 0; k < bins; k++) {
      const value = Math.max(long[k], short_[k]);
      if (value < floor) continue;
      const colour = tables[long[k] >= short_[k] ? 0 : 1][Math.round(63 * Math.log(value / floor) / Math.log(most / floor))], at = 4 * ((bins - 1 - k) * image.width + i);
      image.data.set(colour, at); image.data[at + 3] = 255;
    }
  });
  if (columns.length) {
    const sheet = new OffscreenCanvas(image.width, bins); sheet.getContext("2d").putImageData(image, 0, 0);
    const every = columns.length > 1 ? columns[1][0] - columns[0][0] : Math.max(1, Math.floor(about.ticks / 240)), to = Math.min(x(columns.length * every * about.tick_s), box.x + box.w);
    g.imageSmoothingEnabled = false; g.drawImage(sheet, box.x, box.y, to - box.x, box.h);
  }
  axis(g, box, { ...c, grid: "transparent" }, (v) => y(v * 1000), nice(edges[0] / 1000, edges[edges.length - 1] / 1000, 6).ticks, (v) => String(v));
  if (n) line(g, d.seconds, d.perp_usd, n, x, y, { colour: c.perp, width: 1.8, casing: c.paper });
  timeAxis(g, box, c, about, x, box.y + box.h);
  text(g, `largest ${short(most / 1e6)} $M in a bin of ${short((edges[1] - edges[0]))} USD; exact for isolated accounts, other prices held for cross`, box.x, h - 8, { colour: c.note });
  return { from: box.x, width: box.w, duration: about.duration_s };
}
