// Book and Heatmap, a column for each model.
import { arm_titles } from "/market.js";
import { axis, clear, colours, columns, cursor, header, line, nice, rule, scale, stack, text, time_axis, time_scale } from "/draw.js";
import { minus, price as usd1, short } from "/format.js";

// Resting orders by distance from the middle, and below it what forced orders took out of the book in the last minute.
export function book(surface, run, shown) {
  const { g } = surface, c = colours(), many = shown.length, top = many > 1 ? 20 : 0, areas = columns(surface, many, top);
  clear(surface, c);
  if (many > 1) arm_titles(surface, run, c, areas);
  const most = { rest: 1, forced: 1 };
  for (const { data } of shown) for (const side of [data.bids, data.asks]) {
    side.makers.forEach((made, i) => { most.rest = Math.max(most.rest, made + side.people[i] + side.forced[i]); });
    most.forced = Math.max(most.forced, ...side.traded_by_force, ...side.stops);
  }
  shown.forEach(({ data }, i) => {
    const [upper, lower] = stack(areas[i], [300, 150], 58), coin = run.about.coin;
    resting(g, c, upper, data, most.rest * 1.06, coin);
    by_force(g, c, lower, data, most.forced * 1.1, coin);
    percents(g, c, lower, data.signed_percent);
    const words = [`middle ${usd1(data.mid_usd)}`, `${data.stops_waiting} stops waiting`, ...(many > 1 ? [] : [`${data.bids.orders} bids, ${data.asks.orders} asks`, `makers quote ${short((100 * (data.makers_quoting ?? 0)), 3)} % of their size`])];
    text(g, words.join(" · "), upper.left + 16, surface.h - 12, { colour: c.note });
  });
}

function x_of(box, reach) { return (percent) => box.x + ((percent + reach) / (2 * reach)) * box.w; }

function resting(g, c, box, data, most, coin) {
  const edges = data.edges_percent, reach = edges[edges.length - 1], y = scale(0, most, box), x = x_of(box, reach);
  header(g, box, c, "Resting orders", `${coin}, by distance from the middle price`, [{ colour: c.depth, words: "makers" },
    { colour: c.spot, words: "people" }, { colour: c.long, words: "forced" }]);
  axis(g, box, c, y, nice(0, most, 5).ticks, (v) => short(v));
  for (const [sign, side, forced] of [[-1, data.bids, c.short], [1, data.asks, c.long]]) {
    for (let i = 0; i < edges.length - 1; i++) {
      const from = Math.min(x(sign * edges[i]), x(sign * edges[i + 1])) + 0.5, wide = Math.abs(x(edges[i + 1]) - x(edges[i])) - 1;
      let base = 0;
      for (const [size, colour] of [[side.makers[i], c.depth], [side.people[i], c.spot], [side.forced[i], forced]]) {
        g.fillStyle = colour; g.fillRect(from, y(base + size), wide, y(base) - y(base + size)); base += size;
      }
      rule(g, from, y(side.makers[i]), from + wide, y(side.makers[i]), c.depth_edge);
    }
  }
  rule(g, x(0), box.y, x(0), box.y + box.h, c.note, 1, [3, 3]);
  rule(g, box.x, y(0), box.x + box.w, y(0), c.axis);
  text(g, "bids", x(0) - 6, box.y + 11, { colour: c.text, align: "right", bold: true });
  text(g, "asks", x(0) + 6, box.y + 11, { colour: c.text, bold: true });
}

function by_force(g, c, box, data, most, coin) {
  const edges = data.signed_percent, reach = edges[edges.length - 1], x = x_of(box, reach), y = scale(-most, most, box);
  header(g, box, c, "Forced orders", `${coin} traded in the last ${data.forced_s} s, by price; they take at once and never rest`,
    [{ colour: c.long, words: "longs sold" }, { colour: c.short, words: "shorts bought" }, { shape: "hollow", colour: c.note, words: "stops" }]);
  axis(g, box, c, y, nice(-most, most, 4).ticks, (v) => short(Math.abs(v)));
  const bars = (sizes, sign, colour, hollow) => sizes.forEach((size, i) => {
    if (!(size > 0)) return;
    const from = x(edges[i]) + 0.5, wide = x(edges[i + 1]) - x(edges[i]) - 1, up = Math.min(y(0), y(sign * size)), high = Math.abs(y(0) - y(sign * size));
    if (hollow) { g.strokeStyle = colour; g.lineWidth = 1; g.strokeRect(from + 0.5, up, wide - 1, high); } else { g.fillStyle = colour; g.fillRect(from, up, wide, high); }
  });
  bars(data.asks.traded_by_force, -1, c.long); bars(data.bids.traded_by_force, 1, c.short);
  bars(data.asks.stops, -1, c.note, true); bars(data.bids.stops, 1, c.note, true);
  rule(g, box.x, y(0), box.x + box.w, y(0), c.forced);
  rule(g, x(0), box.y, x(0), box.y + box.h, c.note, 1, [3, 3]);
  text(g, "buying", box.x + 4, box.y + 11, { colour: c.note }); text(g, "selling", box.x + 4, box.y + box.h - 5, { colour: c.note });
}

function percents(g, c, box, edges) {
  const reach = edges[edges.length - 1], x = x_of(box, reach);
  for (let p = -Math.floor(reach); p <= reach; p++) text(g, minus(`${p > 0 ? "+" : ""}${p} %`), x(p), box.y + box.h + 16, { colour: c.note, align: "center" });
}

// --- heatmap ---------------------------------------------------------------------------------------------------------
function ramp(stops) {
  const parts = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  return Array.from({ length: 64 }, (_, k) => {
    const at = (k / 63) * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2), f = at - i, [a, b] = [parts(stops[i]), parts(stops[i + 1])];
    return a.map((v, j) => Math.round(v + (b[j] - v) * f));
  });
}
const LONGS = ["#F7C3AE", "#E0401A", "#6E1A07"], SHORTS = ["#B9DDF8", "#1793E6", "#063A63"];
const DARK_LONGS = ["#4A1508", "#F75A1A", "#FFD9C7"], DARK_SHORTS = ["#0A3050", "#6ED0FF", "#E9F7FF"];
const FLOOR = 1000; // the palest shade: so many times less than the largest
const tables = {};
function ramps() {
  const dark = document.documentElement.dataset.theme === "dark";
  return (tables[dark] ||= dark ? [ramp(DARK_LONGS), ramp(DARK_SHORTS)] : [ramp(LONGS), ramp(SHORTS)]);
}

// `maps`: for each model the columns [tick, longs by price, shorts by price] in whole dollars, and the edges of the bins.
export function heatmap(surface, run, maps, view) {
  const { g } = surface, c = colours(), many = maps.length, top = many > 1 ? 20 : 0, areas = columns(surface, many, top);
  clear(surface, c);
  if (many > 1) arm_titles(surface, run, c, areas);
  let most = 1, found = null;
  for (const map of maps) for (const column of map.columns) most = Math.max(most, column.most ??= Math.max(...column[1], ...column[2]));
  const tick = view.n ? run.arms[0].columns.tick[view.n - 1] : 0;
  maps.forEach((map, i) => {
    const [box] = stack(areas[i], [1], 64), x = time_scale(run.about, box), e = map.edges, y = scale(e[0], e[e.length - 1], box), d = run.arms[i].columns;
    header(g, box, c, "Liquidation prices", `${e[e.length - 1] >= 2000 ? "thousand " : ""}USD; shade: value of the positions forced at that price`, [{ colour: ramps()[0][31].css ??= css(ramps()[0][31]), words: "longs" },
      { colour: ramps()[1][31].css ??= css(ramps()[1][31]), words: "shorts" }, { shape: "line", colour: c.perp, words: "perpetual" }]);
    const thousand = e[e.length - 1] >= 2000 ? 1000 : 1, { ticks, step } = nice(e[0] / thousand, e[e.length - 1] / thousand, 6);
    axis(g, box, { ...c, grid: c.band }, (v) => y(v * thousand), ticks, (v) => String(Number(v.toFixed(6))));
    cells(g, box, map.columns.filter((column) => column[0] <= tick), e.length - 1, most, (t) => x(t * run.about.tick_s));
    if (view.n) line(g, d.seconds, d.perp_usd, view.n, x, y, { colour: c.perp, width: 1.8, casing: c.paper });
    time_axis(g, box, c, run.about, x);
    if (view.n && !view.follow) cursor(g, [box], c, x(d.seconds[view.n - 1]));
    if (!i) found = { from: box.x, width: box.w, duration: Math.max(run.about.duration_s, 1) };
  });
  scale_key(surface, c, most, maps[0]?.edges || [0, 1]);
  return found;
}
const css = ([r, gr, b]) => `rgb(${r},${gr},${b})`;

function cells(g, box, list, bins, most, x) {
  if (!list.length) return;
  const floor = most / FLOOR, [longs, shorts] = ramps(), image = new ImageData(list.length, bins);
  list.forEach(([, long, short_], i) => {
    for (let k = 0; k < bins; k++) {
      const value = Math.max(long[k], short_[k]);
      if (value < floor) continue;
      const colour = (long[k] >= short_[k] ? longs : shorts)[Math.round(63 * Math.log(value / floor) / Math.log(FLOOR))];
      const at = 4 * ((bins - 1 - k) * list.length + i);
      image.data[at] = colour[0]; image.data[at + 1] = colour[1]; image.data[at + 2] = colour[2]; image.data[at + 3] = 255;
    }
  });
  const sheet = document.createElement("canvas"); sheet.width = list.length; sheet.height = bins;
  sheet.getContext("2d").putImageData(image, 0, 0);
  const every = list.length > 1 ? list[1][0] - list[0][0] : 1, from = x(list[0][0]), to = Math.min(x(list[0][0] + list.length * every), box.x + box.w);
  g.imageSmoothingEnabled = false; g.drawImage(sheet, from, box.y, to - from, box.h);
}

function scale_key(surface, c, most, edges) {
  const { g, w, h } = surface, wide = 110, y = h - 18;
  ramps().forEach((table, side) => {
    const from = 16 + side * (wide + 12);
    for (let k = 0; k < wide; k++) { g.fillStyle = css(table[Math.floor((k / wide) * 63)]); g.fillRect(from + k, y - 9, 1.2, 9); }
  });
  const words = `${short(most / FLOOR / 1e6, 2)} to ${short(most / 1e6, 2)} $M in ${short(edges[1] - edges[0], 2)} USD, log`;
  text(g, words, 16 + 2 * wide + 20, y, { colour: c.note });
  text(g, "exact for isolated accounts; other prices held for cross", w - 28, y, { colour: c.note, align: "right" });
}
