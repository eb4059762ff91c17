// The lab's page: asks for frames, keeps columns, formats and draws. Every number comes from the server.
import * as draw from "/draw.js";
import { panels } from "/panels.js";
import { Tour } from "/tour.js";

const $ = (id) => document.getElementById(id);
const SPEEDS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 0];
const TABS = ["market", "book", "heatmap", "venue", "treasuries", "traders"];
export const lab = {
  session: "", run: null, epoch: -1, seen: -1, tab: "market", account: -1, order: "nearest", cursor: -1, follow: true, kind: "live",
  playing: false, shown: null, filter: "all", chosen: null, drawn: 0, frames: 0, presets: [], runs: [], map: [], values: {}, errors: 0,
};
window.lab = lab; // for tests and curious people

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return { ok: answer.ok, status: answer.status, ...(await answer.json()) };
}
export async function act(action, more = {}) {
  try {
    const answer = await post("/api/do", { session: lab.session, action, ...more });
    if (!answer.ok) show_errors(answer.errors); else if (action !== "chain" && action !== "check") show_errors({});
    return answer;
  } catch { banner("The server does not answer. If it was stopped, start it again and load this page."); return { ok: false }; }
}
function banner(words) { $("banner").hidden = !words; $("banner").textContent = words; }
function say(words) { $("said").textContent = words; }

// --- frames -----------------------------------------------------------------------------------------------------------
let generation = 0;
async function listen(mine) {
  while (mine === generation) {
    const have = lab.run && lab.run.epoch === lab.epoch ? lab.run : null;
    const query = new URLSearchParams({
      session: lab.session, epoch: lab.epoch, since: have ? have.arms[0].columns.seconds.length : 0, lines: have ? have.arms[0].lines.length : 0,
      seen: lab.seen, tab: lab.tab, account: lab.account, order: lab.order,
    });
    let frame;
    try {
      const answer = await fetch(`/api/frame?${query}`);
      frame = await answer.json();
      if (mine !== generation) return;
      if (!answer.ok) { banner(frame.errors?.[""] || "The server refused."); return; }
      if (lab.errors) { lab.errors = 0; banner(""); }
    } catch {
      if (mine !== generation) return;
      if (++lab.errors > 1) banner("The server does not answer. If it was stopped, start it again and load this page; finished runs are kept.");
      await new Promise((done) => setTimeout(done, 1000));
      continue;
    }
    take(frame);
    await new Promise((done) => { const go = setTimeout(done, 120); requestAnimationFrame(() => { clearTimeout(go); paint(); done(); }); });
  }
}

function take(frame) {
  lab.seen = frame.version; lab.playing = frame.playing; lab.kind = frame.kind;
  banner(frame.problem ? `The model stopped: ${frame.problem}` : frame.closed ? "This session has ended." : "");
  $("canvas").style.opacity = frame.building ? 0.35 : 1;
  if (frame.building) { $("tab-note").textContent = "building the model … (the first time on a machine it is compiled: some 15 s)"; return; }
  $("tab-note").textContent = "UTC, one axis for all panels";
  if (!frame.arms && !frame.about) { if (frame.tab?.name === lab.tab) lab.shown = frame.tab; return; }
  if (frame.about) {
    lab.epoch = frame.epoch; lab.cursor = -1; lab.follow = lab.kind === "live"; lab.chosen = null;
    lab.run = { epoch: frame.epoch, about: frame.about, arms: frame.arms.map(() => ({ columns: { seconds: [] }, bars: new Map(), bubbles: new Map(), lines: [], news: [] })) };
    fresh();
  }
  (frame.arms || []).forEach((arm, i) => {
    const mine = lab.run.arms[i];
    if (mine.columns.seconds.length === frame.since || !mine.columns.seconds.length)
      for (const [name, values] of Object.entries(arm.columns)) (mine.columns[name] ||= []).push(...values);
    for (const bin of arm.bars) mine.bars.set(bin[0], bin);
    for (const bin of arm.bubbles) mine.bubbles.set(bin[0], bin);
    if (i === 0 && mine.lines.length === frame.lines_from) mine.lines.push(...arm.lines);
    mine.news = arm.news; mine.running = arm.running;
  });
  if (frame.tab && (frame.tab.name === lab.tab || lab.kind === "replay")) lab.shown = frame.tab;
  lab.dirty = true;
}

function fresh() {
  const about = lab.run.about;
  $("name").textContent = about.name;
  $("about").textContent = `${about.venue} · ${about.accounts.toLocaleString("en")} accounts · seed ${about.seed}`;
  $("about").title = about.title;
  document.title = `${about.name} · deleverage`;
  build_controls();
  mode(lab.kind === "replay" ? "replay" : lab.run.arms.length > 1 ? "compare" : "live");
  lab.log_at = 0; $("log").replaceChildren(); $("why").replaceChildren();
  if (lab.kind === "replay") { lab.cursor = lab.run.arms[0].columns.seconds.length - 1; }
}
function mode(name) { for (const one of ["live", "replay", "compare"]) { $(`mode-${one}`).classList.toggle("on", one === name); $(`mode-${one}`).setAttribute("aria-pressed", one === name); } }

// --- painting ---------------------------------------------------------------------------------------------------------
export function upto() { const n = lab.run ? lab.run.arms[0].columns.seconds.length : 0; return lab.follow || lab.cursor < 0 ? n : Math.min(lab.cursor + 1, n); }
function paint() {
  if (!lab.run) return;
  const n = upto(), length = lab.run.arms[0].columns.seconds.length, key = [n, length, lab.seen, lab.tab, lab.follow, document.documentElement.dataset.theme, innerWidth, innerHeight, lab.force].join();
  if (key === lab.painted && !lab.dirty) return;
  lab.painted = key; lab.dirty = false; lab.frames++;
  const at = n - 1, whole = lab.kind === "replay" ? n : length;
  top_line(at); keys(at); log();
  const html = ["venue", "treasuries", "traders"].includes(lab.tab) || (lab.kind === "replay" && lab.tab === "book");
  $("panel").hidden = !html; $("canvas").hidden = html;
  const data = lab.shown?.name === lab.tab ? lab.shown : null;
  if (lab.tab === "market") lab.scale = draw.market($("canvas"), lab.run, { upto: lab.follow ? length : whole === n ? n : length, cursor: at, follow: lab.follow });
  else if (lab.kind === "replay" && lab.tab !== "traders") { $("panel").hidden = false; $("panel").textContent = "A finished run keeps no state of every tick: Book, Heatmap, Venue and Treasuries need a live model of the same scenario (Live)."; }
  else if (lab.tab === "book" && data?.data?.bids) draw.book($("canvas"), data.data);
  else if (lab.tab === "heatmap" && data?.data?.columns) lab.scale = draw.heatmap($("canvas"), lab.run, data.data.columns, n);
  else if (html && data) panels[lab.tab]($("panel"), data, lab, pick);
  const s = $("scrub"); s.max = Math.max(0, length - 1); if (document.activeElement !== s || lab.follow) s.value = Math.max(0, at);
  s.setAttribute("aria-valuetext", $("clock").textContent); $("latest").disabled = lab.follow;
  lab.tour?.look();
}

function top_line(at) {
  const about = lab.run.about, d = lab.run.arms[0].columns;
  $("clock").textContent = draw.clock(about.start_ms + (at >= 0 ? d.seconds[at] * 1000 : 0));
  $("tick").textContent = `UTC tick ${(at >= 0 ? d.tick[at] : 0).toLocaleString("en")} / ${about.ticks.toLocaleString("en")}`;
  const running = lab.playing || lab.replaying;
  $("play").querySelector("path").setAttribute("d", running ? "M3 2h4v12H3zM9 2h4v12H9z" : "M3 1.5v13L14 8z"); $("play").setAttribute("aria-label", running ? "pause" : "play");
  $("audit").textContent = lab.kind === "replay" ? "finished run" : at >= 0 ? "audit: every balance exact at every tick" : "";
}

const money = (v) => (v === null || v === undefined ? ["–", ""] : Math.abs(v) >= 1e9 ? [draw.minus((v / 1e9).toFixed(2)), "$bn"] : [draw.minus((v / 1e6).toFixed(Math.abs(v) >= 1e8 ? 0 : 1)), "$M"]);
const whole = (v) => (v === null || v === undefined ? "–" : draw.minus(Math.round(v).toLocaleString("en")));
function keys(at) {
  const arms = lab.run.arms, about = lab.run.about, read = (name, i = 0) => (at < 0 ? null : arms[i].columns[name]?.[Math.min(at, arms[i].columns.seconds.length - 1)] ?? null);
  const total = (i) => (read("liquidated_long_total_usd", i) ?? 0) + (read("liquidated_short_total_usd", i) ?? 0);
  const many = (i) => (read("liquidated_long_accounts_total", i) ?? 0) + (read("liquidated_short_accounts_total", i) ?? 0);
  const second = (show) => (arms.length > 1 ? `changed: ${show(1)}` : "");
  const liq = money(at < 0 ? null : total(0)), depth = money(read("depth_bid_usd")), fund = money(read("fund_usd")), adl = money(read("adl_total_usd"));
  const share = at >= 0 && total(0) > 0 ? (100 * read("liquidated_long_total_usd")) / total(0) : null;
  const fall = read("fall_percent"), ltv = read("treasury_ltv"), times = read("depth_bid_usd") ? about.depth_normal_usd / read("depth_bid_usd") : null;
  const rows = [
    ["Mark price", whole(read("mark_usd")), "USD", fall === null ? "" : `last ${draw.minus(fall.toFixed(2))} % since the start`, second((i) => whole(read("mark_usd", i))), ""],
    ["Liquidated", ...liq, share === null ? "nothing yet" : `long ${share.toFixed(0)} %`, second((i) => money(total(i)).join(" ")), ""],
    ["Liquidations", at < 0 ? "–" : whole(many(0)), "", `among ${whole(about.accounts)} retail accounts`, second((i) => whole(many(i))), ""],
    ["Bid depth within 1 %", ...depth, times === null ? "" : `normal / now: ${times.toFixed(1)}`, second((i) => money(read("depth_bid_usd", i)).join(" ")), ""],
    ["Insurance fund", ...fund, at < 0 ? "" : `${money(read("fund_change_usd")).join(" ")} since the start`, second((i) => money(read("fund_usd", i)).join(" ")), "fund"],
    ["Auto-deleveraged", ...adl, at < 0 ? "" : `${whole(read("adl_accounts_total"))} times an account`, second((i) => money(read("adl_total_usd", i)).join(" ")), "adl"],
    ["Treasuries", whole(read("treasury_sold_btc")), "BTC sold", ltv === null ? "no loan" : `loan to value ${(100 * ltv).toFixed(1)} %`, second((i) => whole(read("treasury_sold_btc", i))), "treasury"],
  ];
  $("keys").replaceChildren(...rows.map(([name, value, unit, note, other, colour]) => {
    const box = document.createElement("div"); box.className = "key"; box.dataset.key = name;
    const add = (tag, words, cls) => { const e = document.createElement(tag); e.textContent = words; if (cls) e.className = cls; box.append(e); return e; };
    add("span", name, "note"); const b = add("b", value); if (colour) b.style.color = `var(--${colour})`; add("span", unit, "unit"); add("span", note, "note").style.color = "var(--text)"; add("span", other, "note");
    return box;
  }));
}

const MARKS = { long: "▼", short: "▲", adl: "◆", fund: "■", treasury: "■", news: "●", market: "●" };
const FILTERS = { all: "All", liq: "Liq.", adl: "ADL", fund: "Fund", other: "Other" };
const passes = (line) => lab.filter === "all" || (lab.filter === "liq" ? ["long", "short"].includes(line.kind) : lab.filter === "other" ? ["news", "market", "treasury"].includes(line.kind) : line.kind === lab.filter);
const stamp = (tick) => draw.clock(lab.run.about.start_ms + tick * lab.run.about.tick_s * 1000);
function log() {
  const lines = lab.run.arms[0].lines, list = $("log");
  $("count").textContent = lines.length.toLocaleString("en");
  if (lab.log_at === lines.length) return;
  const made = document.createDocumentFragment(), news = lines.slice(lab.log_at).filter(passes).slice(-300).reverse();
  for (const line of news) {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button"; button.append(mark_of(line.kind), time_of(line.tick), document.createTextNode(line.words));
    const detail = document.createElement("span"); detail.className = "note"; detail.textContent = line.detail; button.append(detail);
    button.onclick = () => choose(line, button); item.append(button); made.append(item);
  }
  list.prepend(made); lab.log_at = lines.length;
  while (list.childElementCount > 300) list.lastChild.remove();
}
function mark_of(kind) { const e = document.createElement("span"); e.className = `m-${kind}`; e.textContent = MARKS[kind] || "●"; return e; }
function time_of(tick) { const e = document.createElement("time"); e.textContent = stamp(tick); return e; }
async function choose(line, button) {
  for (const other of $("log").querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
  button.setAttribute("aria-current", "true"); jump(line.tick);
  if (line.account >= 0) lab.account = line.account;
  const answer = await act("chain", { seq: line.seq });
  if (answer.ok) $("why").replaceChildren(...answer.chain.map((one) => { const li = document.createElement("li"); li.append(mark_of(one.kind), time_of(one.tick), document.createTextNode(one.words)); return li; }));
}
export function jump(tick) {
  const ticks = lab.run.arms[0].columns.tick || []; let at = ticks.findIndex((t) => t >= tick);
  if (at < 0) at = ticks.length - 1;
  lab.cursor = at; lab.follow = false; lab.dirty = true; paint();
}
export function pick(account, order) { if (account !== null) lab.account = account; if (order) lab.order = order; again(); }
// ask at once instead of after the present wait
function again() { generation++; lab.dirty = true; lab.seen = -1; listen(generation); }

// --- controls ---------------------------------------------------------------------------------------------------------
function build_controls() {
  const about = lab.run.about, root = $("controls"), values = {}; root.replaceChildren();
  const heading = (words) => { const h = document.createElement("h2"); h.textContent = words; root.append(h); };
  heading("Scenario");
  const preset = document.createElement("div"); preset.className = "control";
  preset.innerHTML = '<select id="preset" aria-label="preset"></select><p class="error" data-for="preset"></p>';
  for (const one of lab.presets) { const o = new Option(one.name, one.name); o.title = one.title; preset.firstChild.append(o); }
  if (!lab.presets.some((one) => one.name === about.source)) preset.firstChild.append(new Option(about.source, ""));
  preset.firstChild.value = lab.presets.some((one) => one.name === about.source) ? about.source : "";
  preset.firstChild.onchange = () => reset(true); root.append(preset);
  let group = "";
  for (const one of about.controls) {
    if (one.group !== group) heading((group = one.group));
    values[one.key] = one.value;
    root.append(control(one));
  }
  lab.values = values; lab.given = { ...values }; pending();
  for (const e of root.querySelectorAll("input, select")) e.disabled = lab.kind === "replay";
}

function control(one) {
  const box = document.createElement("div"), id = `c-${one.key}`; box.className = "control"; box.dataset.key = one.key; box.title = one.path;
  const label = document.createElement("label"); label.htmlFor = id; label.textContent = one.label;
  const row = document.createElement("div"); row.className = "row"; row.append(label);
  const note = document.createElement("p"); note.className = "note"; note.textContent = one.line; note.id = `${id}-line`;
  const error = document.createElement("p"); error.className = "error"; error.dataset.for = one.key; error.id = `${id}-error`;
  const set = (value) => { lab.values[one.key] = value; box.classList.toggle("changed", value !== lab.given[one.key]); pending(); check(); };
  if (one.kind === "switch") {
    const input = Object.assign(document.createElement("input"), { type: "checkbox", id, checked: one.value }); input.onchange = () => set(input.checked); row.append(input);
    box.append(row, note, error);
  } else if (one.kind === "select") {
    const input = document.createElement("select"); input.id = id;
    for (const [value, words] of Object.entries(one.choices)) input.append(new Option(words, value));
    input.value = one.value; input.onchange = () => set(input.value); box.append(row, input, note, error);
  } else {
    const input = Object.assign(document.createElement("input"), { type: "text", className: "text", id, value: draw.minus(one.value), inputMode: "decimal" });
    const unit = document.createElement("span"); unit.className = "note"; unit.textContent = one.unit; row.append(input, unit); box.append(row);
    const read = () => { const text = input.value.trim().replace("−", "-").replace(/,/g, ""), v = Number(text); return text !== "" && Number.isFinite(v) ? v : input.value; };
    if (one.kind === "slider") {
      const slider = Object.assign(document.createElement("input"), { type: "range", min: one.low, max: one.high, step: one.step, value: one.value }); slider.setAttribute("aria-label", `${one.label}, ${one.unit}`);
      slider.oninput = () => { input.value = draw.minus(slider.value); set(Number(slider.value)); };
      input.oninput = () => { const v = read(); if (typeof v === "number") slider.value = v; set(v); }; box.append(slider);
    } else input.oninput = () => set(read());
    input.setAttribute("aria-describedby", `${note.id} ${error.id}`); box.append(note, error);
  }
  return box;
}
function changed() { return Object.fromEntries(Object.entries(lab.values).filter(([key, value]) => value !== lab.given[key])); }
function pending() { const many = Object.keys(changed()).length; $("pending").textContent = many ? `● ${many} changed; applies on reset` : ""; $("pending").style.color = many ? "var(--text)" : ""; }
let checking = 0;
function check() { clearTimeout(checking); checking = setTimeout(async () => { const answer = await act("check", { values: lab.values }); if (answer.ok) show_errors({}); }, 150); }
function show_errors(errors = {}) {
  for (const e of document.querySelectorAll(".error")) {
    const words = errors[e.dataset.for] || ""; if (e.textContent !== words) e.textContent = words;
    const input = document.getElementById(e.dataset.for === "shock" ? "shock" : `c-${e.dataset.for}`); if (input) input.setAttribute("aria-invalid", words ? "true" : "false");
  }
  const known = new Set([...document.querySelectorAll(".error")].map((e) => e.dataset.for)), others = Object.entries(errors).filter(([key]) => !known.has(key));
  if (others.length) $("general-error").textContent = others.map(([key, words]) => `${key}: ${words}`).join("; ");
}
async function reset(preset = false) {
  const name = $("preset")?.value || "", body = preset ? { preset: name, values: {} } : { values: lab.values };
  const answer = await act("reset", body); if (answer.ok) say("");
}

// --- buttons and keys -------------------------------------------------------------------------------------------------
async function play() {
  if (lab.kind === "replay") { lab.replaying = !lab.replaying; if (lab.replaying && upto() >= lab.run.arms[0].columns.seconds.length) lab.cursor = 0; lab.follow = false; if (lab.replaying) roll(); lab.dirty = true; paint(); return; }
  lab.follow = true; await act(lab.playing ? "pause" : "play");
}
function roll() {
  let before = performance.now(), left = 0;
  const next = (now) => {
    if (!lab.replaying || lab.kind !== "replay") return;
    const speed = SPEEDS[$("speed").value] || 1200, n = lab.run.arms[0].columns.seconds.length;
    left += ((now - before) / 1000) * speed / lab.run.about.tick_s; before = now;
    const go = Math.floor(left); left -= go; lab.cursor = Math.min(lab.cursor + go, n - 1);
    if (lab.cursor >= n - 1) lab.replaying = false;
    lab.dirty = true; paint(); requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}
function step() { if (lab.kind === "replay" || !lab.follow) { const n = lab.run.arms[0].columns.seconds.length; lab.cursor = Math.min(lab.cursor + 1, n - 1); lab.follow = lab.kind === "live" && lab.cursor >= n - 1; lab.dirty = true; paint(); } else act("step"); }
function speed() { const v = SPEEDS[$("speed").value]; $("speed-out").textContent = v ? `${v}×` : "max"; if (lab.kind === "live") act("speed", { times: v }); }
function tab(name) {
  lab.tab = name; lab.shown = null;
  for (const b of document.querySelectorAll("#tabs button")) b.setAttribute("aria-selected", b.dataset.tab === name);
  again(); paint();
}
function theme() { const now = document.documentElement.dataset.theme === "dark" ? "light" : "dark"; document.documentElement.dataset.theme = now; try { localStorage.setItem("theme", now); } catch { /* private window */ } lab.dirty = true; paint(); }
async function toml() {
  const answer = await act("toml"); if (!answer.ok) return;
  lab.toml = answer.toml;
  let copied = false; try { await navigator.clipboard.writeText(answer.toml); copied = true; } catch { /* no permission: the text is shown */ }
  const pre = document.createElement("pre"); pre.textContent = answer.toml; pre.tabIndex = 0;
  dialog(copied ? "Copied: this scenario as TOML" : "This scenario as TOML", pre);
}
function dialog(title, ...body) { $("dialog-title").textContent = title; $("dialog-body").replaceChildren(...body); if (!$("dialog").open) $("dialog").showModal(); }
function picture() {
  const link = document.createElement("a"); link.download = `${lab.run.about.name}-${lab.tab}-tick${upto()}.png`; link.href = $("canvas").toDataURL("image/png"); link.click(); say(`saved ${link.download}`);
}
function help() {
  const p = document.createElement("p"); p.innerHTML = "<b>space</b> play or pause · <b>→</b> one tick · <b>[ ]</b> speed · <b>1–6</b> tabs · <b>R</b> reset · <b>T</b> tour · <b>D</b> dark or light · <b>End</b> latest tick.<br><br>A control that you change applies on <b>Reset</b>, so that a run always belongs to one scenario. <b>Shock</b> is news of your own: it acts in the next tick and becomes part of the scenario that <b>Copy as TOML</b> gives. Click an event to see its moment and what caused it.";
  dialog("Keys", p);
}
async function replay() {
  const answer = await fetch("/api/runs").then((a) => a.json()).catch(() => ({ runs: lab.runs }));
  const runs = answer.runs || lab.runs, box = document.createElement("div");
  if (!runs.length) box.textContent = "There is no finished run in runs/ yet. Make one: deleverage run tiny";
  for (const name of runs) { const b = document.createElement("button"); b.textContent = name; b.style.margin = "2px"; b.onclick = () => { $("dialog").close(); open({ run: name }); }; box.append(b); }
  dialog("Replay a finished run", box);
}
async function open(wish) {
  generation++; const before = lab.session; lab.epoch = -1; lab.seen = -1; lab.run = null; lab.replaying = false; lab.shown = null;
  if (before) post("/api/close", { session: before }).catch(() => {});
  const answer = await post("/api/open", wish);
  if (!answer.ok) { banner(answer.errors[""] || "cannot open"); if (wish.run) open({ mode: "live" }); return; }
  Object.assign(lab, { session: answer.session, presets: answer.presets, runs: answer.runs }); listen(generation);
}
window.addEventListener("pagehide", () => { if (lab.session) navigator.sendBeacon("/api/close", JSON.stringify({ session: lab.session })); });

$("play").onclick = play; $("step").onclick = step; $("reset").onclick = () => reset(); $("apply").onclick = () => reset(); $("speed").oninput = speed;
$("shock-go").onclick = async () => { const answer = await act("shock", { percent: $("shock").value }); if (answer.ok) say(`shock of ${$("shock").value} % acts in the next tick`); };
$("shock").onkeydown = (e) => { if (e.key === "Enter") $("shock-go").click(); };
$("toml").onclick = toml; $("share").onclick = toml; $("picture").onclick = picture; $("theme").onclick = theme; $("tour").onclick = () => lab.tour.begin();
$("latest").onclick = () => { lab.follow = lab.kind === "live"; lab.cursor = (lab.run?.arms[0].columns.seconds.length || 0) - 1; lab.dirty = true; paint(); };
$("scrub").oninput = () => { lab.cursor = Number($("scrub").value); lab.follow = false; lab.dirty = true; paint(); };
$("mode-live").onclick = () => (lab.kind === "replay" ? open({ mode: "live" }) : lab.run?.arms.length > 1 ? act("reset", { values: {} }) : 0);
$("mode-replay").onclick = replay; $("mode-compare").onclick = () => (lab.kind === "replay" ? 0 : act("compare", { values: lab.values }));
for (const b of document.querySelectorAll("#tabs button")) b.onclick = () => tab(b.dataset.tab);
for (const [key, words] of Object.entries(FILTERS)) {
  const b = document.createElement("button"); b.textContent = words; b.setAttribute("aria-pressed", key === "all");
  b.onclick = () => { lab.filter = key; for (const o of $("filters").children) o.setAttribute("aria-pressed", o === b); $("log").replaceChildren(); lab.log_at = 0; log(); }; $("filters").append(b);
}
document.addEventListener("keydown", (e) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName) && e.target.type !== "checkbox" && e.target.type !== "range";
  if (typing || e.ctrlKey || e.metaKey || e.altKey || $("dialog").open) return;
  const range = e.target.type === "range", button = e.target.tagName === "BUTTON";
  if (e.key === " " && !button) { e.preventDefault(); play(); } else if (e.key === "ArrowRight" && !range) step();
  else if (e.key === "[" || e.key === "]") { $("speed").value = Number($("speed").value) + (e.key === "]" ? 1 : -1); speed(); }
  else if (e.key >= "1" && e.key <= "6") tab(TABS[e.key - 1]); else if (e.key === "t" || e.key === "T") lab.tour.begin();
  else if (e.key === "d" || e.key === "D") theme(); else if (e.key === "r" || e.key === "R") reset(); else if (e.key === "?") help(); else if (e.key === "End") $("latest").click();
});
const at_pointer = (e) => { const box = $("canvas").getBoundingClientRect(), s = ((e.clientX - box.left - lab.scale.from) / lab.scale.width) * lab.scale.duration, xs = lab.run.arms[0].columns.seconds; let a = 0, b = xs.length - 1; while (a < b) { const m = (a + b) >> 1; if (xs[m] < s) a = m + 1; else b = m; } return b < 0 || s < 0 || s > xs[b] + lab.run.about.duration_s / 50 ? -1 : a; };
$("canvas").onmousemove = (e) => {
  const at = lab.run && lab.scale && lab.tab === "market" ? at_pointer(e) : -1, tip = $("tip"); tip.hidden = at < 0; if (at < 0) return;
  const d = lab.run.arms[0].columns, usd = (v) => (v ?? NaN).toLocaleString("en", { maximumFractionDigits: 1 });
  tip.textContent = `${stamp(d.tick[at])}\nperpetual  ${usd(d.perp_usd[at])}\nmark  ${usd(d.mark_usd[at])}\nspot  ${usd(d.spot_usd[at])}\nfair value  ${usd(d.fair_usd[at])}\ndepth bid  ${money(d.depth_bid_usd[at]).join(" ")}\nfunding  ${draw.minus((d.funding_bp_8h[at] ?? 0).toFixed(2))} bp / 8 h`;
  const box = $("stage").getBoundingClientRect(), x = e.clientX - box.left; tip.style.left = `${x > box.width - 170 ? x - 160 : x + 14}px`; tip.style.top = `${Math.min(e.clientY - box.top, box.height - 120)}px`;
};
$("canvas").onmouseleave = () => { $("tip").hidden = true; };
$("canvas").onclick = (e) => { const at = lab.run && lab.scale && lab.tab === "market" ? at_pointer(e) : -1; if (at >= 0) { lab.cursor = at; lab.follow = false; lab.dirty = true; paint(); } };
addEventListener("resize", () => { lab.dirty = true; paint(); });
setInterval(() => { $("rate").textContent = lab.playing ? `${lab.frames} frames/s` : ""; lab.rate = lab.frames; lab.frames = 0; }, 1000);

try { document.documentElement.dataset.theme = localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"); } catch { /* light */ }
lab.tour = new Tour(lab, { act, tab, jump });
document.fonts?.ready.then(() => { lab.dirty = true; paint(); });
open({});
