// The lab's page: asks for frames, keeps columns, paints. Numbers are the server's; here they are only formatted.
import { book, heatmap } from "/book.js";
import * as charts from "/charts.js";
import { build_controls, reset } from "/controls.js";
import { fit } from "/draw.js";
import { clock, fixed, money, none } from "/format.js";
import { keys } from "/keys.js";
import { begin_log, clear_log, log, stamp } from "/log.js";
import { market } from "/market.js";
import { panels } from "/panels.js";
import * as save from "/save.js";
import { $, act, banner, dialog, lab, post, say } from "/state.js";
import { Tour } from "/tour.js";

const SPEEDS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 0];
const TABS = ["market", "book", "heatmap", "venue", "treasuries", "traders"];
const TABLES = new Set(["venue", "treasuries", "traders"]);
const AGAIN_MS = 150; // while the model runs, a tab is read at most so often

// --- frames: new ticks as they come ---------------------------------------------------------------------------------------
let generation = 0, hang_up = null;
const ticks = () => lab.run?.arms[0].columns.seconds.length ?? 0;

async function listen(mine) {
  while (mine === generation) {
    const have = lab.run && lab.run.about.place === lab.place ? lab.run : null;
    const query = new URLSearchParams({ session: lab.session, epoch: have ? lab.epoch : -1, since: have ? ticks() : 0,
      lines: have ? have.arms.map((arm) => arm.lines.length).join() : "", seen: have ? lab.seen : -1, place: lab.place });
    try {
      hang_up = new AbortController();
      const answer = await fetch(`/api/frame?${query}`, { signal: hang_up.signal }), frame = await answer.json();
      if (mine !== generation) return;
      if (!answer.ok) { banner(frame.errors?.[""] || "The server refused."); return; }
      if (lab.errors) { lab.errors = 0; banner(""); }
      take(frame);
    } catch (error) {
      if (mine !== generation) return;
      if (error.name !== "AbortError" && error.name !== "TypeError") throw error;
      if (++lab.errors > 1) banner("The server does not answer. If it was stopped, start it again and load this page; finished runs are kept.");
      await new Promise((done) => setTimeout(done, 1000));
      continue;
    }
    await new Promise((done) => { const go = setTimeout(done, 120); requestAnimationFrame(() => { clearTimeout(go); paint(); done(); }); });
  }
}
function listen_again() { generation++; hang_up?.abort(); listen(generation); }

function take(frame) {
  lab.seen = frame.version; lab.playing = frame.playing; lab.kind = frame.kind; lab.rebuilt = frame.rebuilt ?? 0; lab.note = frame.note ?? "";
  banner(frame.problem ? `The model stopped: ${frame.problem}` : frame.closed ? "This session has ended." : "");
  $("stage").classList.toggle("building", frame.building);
  lab.building = frame.building; lab.dirty = true;
  if (frame.building || !frame.arms) return;
  if (frame.about) begin_run(frame);
  frame.arms.forEach((arm, i) => {
    const mine = lab.run.arms[i];
    if (mine.columns.seconds.length === frame.since) for (const [name, values] of Object.entries(arm.columns)) append((mine.columns[name] ||= []), values);
    for (const bin of arm.bars) mine.bars.set(bin[0], bin);
    for (const bin of arm.bubbles) mine.bubbles.set(bin[0], bin);
    if (mine.lines.length === frame.lines_from[i]) append(mine.lines, arm.lines);
    mine.news = arm.news; mine.running = arm.running;
  });
  if (frame.about && lab.kind === "replay" && !lab.follow) lab.cursor = lab.cursor < 0 ? ticks() - 1 : Math.min(lab.cursor, ticks() - 1);
}
function append(list, values) { for (let i = 0; i < values.length; i++) list.push(values[i]); }

function begin_run(frame) {
  const same = lab.run && lab.epoch === frame.epoch; // another place of the same run: the moment stays
  lab.epoch = frame.epoch; lab.shown = null; lab.maps = [];
  if (!same) { lab.cursor = -1; lab.follow = lab.kind === "live"; lab.arm = 0; }
  lab.run = { epoch: frame.epoch, about: frame.about, arms: frame.arms.map(() => ({ columns: { seconds: [] }, bars: new Map(), bubbles: new Map(), lines: [], news: [] })) };
  const { about } = lab.run;
  $("name").textContent = about.name;
  $("about").textContent = `${about.places.length > 1 ? "" : `${about.venue} · `}${about.accounts.toLocaleString("en")} accounts · seed ${about.seed}`;
  $("about").title = about.title; document.title = `${about.name} · deleverage`;
  choices($("place"), about.places, about.place); choices($("arm"), about.arms, lab.arm);
  if (!same) build_controls();
  const shown = lab.kind === "replay" ? "replay" : about.arms.length > 1 ? "compare" : "live";
  for (const one of ["live", "replay", "compare"]) { $(`mode-${one}`).classList.toggle("on", one === shown); $(`mode-${one}`).setAttribute("aria-pressed", String(one === shown)); }
  clear_log();
}
function choices(select, names, chosen) {
  select.replaceChildren(...names.map((words, i) => new Option(words, i)));
  select.value = chosen; select.hidden = names.length < 2;
}

// --- tabs: the state at the tick shown ----------------------------------------------------------------------------------
let asking = false, answered = "";
const tick_shown = () => (lab.follow ? -1 : upto() ? lab.run.arms[0].columns.tick[upto() - 1] : 0);
function tab_key() {
  const at = tick_shown(), waits = lab.kind === "replay" && lab.shown && !lab.shown.arms[0].data ? lab.rebuilt + lab.note : "";
  return [lab.session, lab.epoch, lab.tab, lab.place, at, at < 0 ? `${ticks()} ${lab.run.about.ticks}` : "", lab.account, lab.order, waits].join();
}

async function ask_tab() {
  if (lab.tab === "market" || !lab.run || lab.building || asking || tab_key() === answered) return;
  const key = tab_key(), have = lab.tab === "heatmap" ? Math.min(...lab.run.arms.map((_, i) => lab.maps[i]?.columns.length ?? 0)) : 0;
  asking = true;
  const query = new URLSearchParams({ session: lab.session, tab: lab.tab, place: lab.place, at: tick_shown(), account: lab.account, order: lab.order, have });
  const [name, session] = [lab.tab, lab.session];
  try {
    const answer = await fetch(`/api/tab?${query}`), found = await answer.json();
    if (answer.ok && session === lab.session && found.epoch === lab.epoch && found.place === lab.place) {
      const whole = lab.kind === "replay" || found.arms.every((arm) => arm.data);
      answered = whole ? key : "";
      if (whole && name === "heatmap") keep_map(found, have);
      if (whole && name === lab.tab) { lab.shown = found; lab.rebuilt = found.rebuilt ?? 0; lab.note = found.note ?? ""; lab.dirty = true; }
    }
  } catch { /* the listener says that the server is gone */ }
  asking = false;
  if (lab.dirty) paint();
  setTimeout(ask_tab, lab.playing || !answered ? AGAIN_MS : 30);
}

function keep_map(found, have) {
  found.arms.forEach(({ data }, i) => {
    if (!data) return;
    const map = (lab.maps[i] ||= { edges: data.edges_usd, columns: [] });
    map.columns.length = Math.min(map.columns.length, have);
    append(map.columns, data.columns);
  });
}

// --- painting -----------------------------------------------------------------------------------------------------------
export function upto() { return lab.follow || lab.cursor < 0 ? ticks() : Math.min(lab.cursor + 1, ticks()); }

// How the chart of the present tab is drawn on a surface, null where there is none (yet).
function drawing() {
  const view = { n: upto(), follow: lab.follow }, { run } = lab, shown = lab.shown?.name === lab.tab && lab.shown.arms.every((arm) => arm.data) ? lab.shown.arms : null;
  if (lab.tab === "market") return (surface) => market(surface, run, view);
  if (lab.tab === "heatmap") return lab.maps.length ? (surface) => heatmap(surface, run, lab.maps, view) : null;
  if (!shown) return null;
  if (lab.tab === "book") return (surface) => book(surface, run, shown);
  if (lab.tab === "venue") return (surface) => charts.venue(surface, run, shown, view);
  if (lab.tab === "treasuries") return shown[0].data.companies.length ? (surface) => charts.treasuries(surface, run, shown, view) : null;
  return shown[0].data.picked ? (surface) => charts.account(surface, run, shown, view) : null;
}

let painted = "";
function paint() {
  if (!lab.run) return;
  const key = [upto(), ticks(), lab.seen, lab.tab, lab.follow, document.documentElement.dataset.theme, innerWidth, innerHeight].join();
  if (key === painted && !lab.dirty) return;
  painted = key; lab.dirty = false; lab.frames++; lab.painted++;
  top_line(upto() - 1); keys(upto() - 1); log();
  const draw = drawing(), data = TABLES.has(lab.tab) && lab.shown?.name === lab.tab ? (lab.shown.arms[lab.arm] || lab.shown.arms[0]).data : null;
  $("stage").dataset.tab = lab.tab; $("canvas").hidden = !draw; $("panel").hidden = !data; $("wait").hidden = Boolean(draw || data);
  $("wait").textContent = waiting(); $("tab-note").textContent = note();
  if (draw) lab.scale = draw(fit($("canvas"))) || null;
  if (data) panels[lab.tab]($("panel"), data, lab, pick);
  const scrub = $("scrub");
  scrub.max = Math.max(0, ticks() - 1);
  if (document.activeElement !== scrub || lab.follow || lab.replaying) scrub.value = Math.max(0, upto() - 1);
  scrub.setAttribute("aria-valuetext", $("clock").textContent); $("latest").disabled = lab.follow;
  lab.tour?.look();
  ask_tab();
}
function waiting() {
  if (lab.building) return "building the model … (the first time on a machine it is compiled: some 15 s)";
  if (lab.kind !== "replay") return "…";
  return lab.note || `making the run again, tick by tick, each compared with the one on disk: ${lab.rebuilt.toLocaleString("en")} of ${ticks().toLocaleString("en")} ticks so far`;
}
function note() {
  const read = lab.shown?.arms[0].tick;
  if (lab.building) return "building the model …";
  if (lab.tab === "market") return "UTC, one axis for all panels";
  if (lab.shown?.name !== lab.tab || none(read) || read < 0) return "";
  return lab.tab === "heatmap" ? "until the tick shown" : `as of ${stamp(read)}, tick ${read.toLocaleString("en")}`;
}

function top_line(at) {
  const { about } = lab.run, d = lab.run.arms[0].columns, running = lab.playing || lab.replaying;
  $("clock").textContent = clock(about.start_ms + (at >= 0 ? d.seconds[at] * 1000 : 0));
  $("tick").textContent = `UTC tick ${(at >= 0 ? d.tick[at] : 0).toLocaleString("en")} / ${about.ticks.toLocaleString("en")}`;
  $("play").querySelector("path").setAttribute("d", running ? "M3 2h4v12H3zM9 2h4v12H9z" : "M3 1.5v13L14 8z");
  $("play").setAttribute("aria-label", running ? "pause" : "play");
  $("audit").textContent = lab.kind === "replay" ? "finished run" : at >= 0 ? "audit: every balance exact at every tick" : "";
}

export function jump(tick) {
  const list = lab.run.arms[0].columns.tick || [], at = list.findIndex((one) => one >= tick);
  go_to(at < 0 ? list.length - 1 : at);
}
function go_to(at) { lab.cursor = at; lab.follow = false; lab.dirty = true; paint(); }
function pick(account, order) { if (account !== null) lab.account = account; if (order) lab.order = order; lab.dirty = true; paint(); }

// --- buttons ------------------------------------------------------------------------------------------------------------
async function play() {
  if (lab.kind !== "replay") { lab.follow = true; await act(lab.playing ? "pause" : "play"); return; }
  lab.replaying = !lab.replaying; lab.follow = false;
  if (lab.replaying && upto() >= ticks()) lab.cursor = 0;
  lab.dirty = true; paint();
  if (lab.replaying) roll();
}
function roll() {
  let before = performance.now(), left = 0;
  const next = (now) => {
    if (!lab.replaying || lab.kind !== "replay" || !lab.run) return;
    left += ((now - before) / 1000) * (SPEEDS[$("speed").value] || 1200) / lab.run.about.tick_s; before = now;
    const go = Math.floor(left);
    left -= go; lab.cursor = Math.min(lab.cursor + go, ticks() - 1);
    if (lab.cursor >= ticks() - 1) lab.replaying = false;
    lab.dirty = true; paint(); requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}
function step() {
  if (lab.kind === "live" && lab.follow) { act("step"); return; }
  go_to(Math.min(lab.cursor + 1, ticks() - 1));
  if (lab.kind === "live" && lab.cursor >= ticks() - 1) latest();
}
function latest() { lab.follow = lab.kind === "live"; lab.cursor = ticks() - 1; lab.dirty = true; paint(); }
function speed() {
  const times = SPEEDS[$("speed").value];
  $("speed-out").textContent = times ? `${times}×` : "max";
  if (lab.kind === "live") act("speed", { times });
}
function tab(name) {
  lab.tab = name; lab.shown = null; answered = "";
  for (const button of document.querySelectorAll("#tabs button")) button.setAttribute("aria-selected", String(button.dataset.tab === name));
  lab.dirty = true; paint();
}
function theme() {
  const now = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = now;
  try { localStorage.setItem("theme", now); } catch { /* private window */ }
  lab.dirty = true; paint();
}

async function toml() {
  const answer = await act("toml");
  if (!answer.ok) return;
  lab.toml = answer.toml;
  let copied = false;
  try { await navigator.clipboard.writeText(answer.toml); copied = true; } catch { /* no permission: the text is shown */ }
  const pre = document.createElement("pre");
  pre.textContent = answer.toml; pre.tabIndex = 0;
  dialog(copied ? "Copied: this scenario as TOML" : "This scenario as TOML", pre);
}

// PNG and SVG of what is seen, CSV of the numbers behind it.
export async function file(kind) {
  const draw = drawing(), panel = $("panel").hidden ? null : $("panel"), name = `${lab.run.about.name}-${lab.tab}-tick${upto() ? lab.run.arms[0].columns.tick[upto() - 1] : 0}`;
  if (kind === "csv") {
    const parts = lab.run.arms.map((_, i) => save.csv(lab, upto(), i));
    return { name: `${name}.csv`, body: new Blob([parts.length > 1 ? parts.map((part, i) => `# ${lab.run.about.arms[i]}\n${part}`).join("\n") : parts[0]], { type: "text/csv" }) };
  }
  const body = kind === "svg" ? new Blob([save.svg($("canvas"), panel, draw)], { type: "image/svg+xml" }) : await save.png($("canvas"), panel, draw);
  return { name: `${name}.${kind}`, body };
}
window.lab_file = async (kind) => (await file(kind)).body.arrayBuffer().then((b) => [...new Uint8Array(b)]); // for tests
async function picture(kind) { const { name, body } = await file(kind); save.give(name, body.type, body); say(`saved ${name}`); }

function help() {
  const words = document.createElement("p");
  words.innerHTML = "<b>space</b> play or pause · <b>→</b> one tick · <b>[ ]</b> speed · <b>1–6</b> tabs · <b>R</b> reset · <b>T</b> tour · <b>D</b> dark or light · <b>End</b> latest tick.<br><br>A control that you change applies on <b>Reset</b>, so that a run always belongs to one scenario. <b>Shock</b> is news of your own: it acts in the next tick and becomes part of the scenario that <b>Copy as TOML</b> gives. <b>Compare</b> runs the scenario as it was opened beside the changed one. Click an event to see its moment and what caused it.";
  dialog("Keys", words);
}

async function replay() {
  const answer = await fetch("/api/runs").then((a) => a.json()).catch(() => ({ runs: lab.runs })), box = document.createElement("div");
  if (!answer.runs.length) box.textContent = "There is no finished run in runs/ yet. Make one: deleverage run tiny";
  for (const name of answer.runs) {
    const button = document.createElement("button");
    button.textContent = name; button.style.margin = "2px"; button.onclick = () => { $("dialog").close(); open({ run: name }); };
    box.append(button);
  }
  dialog("Replay a finished run", box);
}

async function open(wish) {
  const before = lab.session;
  generation++; hang_up?.abort();
  Object.assign(lab, { epoch: -1, seen: -1, run: null, replaying: false, shown: null, place: 0, maps: [], session: "" });
  if (before) post("/api/close", { session: before }).catch(() => {});
  const answer = await post("/api/open", wish);
  if (!answer.ok) { banner(answer.errors[""] || "cannot open"); if (wish.run) open({ mode: "live" }); return; }
  Object.assign(lab, { session: answer.session, presets: answer.presets, runs: answer.runs });
  listen_again();
}

function leave() { if (lab.session) navigator.sendBeacon("/api/close", JSON.stringify({ session: lab.session })); }

function bind() {
  const on = { play, step, reset: () => reset(), apply: () => reset(), toml, share: toml, theme, latest, "mode-replay": replay, tour: () => lab.tour.begin(),
    "save-png": () => picture("png"), "save-svg": () => picture("svg"), "save-csv": () => picture("csv") };
  for (const [id, what] of Object.entries(on)) $(id).onclick = what;
  $("speed").oninput = speed;
  $("shock-go").onclick = async () => { const answer = await act("shock", { percent: $("shock").value }); if (answer.ok) say(`shock of ${$("shock").value} % acts in the next tick`); };
  $("shock").onkeydown = (e) => { if (e.key === "Enter") $("shock-go").click(); };
  $("scrub").oninput = () => { lab.replaying = false; go_to(Number($("scrub").value)); };
  $("mode-live").onclick = () => (lab.kind === "replay" ? open({ mode: "live" }) : lab.run?.arms.length > 1 ? act("reset", { values: {} }) : 0);
  $("mode-compare").onclick = () => (lab.kind === "replay" ? say("open a live model first") : act("compare", { values: lab.values }));
  $("place").onchange = () => { lab.place = Number($("place").value); lab.shown = null; listen_again(); };
  $("arm").onchange = () => { lab.arm = Number($("arm").value); clear_log(); lab.dirty = true; paint(); };
  for (const button of document.querySelectorAll("#tabs button")) button.onclick = () => tab(button.dataset.tab);
}

const PRESSED = { "?": help, End: latest, t: () => lab.tour.begin(), d: theme, r: () => reset() };
document.addEventListener("keydown", (e) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName) && !["checkbox", "range"].includes(e.target.type), range = e.target.type === "range";
  if (typing || e.ctrlKey || e.metaKey || e.altKey || $("dialog").open) return;
  if (e.key === " " && e.target.tagName !== "BUTTON") { e.preventDefault(); play(); } else if (e.key === "ArrowRight" && !range) step();
  else if (e.key === "[" || e.key === "]") { $("speed").value = Number($("speed").value) + (e.key === "]" ? 1 : -1); speed(); }
  else if (e.key >= "1" && e.key <= "6") tab(TABS[e.key - 1]); else if (!(e.key === "End" && range)) PRESSED[e.key.length === 1 ? e.key.toLowerCase() : e.key]?.();
});

// --- the pointer --------------------------------------------------------------------------------------------------------
function under(e) {
  if (!lab.run || !lab.scale || !ticks()) return -1;
  const seconds = ((e.clientX - $("canvas").getBoundingClientRect().left - lab.scale.from) / lab.scale.width) * lab.scale.duration, xs = lab.run.arms[0].columns.seconds;
  let a = 0, b = xs.length - 1;
  if (seconds < 0 || seconds > xs[b] + lab.run.about.duration_s / 50) return -1;
  while (a < b) { const middle = (a + b) >> 1; if (xs[middle] < seconds) a = middle + 1; else b = middle; }
  return a;
}
$("canvas").onmousemove = (e) => {
  const at = under(e), tip = $("tip");
  tip.hidden = at < 0;
  if (at < 0) return;
  const d = lab.run.arms[0].columns, usd = (v) => (none(v) ? "–" : v.toLocaleString("en", { maximumFractionDigits: 1 }));
  tip.textContent = `${stamp(d.tick[at])}\nperpetual  ${usd(d.perp_usd[at])}\nmark  ${usd(d.mark_usd[at])}\nspot  ${usd(d.spot_usd[at])}\nfair value  ${usd(d.fair_usd[at])}\ndepth bid  ${money(d.depth_bid_usd[at]).join(" ")}\nfunding  ${fixed(d.funding_bp_8h[at], 2)} bp / 8 h`;
  const box = $("stage").getBoundingClientRect(), x = e.clientX - box.left;
  tip.style.left = `${x > box.width - 170 ? x - 160 : x + 14}px`; tip.style.top = `${Math.min(e.clientY - box.top, box.height - 120)}px`;
};
$("canvas").onmouseleave = () => { $("tip").hidden = true; };
$("canvas").onclick = (e) => { const at = under(e); if (at >= 0) go_to(at); };

addEventListener("pagehide", leave);
addEventListener("resize", () => { lab.dirty = true; paint(); });
setInterval(() => { $("rate").textContent = lab.playing ? `${lab.frames} frames/s` : ""; lab.rate = lab.frames; lab.frames = 0; }, 1000);
try { document.documentElement.dataset.theme = localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"); } catch { /* light */ }
lab.tour = new Tour(lab, { act, tab, jump, pick });
bind(); begin_log(jump);
document.fonts?.ready.then(() => { lab.dirty = true; paint(); });
open({});
