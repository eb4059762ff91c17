// Tabs that are tables: venue, treasuries, traders.
import { short, minus, clock } from "/draw.js";

const el = (tag, words = "", cls = "") => { const e = document.createElement(tag); e.textContent = words; if (cls) e.className = cls; return e; };
const usd = (v) => (v === null || v === undefined ? "–" : Math.abs(v) >= 1e9 ? `${minus((v / 1e9).toFixed(2))} $bn` : Math.abs(v) >= 1e5 ? `${minus((v / 1e6).toFixed(2))} $M` : `${minus(Math.round(v).toLocaleString("en"))} $`);
const price = (v) => (v === null || v === undefined ? "–" : v.toLocaleString("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 }));
const fixed = (v, n, unit = "") => (v === null || v === undefined ? "–" : `${minus(v.toFixed(n))}${unit}`);

function table(heads, rows, press) {
  const t = el("table"), head = el("tr"); for (const h of heads) head.append(el("th", h)); t.append(head);
  for (const row of rows) {
    const tr = el("tr"); for (const cell of row.cells) { const td = el("td", cell.words ?? cell); if (cell.cls) td.className = cell.cls; tr.append(td); }
    if (press) { tr.tabIndex = 0; tr.onclick = () => press(row.key); tr.onkeydown = (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); e.stopPropagation(); press(row.key); } }; if (row.picked) tr.className = "picked"; }
    t.append(tr);
  }
  return t;
}
function cards(pairs) { const box = el("div", "", "cards"); for (const [name, value, note = ""] of pairs) { const d = el("div"); d.append(el("span", name, "note"), el("b", value), el("span", note, "note")); box.append(d); } return box; }
function put(root, ...parts) { const at = root.scrollTop; root.replaceChildren(...parts); root.scrollTop = at; }

function venue(root, shown) {
  const d = shown.data, split = el("div", "", "split");
  for (const [name, words] of [["shorts", "Winning shorts: they answer for bankrupt longs"], ["longs", "Winning longs: they answer for bankrupt shorts"]]) {
    const q = d.queues[name], box = el("div"); box.append(el("h2", words), el("p", `${q.winners} in profit; who is closed if ${short(q.asked_coins)} BTC (1 % of open interest) fail now`, "note"));
    box.append(q.first.length ? table(["account", "closed, BTC", "of BTC", "profit", "leverage"], q.first.map((r, i) => ({ cells: [`${i + 1}.  ${r.account}`, short(r.taken_coins), short(r.coins), fixed(r.profit_percent, 1, " %"), fixed(r.leverage, 1, "×")] })))
      : el("p", d.rule === "none" || d.rule === "socialised" ? "This rule closes nobody." : "Nobody is in profit on this side."));
    split.append(box);
  }
  const tiers = el("div"); tiers.append(el("h2", "Brackets in force"), table(["position from", "highest leverage", "maintenance"], d.tiers.map((t) => ({ cells: [usd(t.from_usd), `${t.leverage}×`, fixed(t.maintenance_percent, 2, " %")] }))));
  put(root, cards([["Venue", d.title], ["Insurance fund", usd(d.fund_usd), `opened with ${usd(d.fund_opening_usd)}`], ["Positions of the fund", `${short(d.fund_position_coins)} BTC`, "taken over, being unloaded"], ["Deleveraging rule", d.rule]]), split, el("p", " "), tiers);
}

function treasuries(root, shown) {
  const d = shown.data;
  if (!d.companies.length) { put(root, el("p", "No treasury company in this scenario.")); return; }
  put(root, cards([["Spot", `${price(d.spot_usd)} USD`]]), table(["company", "coins, BTC", "sold, BTC", "loan", "cash", "loan to value", "limit", "covenant at, USD", "distance", "mNAV", "breaches"],
    d.companies.map((f) => ({ cells: [f.name, short(f.coins, 6), short(f.sold_coins, 6), usd(f.debt_usd), usd(f.cash_usd), { words: fixed(f.ltv_percent, 1, " %"), cls: f.ltv_percent > f.limit_percent ? "m-long" : "" }, fixed(f.limit_percent, 0, " %"), price(f.covenant_usd), fixed(f.distance_percent, 1, " %"), fixed(f.mnav, 2), String(f.breaches)] }))));
}

function traders(root, shown, lab, pick) {
  const d = shown.data, parts = [];
  if (d.rows) {
    if (root.contains(document.activeElement) && document.activeElement.tagName === "INPUT") return; // somebody types
    const bar = el("div", "", "row"), input = Object.assign(document.createElement("input"), { className: "text", value: lab.account >= 0 ? lab.account : "", placeholder: `0–${d.last_account}` }); input.id = "account"; input.setAttribute("aria-label", "account"); input.style.width = "90px";
    const go = el("button", "Show account"), error = el("span", "", "error"); const show = () => { const v = Number(input.value); if (!Number.isInteger(v) || v < 0 || v > d.last_account || input.value === "") { error.textContent = `a number from 0 to ${d.last_account}`; return; } input.blur(); pick(v); }; go.onclick = show; input.onkeydown = (e) => { if (e.key === "Enter") show(); };
    bar.append(el("span", `${d.with_position.toLocaleString("en")} accounts hold a position.`), el("span", "", "spring"), error, input, go);
    for (const [key, words] of [["nearest", "nearest to liquidation"], ["largest", "largest"]]) { const b = el("button", words); b.setAttribute("aria-pressed", d.order === key); b.onclick = () => pick(null, key); bar.append(b); }
    parts.push(bar);
  }
  const one = d.picked;
  if (one) parts.push(el("h2", `Account ${one.account}: ${one.kind}, ${one.mode} margin`), cards([
    ["Position", one.side ? `${one.side > 0 ? "long" : "short"} ${short(Math.abs(one.coins), 5)} BTC` : "none", usd(one.notional_usd)], ["Entry", price(one.entry_usd)], ["Leverage now", fixed(one.leverage, 1, "×"), `chosen ${one.chosen_leverage}×`],
    ["Margin", usd(one.margin_usd), `cash ${usd(one.cash_usd)}`], ["Equity", usd(one.equity_usd), `profit ${usd(one.profit_usd)}`], ["Liquidation price", price(one.liquidation_usd), one.distance_percent === null ? "" : `${fixed(one.distance_percent, 2, " %")} from the mark`]]));
  if (shown.story || d.story) {
    const story = shown.story || d.story, list = el("ol"); list.style.marginBottom = "10px"; parts.push(el("h2", `Its story (forced trades and what touched it; ${story.length} events)`));
    for (const line of story.slice(-30)) { const li = el("li"); li.append(el("span", `${clock(lab.run.about.start_ms + line.tick * lab.run.about.tick_s * 1000)}  `, "note"), el("span", line.words, `m-${line.kind}`)); list.append(li); }
    parts.push(list);
  }
  if (d.rows) parts.push(table(["account", "", "BTC", "value", "leverage", "entry", "liquidation", "distance", "equity"], d.rows.map((r) => ({ key: r.account, picked: r.account === lab.account, cells: [`${r.account}  ${r.kind}, ${r.mode}`, { words: r.side > 0 ? "long" : "short", cls: r.side > 0 ? "m-long" : "m-short" }, short(Math.abs(r.coins), 4), usd(r.notional_usd), fixed(r.leverage, 1, "×"), price(r.entry_usd), price(r.liquidation_usd), fixed(r.distance_percent, 2, " %"), usd(r.equity_usd)] })), (account) => pick(account)));
  else parts.unshift(el("p", lab.account >= 0 ? `Account ${lab.account} in this run:` : "Choose an event with an account in the log to read its story."));
  put(root, ...parts);
}

export const panels = { venue, treasuries, traders, book: (root) => put(root, el("p", "The book needs a live model.")) };
