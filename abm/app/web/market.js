// The Market tab: five panels over one time axis, a column for each model.
import { area, axis, clear, colours, columns, cursor, digits_of, extent, header, line, nice, rule, scale, stack, text,
  time_axis, time_scale, width_of } from "/draw.js";
import { clock, fixed, short } from "/format.js";

// `view`: n ticks shown, whether it follows the latest. Returns the time scale of the first column, for the pointer.
export function market(surface, run, view) {
  const { g } = surface, c = colours(), many = run.arms.length, top = many > 1 ? 20 : 0;
  clear(surface, c);
  const limits = limits_of(run, view.n), areas = columns(surface, many, top), price_keys = keys_of(c);
  if (many > 1) arm_titles(surface, run, c, areas);
  let found = null;
  areas.forEach((place, i) => {
    const boxes = stack(place, [184, 66, 62, 40, 46]), x = time_scale(run.about, boxes[0]), at = { g, c, run, arm: run.arms[i], x, n: view.n, limits };
    price(at, boxes[0], many > 1 ? price_keys.slice(0, 3) : price_keys);
    forced(at, boxes[1]);
    ribbon(at, boxes[2]);
    interest(at, boxes[3]);
    fund(at, boxes[4]);
    time_axis(g, boxes[4], c, run.about, x);
    for (const item of at.arm.news) for (const box of boxes) rule(g, x(item.seconds), box.y, x(item.seconds), box.y + box.h, c.news, 1, [4, 3]);
    news_labels(at, boxes[0]);
    if (view.n && !view.follow) cursor(g, boxes, c, x(at.arm.columns.seconds[view.n - 1]));
    found ||= { from: boxes[0].x, width: boxes[0].w, duration: Math.max(run.about.duration_s, 1) };
  });
  return found;
}

const keys_of = (c) => [
  { shape: "line", colour: c.perp, words: "perpetual" }, { shape: "dash", colour: c.mark, words: "mark" },
  { shape: "line", colour: c.spot, words: "spot" }, { shape: "ring", colour: c.long, words: "longs liquidated" },
  { shape: "ring", colour: c.short, words: "shorts" },
];

export function arm_titles(surface, run, c, areas) {
  run.about.arms.forEach((words, i) => {
    text(surface.g, words, areas[i].x + 16, 15, { colour: c.perp, size: 13, bold: true });
    if (i) rule(surface.g, areas[i].x, 4, areas[i].x, surface.h - 4, c.axis);
  });
}

// Two models share every scale, so that they can be compared by eye.
function limits_of(run, n) {
  const all = (name) => run.arms.map((arm) => arm.columns[name]);
  const prices = ["perp_usd", "mark_usd", "spot_usd", "perp_low_usd", "perp_high_usd"].flatMap(all);
  const [low, high] = extent(prices, n, 0.05), span = high - low, bubbles = run.arms.some((arm) => arm.bubbles.size);
  const limits = { price: [low - span * (bubbles ? 0.42 : 0.08), high + span * 0.1], interest: extent(all("open_interest_usd"), n, 0.15) };
  const fund_at = extent(all("fund_usd"), n, 0.2);
  limits.fund = n ? [Math.min(fund_at[0], fund_at[1] - Math.abs(fund_at[1]) * 0.02), fund_at[1]] : fund_at;
  limits.depth = Math.max(run.about.depth_normal_usd, extent([...all("depth_bid_usd"), ...all("depth_ask_usd")], n, 0)[1]) / 1e6;
  const until = n ? run.arms[0].columns.seconds[n - 1] : 0;
  const bars = run.arms.flatMap((arm) => [...arm.bars.values()]).filter((bin) => bin[0] * run.about.bar_s < until);
  limits.up = Math.max(1e-9, ...bars.map((b) => b[1] + b[3])) / 1e6;
  limits.down = Math.max(0, ...bars.map((b) => b[2])) / 1e6;
  limits.any = bars.length > 0;
  limits.bubble = 0;
  for (const arm of run.arms) for (const bin of arm.bubbles.values()) if (bin[0] * run.about.bubble_s < until) limits.bubble = Math.max(limits.bubble, bin[1], bin[2]);
  return limits;
}

function news_labels({ g, c, arm, x, run }, box) {
  const free = [-1e9, -1e9, -1e9];
  for (const item of [...arm.news].sort((a, b) => a.seconds - b.seconds)) {
    const at = clock(run.about.start_ms + item.seconds * 1000, run.about.duration_s < 1000), words = `${item.label} ${at}`;
    const wide = width_of(g, words, true), px = x(item.seconds), from = px + 5 + wide > box.x + box.w ? px - 5 - wide : px + 5;
    const row = free.findIndex((end) => from > end);
    if (row < 0) continue;
    g.fillStyle = c.paper + "cc"; g.fillRect(from - 2, box.y + 1 + row * 13, wide + 4, 12);
    text(g, words, from, box.y + 10 + row * 13, { colour: c.news, bold: true });
    free[row] = from + wide + 10;
  }
}

function price(at, box, keys) {
  const { g, c, arm, x, n, limits, run } = at, d = arm.columns, [low, high] = limits.price, y = scale(low, high, box);
  const thousand = high >= 2000, unit = thousand ? 1000 : 1, { ticks, step } = nice(low / unit, high / unit, 4), digits = digits_of(step);
  header(g, box, c, "Price", thousand ? "thousand USD" : "USD", keys);
  axis(g, box, c, (v) => y(v * unit), ticks, (v) => v.toFixed(digits));
  if (!n) { text(g, "press play", box.x + box.w / 2, box.y + box.h / 2, { colour: c.note, size: 13, align: "center" }); return; }
  g.save(); g.beginPath(); g.rect(box.x - 2, box.y - 4, box.w + 28, box.h + 8); g.clip();
  bubbles(at, box, y, d.seconds[n - 1]);
  line(g, d.seconds, d.spot_usd, n, x, y, { colour: c.spot, width: 1 });
  line(g, d.seconds, d.mark_usd, n, x, y, { colour: c.mark, width: 1.6, dash: [4, 3] });
  line(g, d.seconds, d.perp_usd, n, x, y, { colour: c.perp, width: 1.8, casing: c.paper });
  g.restore();
  bubble_key(at, box, run.about.bubble_s, x(d.seconds[n - 1]));
}

const radius = (limits, box, usd) => (box.h / 6) * Math.sqrt(usd / limits.bubble);
function bubbles({ g, c, arm, x, limits, run }, box, y, until) {
  const length = run.about.bubble_s, all = [];
  for (const [bin, long, short_, , low, high] of arm.bubbles.values()) {
    if (bin * length >= until) continue;
    if (long > 0) all.push({ at: (bin + 0.5) * length, usd: long, price: low, side: 1 });
    if (short_ > 0) all.push({ at: (bin + 0.5) * length, usd: short_, price: high, side: -1 });
  }
  for (const b of all.sort((p, q) => q.usd - p.usd)) {
    const colour = b.side > 0 ? c.long : c.short, r = radius(limits, box, b.usd), px = x(Math.min(b.at, until));
    if (b.usd < limits.bubble * 0.01) { g.fillStyle = colour; g.fillRect(px, box.y + box.h - 4, 1, 5); continue; }
    const py = Math.min(Math.max(y(b.price) + b.side * (r + 3), box.y + r * 0.2), box.y + box.h - r * 0.2);
    g.beginPath(); g.arc(px, py, r, 0, 7); g.fillStyle = colour + "52"; g.fill();
    g.strokeStyle = colour; g.lineWidth = 0.7; g.stroke();
  }
}

// The key stands where nothing has happened yet, later at the left.
function bubble_key({ g, c, limits }, box, seconds, latest) {
  if (!limits.bubble) return;
  const power = 10 ** Math.floor(Math.log10(limits.bubble)), most = power * [5, 2, 1].find((k) => limits.bubble >= k * power);
  const sizes = [most, most / 5].filter((usd) => radius(limits, box, usd) > 2.5), wide = radius(limits, box, most);
  const words = `${short(most / 1e6)} $M in ${seconds} s`, room = 2 * wide + 14 + width_of(g, words);
  const left = latest < box.x + box.w - room - 20 ? box.x + box.w - room : box.x + 8;
  let label_y = 1e9;
  sizes.forEach((usd, i) => {
    const r = radius(limits, box, usd), px = left + wide, py = box.y + box.h - 8 - r;
    g.beginPath(); g.arc(px, py, r, 0, 7); g.strokeStyle = c.note; g.lineWidth = 0.8; g.stroke();
    label_y = i ? Math.max(py - r + 4, label_y + 13) : py - r + 4;
    text(g, i ? `${short(usd / 1e6)} $M` : words, px + wide + 6, label_y, { colour: c.note, base: "middle" });
  });
}

function forced({ g, c, arm, x, n, run, limits }, box) {
  const length = run.about.bar_s, until = n ? arm.columns.seconds[n - 1] : 0;
  const top = limits.any ? limits.up * 1.05 : 1, y = scale(-Math.max(limits.down * 1.05, top * 0.08), top, box);
  header(g, box, c, "Liquidated", `$ million in ${length} s, in the book or taken over`,
    [{ colour: c.long, words: "longs" }, { colour: c.short, words: "shorts" }, { colour: c.adl, words: "ADL" }]);
  axis(g, box, c, y, nice(-limits.down, top, 3).ticks, (v) => short(Math.abs(v)));
  const wide = Math.max(1.5, (length / run.about.duration_s) * box.w - 1);
  for (const [bin, long, short_, adl] of arm.bars.values()) {
    if (bin * length >= until) continue;
    const bar = (from, to, colour) => {
      g.fillStyle = colour; g.fillRect(x(bin * length) + 0.5, Math.min(y(from), y(to)), wide, Math.abs(y(from) - y(to)));
    };
    bar(0, long / 1e6, c.long); bar(long / 1e6, (long + adl) / 1e6, c.adl); bar(0, -short_ / 1e6, c.short);
  }
  rule(g, box.x, y(0), box.x + box.w, y(0), c.forced);
}

function ribbon({ g, c, arm, x, n, run, limits }, box) {
  const d = arm.columns, mid = box.y + box.h / 2, normal = run.about.depth_normal_usd / 1e6, decades = Math.log10(Math.max(limits.depth * 1.05, 10));
  const reach = (usd) => (Math.log10(Math.max(usd / 1e6, 1)) / decades) * (box.h / 2);
  header(g, box, c, "Depth within 1 %", "$ million, log from the centre; dashed: normal; a pinch is a vacuum",
    [{ colour: c.depth + "80", words: "asks" }, { colour: c.depth, words: "bids" }]);
  for (const side of [-1, 1]) {
    const ys = side < 0 ? d.depth_ask_usd : d.depth_bid_usd, y = (v) => mid + side * reach(v), py = y(normal * 1e6);
    if (n) area(g, d.seconds, ys, n, x, y, mid, side < 0 ? c.depth + "80" : c.depth);
    if (n) line(g, d.seconds, ys, n, x, y, { colour: c.depth_edge, width: 0.8 });
    rule(g, box.x, py, box.x + box.w, py, c.note, 0.8, [3, 3]);
    text(g, short(normal), box.x - 6, py, { colour: c.note, align: "right", base: "middle" });
  }
  text(g, "1", box.x - 6, mid, { colour: c.note, align: "right", base: "middle" });
  rule(g, box.x, mid, box.x + box.w, mid, c.paper);
}

function interest({ g, c, arm, x, n, limits }, box) {
  const d = arm.columns, [low, high] = limits.interest, y = scale(low, high, box), { ticks, step } = nice(low / 1e9, high / 1e9, 3);
  const digits = digits_of(step), rate = n ? d.funding_bp_8h[n - 1] : null;
  header(g, box, c, "Open interest", "$ billion, at the mark", [], rate === null ? "" : `funding indicated ${rate >= 0 ? "+" : ""}${fixed(rate, 2)} bp per 8 h`);
  axis(g, box, c, (v) => y(v * 1e9), ticks, (v) => v.toFixed(digits));
  if (n) line(g, d.seconds, d.open_interest_usd, n, x, y, { colour: c.perp, width: 1.8 });
}

export function fund({ g, c, arm, x, n, limits }, box) {
  const d = arm.columns, [low, high] = limits.fund, y = scale(low, high, box), billions = Math.abs(high) >= 2e8, unit = billions ? 1e9 : 1e6;
  const { ticks, step } = nice(low / unit, high / unit, 3), digits = digits_of(step);
  header(g, box, c, "Insurance fund", `$ ${billions ? "billion" : "million"}, equity at the mark`,
    [{ colour: c.fund, words: "fund" }, { colour: c.adl, words: "ADL in a tick" }]);
  axis(g, box, c, (v) => y(v * unit), ticks, (v) => v.toFixed(digits).replace("-", "−"));
  if (!n) return;
  area(g, d.seconds, d.fund_usd, n, x, y, box.y + box.h, c.fund + "26");
  line(g, d.seconds, d.fund_usd, n, x, y, { colour: c.fund, width: 1.8 });
  let before = -9;
  g.fillStyle = c.adl;
  for (let i = 0; i < n; i++) {
    const px = d.adl_usd[i] > 0 ? Math.round(x(d.seconds[i])) : before;
    if (px > before) { g.fillRect(px - 1, box.y + box.h - 12, 2, 12); before = px; }
  }
}
export const fund_limits = (run, n) => ({ fund: limits_of(run, n).fund });
