// The right side: events, filtered; a click jumps to the tick and tells what the event goes back to.
import { clock } from "/format.js";
import { $, act, lab } from "/state.js";

const MARKS = { long: "▼", short: "▲", adl: "◆", fund: "■", treasury: "■", news: "●", market: "●" };
const FILTERS = { all: "All", liq: "Liq.", adl: "ADL", fund: "Fund", other: "Other" };
const KINDS = { liq: ["long", "short"], adl: ["adl"], fund: ["fund"], other: ["news", "market", "treasury"] };
const SHOWN = 300;
const passes = (line) => lab.filter === "all" || KINDS[lab.filter].includes(line.kind);
export const stamp = (tick) => clock(lab.run.about.start_ms + tick * lab.run.about.tick_s * 1000);
let told = 0, jump = () => {};

export function begin_log(jump_to) {
  jump = jump_to;
  for (const [key, words] of Object.entries(FILTERS)) {
    const button = document.createElement("button");
    button.type = "button"; button.textContent = words; button.setAttribute("aria-pressed", String(key === "all"));
    button.onclick = () => {
      lab.filter = key;
      for (const other of $("filters").children) other.setAttribute("aria-pressed", String(other === button));
      clear_log(); log();
    };
    $("filters").append(button);
  }
}
export function clear_log() { told = 0; $("log").replaceChildren(); $("why").replaceChildren(); }

export function log() {
  const { lines } = lab.run.arms[lab.arm] || lab.run.arms[0], list = $("log");
  $("count").textContent = lines.length.toLocaleString("en");
  if (told === lines.length) return;
  const made = document.createDocumentFragment(), fresh = lines.slice(told).filter(passes).slice(-SHOWN).reverse();
  for (const line of fresh) made.append(entry(line));
  list.prepend(made); told = lines.length;
  while (list.childElementCount > SHOWN) list.lastChild.remove();
}

function entry(line) {
  const item = document.createElement("li"), button = document.createElement("button"), detail = document.createElement("span");
  button.type = "button"; button.append(mark_of(line.kind), time_of(line.tick), document.createTextNode(line.words));
  detail.className = "note"; detail.textContent = line.detail; button.append(detail);
  button.onclick = () => choose(line, button);
  item.append(button);
  return item;
}
function mark_of(kind) {
  const e = document.createElement("span");
  e.className = `m-${kind}`; e.textContent = MARKS[kind] || "●"; e.setAttribute("aria-hidden", "true");
  return e;
}
function time_of(tick) { const e = document.createElement("time"); e.textContent = stamp(tick); return e; }

async function choose(line, button) {
  for (const other of $("log").querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
  button.setAttribute("aria-current", "true");
  if (line.account >= 0) lab.account = line.account;
  jump(line.tick);
  const answer = await act("chain", { seq: line.seq, arm: lab.arm });
  if (!answer.ok) return;
  $("why").replaceChildren(...answer.chain.map((one) => {
    const item = document.createElement("li"), words = document.createElement("span");
    words.textContent = one.words; item.append(mark_of(one.kind), time_of(one.tick), words);
    return item;
  }));
}
