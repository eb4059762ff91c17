// What the page shows as a file: PNG, SVG, or the numbers behind it as CSV.
import { colours, clear } from "/draw.js";
import { Svg, draw_element } from "/svg.js";

export function give(name, kind, body) {
  const link = document.createElement("a"), blob = body instanceof Blob ? body : new Blob([body], { type: kind });
  link.href = URL.createObjectURL(blob); link.download = name; link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return blob;
}

// `draw(surface)` draws the chart of the tab, null if it has none; `panel` is its table, null if hidden.
function compose(canvas, panel, draw) {
  const stage = document.getElementById("stage").getBoundingClientRect(), c = colours();
  const wide = Math.round(stage.width), high = Math.round(panel ? Math.max(stage.height, panel.getBoundingClientRect().top - stage.top + panel.scrollHeight) : stage.height);
  return { wide, high, paint: (surface) => {
    clear({ g: surface, w: wide, h: high }, c);
    if (draw) { const box = canvas.getBoundingClientRect(); draw({ g: surface, w: Math.round(box.width), h: Math.round(box.height) }); }
    if (panel) draw_element(surface, panel, { left: stage.left, top: stage.top - panel.scrollTop }, c);
  } };
}

export function svg(canvas, panel, draw) {
  const { wide, high, paint } = compose(canvas, panel, draw), g = new Svg(wide, high);
  paint(g);
  return g.toString();
}

export function png(canvas, panel, draw, ratio = 2) {
  const { wide, high, paint } = compose(canvas, panel, draw), sheet = document.createElement("canvas");
  sheet.width = wide * ratio; sheet.height = high * ratio;
  const g = sheet.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint(g);
  return new Promise((done) => sheet.toBlob(done, "image/png"));
}

const cell = (v) => (v === null || v === undefined ? "" : /[",\n]/.test(String(v)) ? `"${String(v).replace(/"/g, '""')}"` : String(v));
const lines = (heads, rows) => [heads, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n";
const records = (list, more = {}) => (list.length ? lines([...Object.keys(more), ...Object.keys(list[0])], list.map((one) => [...Object.values(more), ...Object.values(one)])) : "");

// The numbers of a tab for one model, until the tick shown; unrounded, as the server gave them.
export function csv(lab, n, arm) {
  const { columns } = lab.run.arms[arm], shown = lab.shown?.arms[arm]?.data;
  if (lab.tab === "market") {
    const names = Object.keys(columns);
    return lines(names, Array.from({ length: n }, (_, i) => names.map((name) => columns[name][i])));
  }
  if (lab.tab === "heatmap") {
    const { edges, columns: list } = lab.maps[arm], last = n ? columns.tick[n - 1] : 0;
    return lines(["tick", "from_usd", "to_usd", "longs_usd", "shorts_usd"], list.filter((one) => one[0] <= last).flatMap(([tick, long, short_]) =>
      long.map((v, k) => [tick, edges[k], edges[k + 1], v, short_[k]]).filter((row) => row[3] || row[4])));
  }
  if (!shown) return "";
  if (lab.tab === "book") {
    const e = shown.edges_percent, side = (name, sign) => shown[name].makers.map((made, i) => [name, sign * e[i], sign * e[i + 1], made, shown[name].people[i], shown[name].forced[i]]);
    const s = shown.signed_percent, forced = shown.asks.traded_by_force.map((sold, i) => [s[i], s[i + 1], sold, shown.bids.traded_by_force[i], shown.asks.stops[i], shown.bids.stops[i]]);
    return lines(["side", "from_percent", "to_percent", "makers_coins", "people_coins", "forced_coins"], [...side("bids", -1), ...side("asks", 1)])
      + "\n" + lines(["from_percent", "to_percent", "longs_sold_coins", "shorts_bought_coins", "sell_stops_coins", "buy_stops_coins"], forced);
  }
  if (lab.tab === "venue") return ["shorts", "longs"].map((name) => records(shown.queues[name].first, { queue: name })).join("\n") + "\n" + records(shown.tiers);
  if (lab.tab === "treasuries") return records(shown.companies);
  return records(shown.rows);
}
