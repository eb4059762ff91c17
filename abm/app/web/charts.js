// Charts above the tables of Venue, Treasuries and Traders, a column for each model.
import { area, axis, clear, colours, columns, cursor, digits_of, extent, header, line, nice, rule, scale, stack, text, time_axis,
  time_scale } from "/draw.js";
import { arm_titles, fund, fund_limits } from "/market.js";
import { short } from "/format.js";

function begin(surface, run) {
  const c = colours(), many = run.arms.length, areas = columns(surface, many, many > 1 ? 20 : 0);
  clear(surface, c);
  if (many > 1) arm_titles(surface, run, c, areas);
  return { c, areas };
}
const shown_news = (g, c, arm, boxes, x) => {
  for (const item of arm.news) for (const box of boxes) rule(g, x(item.seconds), box.y, x(item.seconds), box.y + box.h, c.news, 1, [4, 3]);
};

// The fund over time, and below it the two queues: who is closed if 1 % of the open interest fails now.
export function venue(surface, run, shown, view) {
  const { g } = surface, { c, areas } = begin(surface, run), limits = fund_limits(run, view.n);
  areas.forEach((place, i) => {
    const upper = { ...place, h: place.h * 0.5 }, [box] = stack(upper, [1], 24), x = time_scale(run.about, box), arm = run.arms[i];
    fund({ g, c, arm, x, n: view.n, limits }, box);
    time_axis(g, box, c, run.about, x);
    shown_news(g, c, arm, [box], x);
    if (view.n && !view.follow) cursor(g, [box], c, x(arm.columns.seconds[view.n - 1]));
    const half = place.w / 2, y = place.y + upper.h, { data } = shown[i];
    for (const [k, name] of [[0, "shorts"], [1, "longs"]]) {
      const [queue] = stack({ x: place.x + k * half, y, w: half, h: place.h - upper.h }, [1], 34);
      ranks(g, c, queue, data, name, run.about.coin);
    }
  });
}

function ranks(g, c, box, data, name, coin) {
  const first = data.queues[name].first, most = Math.max(1e-9, ...first.map((one) => one.coins)), y = scale(0, most * 1.08, box), slot = box.w / 16;
  const title = data.ranked ? `Queue of winning ${name}` : `Winning ${name} that give most`;
  header(g, box, c, title, coin, name === "longs" ? [{ colour: c.adl, words: "closed" }, { shape: "hollow", colour: c.adl, words: "kept" }] : []);
  axis(g, box, c, y, first.length ? nice(0, most * 1.08, 3).ticks : [0], (v) => short(v));
  first.forEach((one, i) => {
    const gap = Math.min(3, slot / 6), from = box.x + i * slot + gap, wide = slot - 2 * gap;
    g.fillStyle = c.adl; g.fillRect(from, y(one.taken_coins), wide, y(0) - y(one.taken_coins));
    g.strokeStyle = c.adl; g.lineWidth = 1; g.strokeRect(from + 0.5, y(one.coins), wide - 1, y(0) - y(one.coins));
    if (slot > 15 || i % 5 === 0) text(g, String(i + 1), from + wide / 2, box.y + box.h + 14, { colour: c.note, align: "center" });
  });
  rule(g, box.x, y(0), box.x + box.w, y(0), c.axis);
  text(g, data.ranked ? "rank" : "", box.x + box.w, box.y + box.h + 27, { colour: c.note, align: "right" });
  if (!first.length) text(g, data.rule === "none" || data.rule === "socialised" ? "this rule closes nobody" : "nobody is in profit", box.x + box.w / 2, box.y + box.h / 2, { colour: c.note, align: "center" });
}

// Loan to value against its limit, distance to the covenant, mNAV and coins sold of each company.
const DASHES = [[], [7, 3], [2, 2], [9, 3, 2, 3]];
const PANELS = [
  ["ltv_percent", "Loan to value", "%; dashed: the limit, above it coins must be sold"],
  ["distance_percent", "Distance to the covenant", "% from spot to the price that breaks it; above 0 it is broken"],
  ["mnav", "mNAV", "enterprise value over value of the coins"],
  ["sold_coins", "Coins sold", "since the start"],
];
export function treasuries(surface, run, shown, view) {
  const { g } = surface, { c, areas } = begin(surface, run), tick_s = run.about.tick_s;
  const limits = PANELS.map(([name]) => extent(shown.flatMap(({ data }) => data.series.companies.flatMap((one) => [one[name], ...(name === "ltv_percent" ? [one.limit_percent] : [])])), 1e9, 0.12)).map(([low, high], k) => (PANELS[k][0] === "sold_coins" ? [0, Math.max(high, 1)] : [low, high]));
  areas.forEach((place, i) => {
    const { series } = shown[i].data, boxes = stack(place, [1, 1, 1, 1]), x = time_scale(run.about, boxes[0]), xs = series.ticks.map((t) => t * tick_s);
    const keys = series.companies.slice(0, 4).map((one, k) => ({ shape: DASHES[k].length ? "dash" : "line", colour: c.treasury, words: one.name }));
    PANELS.forEach(([name, title, unit], k) => {
      const box = boxes[k], y = scale(...limits[k], box), { ticks, step } = nice(...limits[k], 3), digits = digits_of(step);
      header(g, box, c, title, name === "sold_coins" ? `${run.about.coin}, ${unit}` : unit, k ? [] : keys);
      axis(g, box, c, y, ticks, (v) => v.toFixed(digits).replace("-", "−"));
      if (name === "ltv_percent" && series.companies.length) line(g, xs, series.companies[0].limit_percent, xs.length, x, y, { colour: c.note, width: 1, dash: [4, 3] });
      series.companies.forEach((one, j) => line(g, xs, one[name], xs.length, x, y, { colour: c.treasury, width: 1.8, dash: DASHES[j % 4], step: true }));
    });
    time_axis(g, boxes[3], c, run.about, x);
    shown_news(g, c, run.arms[i], boxes, x);
    if (view.n && !view.follow) cursor(g, boxes, c, x(run.arms[i].columns.seconds[view.n - 1]));
  });
}

// One account: the mark against the price at which it would be liquidated, and its position.
export function account(surface, run, shown, view) {
  const { g } = surface, { c, areas } = begin(surface, run);
  areas.forEach((place, i) => {
    const { data } = shown[i];
    if (!data?.life) return;
    const [box, lower] = stack(place, [100, 44]), x = time_scale(run.about, box), xs = data.life.ticks.map((t) => t * run.about.tick_s), d = run.arms[i].columns;
    const long = data.life.coins.some((v) => v > 0), [low, high] = extent([d.mark_usd], view.n, 0.05), prices = data.life.liquidation_usd;
    const limits = extent([[low, high], prices.filter((v) => v !== null && v > low * 0.7 && v < high * 1.3)], 1e9, 0.05), unit = high >= 2000 ? 1000 : 1;
    const y = scale(...limits, box), { ticks, step } = nice(limits[0] / unit, limits[1] / unit, 3), digits = digits_of(step);
    header(g, box, c, `Account ${data.picked.account}`, `${unit > 1 ? "thousand " : ""}USD`, [{ shape: "dash", colour: c.mark, words: "mark" },
      { shape: "line", colour: long ? c.long : c.short, words: "its liquidation price" }]);
    axis(g, box, c, (v) => y(v * unit), ticks, (v) => v.toFixed(digits));
    g.save(); g.beginPath(); g.rect(box.x, box.y - 2, box.w, box.h + 4); g.clip();
    line(g, d.seconds, d.mark_usd, view.n, x, y, { colour: c.mark, width: 1.6, dash: [4, 3] });
    line(g, xs, prices, xs.length, x, y, { colour: long ? c.long : c.short, width: 1.8, step: true });
    g.restore();
    const size = extent([data.life.coins, [0]], 1e9, 0.1), z = scale(...size, lower);
    header(g, lower, c, "Position", `${run.about.coin}; below zero: short`);
    axis(g, lower, c, z, nice(...size, 2).ticks, (v) => short(v));
    area(g, xs, data.life.coins, xs.length, x, z, z(0), c.band);
    line(g, xs, data.life.coins, xs.length, x, z, { colour: c.perp, width: 1.6, step: true });
    time_axis(g, lower, c, run.about, x);
    if (view.n && !view.follow) cursor(g, [box, lower], c, x(d.seconds[view.n - 1]));
  });
}
