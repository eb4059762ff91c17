// Tables of Venue, Treasuries and Traders.
import { clock, fixed, price, short, usd } from "/format.js";

export const el = (tag, words = "", cls = "") => {
  const e = document.createElement(tag);
  e.textContent = words;
  if (cls) e.className = cls;
  return e;
};

function table(heads, rows, press) {
  const made = el("table"), head = el("tr");
  head.append(...heads.map((words) => el("th", words)));
  made.append(head);
  for (const row of rows) {
    const line = el("tr");
    for (const cell of row.cells) line.append(el("td", cell.words ?? cell, cell.cls || ""));
    if (press) {
      line.tabIndex = 0;
      line.onclick = () => press(row.key);
      line.onkeydown = (e) => {
        if (e.key !== "Enter" && e.key !== " ") return;
        e.preventDefault(); e.stopPropagation(); press(row.key);
      };
    }
    if (row.picked) line.className = "picked";
    made.append(line);
  }
  return made;
}

function cards(pairs) {
  const box = el("div", "", "cards");
  for (const [name, value, note = ""] of pairs) {
    const one = el("div");
    one.append(el("span", name, "note"), el("b", value), el("span", note, "note"));
    box.append(one);
  }
  return box;
}
function put(root, ...parts) {
  const at = root.scrollTop;
  root.replaceChildren(...parts);
  root.scrollTop = at;
}

function venue(root, data, lab) {
  const split = el("div", "", "split"), coin = lab.run.about.coin;
  for (const [name, words] of [["shorts", "Winning shorts answer for bankrupt longs"], ["longs", "Winning longs answer for bankrupt shorts"]]) {
    const queue = data.queues[name], box = el("div");
    box.append(el("h2", words), el("p", `${queue.winners.toLocaleString("en")} in profit; closed if ${short(queue.asked_coins)} ${coin} (1 % of open interest) fail now`, "note"));
    const rows = queue.first.slice(0, 7).map((one, i) => ({
      cells: [`${data.ranked ? `${i + 1}.  ` : ""}${one.account}`, short(one.taken_coins), short(one.coins), fixed(one.profit_percent, 1, " %"), fixed(one.leverage, 1, "×")],
    }));
    if (rows.length) box.append(table(["account", `closed, ${coin}`, `of ${coin}`, "profit", "leverage"], rows));
    split.append(box);
  }
  const tiers = el("div");
  tiers.append(el("h2", "Brackets in force"), table(["position from", "highest leverage", "maintenance"],
    data.tiers.map((one) => ({ cells: [usd(one.from_usd), `${one.leverage}×`, fixed(one.maintenance_percent, 2, " %")] }))));
  put(root, cards([["Insurance fund", usd(data.fund_usd), `opened with ${usd(data.fund_opening_usd)}`],
    ["Positions of the fund", `${short(data.fund_position_coins)} ${coin}`, "taken over, being unloaded"],
    ["Deleveraging rule", data.rule, data.title]]), split, tiers);
}

function treasuries(root, data, lab) {
  if (!data.companies.length) { put(root, el("p", "No treasury company trades here in this scenario.")); return; }
  const heads = ["company", `coins, ${lab.run.about.coin}`, "sold", "loan", "cash", "loan to value", "limit", "covenant at, USD", "distance", "mNAV", "breaches"];
  put(root, table(heads, data.companies.map((one) => ({ cells: [one.name, short(one.coins, 6), short(one.sold_coins, 6), usd(one.debt_usd), usd(one.cash_usd),
    { words: fixed(one.ltv_percent, 1, " %"), cls: one.ltv_percent > one.limit_percent ? "m-long" : "" }, fixed(one.limit_percent, 0, " %"),
    price(one.covenant_usd), fixed(one.distance_percent, 1, " %"), fixed(one.mnav, 2), String(one.breaches)] }))));
}

function bar(data, lab, pick) {
  const row = el("div", "", "row"), input = el("input", "", "text"), go = el("button", "Show account"), error = el("span", "", "error");
  Object.assign(input, { id: "account", value: lab.account >= 0 ? lab.account : "", placeholder: `0–${data.last_account}` });
  input.setAttribute("aria-label", "account"); input.setAttribute("aria-describedby", "account-error"); error.id = "account-error";
  const show = () => {
    const wanted = Number(input.value), bad = input.value.trim() === "" || !Number.isInteger(wanted) || wanted < 0 || wanted > data.last_account;
    error.textContent = bad ? `a whole number from 0 to ${data.last_account}` : "";
    input.setAttribute("aria-invalid", String(bad));
    if (!bad) { input.blur(); pick(wanted); }
  };
  go.type = "button"; go.onclick = show;
  input.onkeydown = (e) => { if (e.key === "Enter") show(); };
  row.append(el("span", `${data.with_position.toLocaleString("en")} accounts hold a position`), el("span", "", "spring"), error, input, go);
  for (const [key, words] of [["nearest", "nearest to liquidation"], ["largest", "largest"]]) {
    const button = el("button", words);
    button.type = "button"; button.setAttribute("aria-pressed", String(data.order === key)); button.onclick = () => pick(null, key);
    row.append(button);
  }
  return row;
}

function picked(one, coin) {
  const side = one.side > 0 ? "long" : "short";
  return [el("h2", `Account ${one.account}: ${one.kind}, ${one.mode} margin`), cards([
    ["Position", one.side ? `${side} ${short(Math.abs(one.coins), 5)} ${coin}` : "none", usd(one.notional_usd)],
    ["Entry", price(one.entry_usd)], ["Leverage now", fixed(one.leverage, 1, "×"), `chosen ${one.chosen_leverage}×`],
    ["Margin", usd(one.margin_usd), `cash ${usd(one.cash_usd)}`], ["Equity", usd(one.equity_usd), `profit ${usd(one.profit_usd)}`],
    ["Liquidation price", price(one.liquidation_usd), one.distance_percent === null ? "" : `${fixed(one.distance_percent, 2, " %")} from the mark`]])];
}

function story(lines, lab) {
  const list = el("ol", "", "story"), { start_ms, tick_s } = lab.run.about;
  for (const line of lines.slice(-30)) {
    const item = el("li");
    item.append(el("span", `${clock(start_ms + line.tick * tick_s * 1000)}  `, "note"), el("span", line.words, `m-${line.kind}`));
    list.append(item);
  }
  return [el("h2", `Its story: ${lines.length ? `${lines.length} forced trades and what touched it` : "nothing forced so far"}`), list];
}

function traders(root, data, lab, pick) {
  const typing = root.contains(document.activeElement) && document.activeElement.tagName === "INPUT";
  if (typing && root.querySelector("#account")) return;
  const coin = lab.run.about.coin, parts = [bar(data, lab, pick)];
  if (data.picked) parts.push(...picked(data.picked, coin), ...story(data.story, lab));
  parts.push(table(["account", "", coin, "value", "leverage", "entry", "liquidation", "distance", "equity"], data.rows.map((one) => ({
    key: one.account, picked: one.account === lab.account,
    cells: [`${one.account}  ${one.kind}, ${one.mode}`, { words: one.side > 0 ? "long" : "short", cls: one.side > 0 ? "m-long" : "m-short" }, short(Math.abs(one.coins), 4),
      usd(one.notional_usd), fixed(one.leverage, 1, "×"), price(one.entry_usd), price(one.liquidation_usd), fixed(one.distance_percent, 2, " %"), usd(one.equity_usd)],
  })), (account) => pick(account)));
  put(root, ...parts);
}

export const panels = { venue, treasuries, traders };
