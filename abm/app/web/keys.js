// The key figures on top, as of the tick shown; with two models the second stands below the first.
import { fixed, money, whole } from "/format.js";
import { $, lab } from "/state.js";

export function keys(at) {
  const { arms, about } = lab.run;
  const read = (name, i = 0) => (at < 0 ? null : (arms[i].columns[name]?.[Math.min(at, arms[i].columns.seconds.length - 1)] ?? null));
  const sum = (i, ...names) => (at < 0 ? null : names.reduce((total, name) => total + (read(name, i) ?? 0), 0));
  const total = (i) => sum(i, "liquidated_long_total_usd", "liquidated_short_total_usd");
  const second = (show) => (arms.length > 1 ? `${about.arms[1]}: ${show(1)}` : "");
  const usd = (name) => second((i) => money(read(name, i)).join(" "));
  const share = total(0) > 0 ? (100 * read("liquidated_long_total_usd")) / total(0) : null, fall = read("fall_percent"), ltv = read("treasury_ltv");
  const depth = read("depth_bid_usd"), times = depth ? about.depth_normal_usd / depth : null;
  const accounts = (i) => sum(i, "liquidated_long_accounts_total", "liquidated_short_accounts_total");
  const rows = [
    ["Mark price", whole(read("mark_usd")), "USD", fall === null ? "" : `last ${fixed(fall, 2)} % since the start`, second((i) => whole(read("mark_usd", i)))],
    ["Liquidated", ...money(total(0)), share === null ? "nothing yet" : `long ${fixed(share, 0)} %`, second((i) => money(total(i)).join(" "))],
    ["Liquidations", whole(accounts(0)), "", `among ${whole(about.accounts)} retail accounts`, second((i) => whole(accounts(i)))],
    ["Bid depth within 1 %", ...money(depth), times === null ? "" : times >= 1.05 ? `${fixed(times, 1)}× below normal` : "normal", usd("depth_bid_usd")],
    ["Insurance fund", ...money(read("fund_usd")), at < 0 ? "" : `${money(read("fund_change_usd")).join(" ")} since the start`, usd("fund_usd"), "fund"],
    ["Auto-deleveraged", ...money(read("adl_total_usd")), at < 0 ? "" : `${whole(read("adl_accounts_total"))} times an account`, usd("adl_total_usd"), "adl"],
    ["Treasuries", whole(read("treasury_sold_btc")), `${about.coin} sold`, ltv === null ? "no loan" : `loan to value ${fixed(100 * ltv, 1)} %`, second((i) => whole(read("treasury_sold_btc", i))), "treasury"],
  ];
  if ($("keys").childElementCount !== rows.length) $("keys").replaceChildren(...rows.map(box));
  rows.forEach(([name, value, unit, note, other, colour], k) => {
    const words = [name, value, unit, note, other], parts = $("keys").children[k].children;
    $("keys").children[k].dataset.key = name;
    words.forEach((one, j) => { if (parts[j].textContent !== one) parts[j].textContent = one; });
    parts[1].style.color = colour ? `var(--${colour})` : "";
  });
}

function box() {
  const made = document.createElement("div");
  made.className = "key";
  for (const [tag, cls] of [["span", "note"], ["b", ""], ["span", "unit"], ["span", "note strong"], ["span", "note"]]) {
    const part = document.createElement(tag);
    part.className = cls; made.append(part);
  }
  return made;
}
