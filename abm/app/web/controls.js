// The left rail: preset, fields and sliders with unit and one line each, their messages, and Reset.
import { minus } from "/format.js";
import { $, act, lab, say, show_errors } from "/state.js";

export function build_controls() {
  const about = lab.run.about, root = $("controls");
  root.replaceChildren();
  const heading = (words) => { const h = document.createElement("h2"); h.textContent = words; root.append(h); };
  heading("Scenario");
  root.append(preset(about));
  lab.values = {};
  let group = "";
  for (const one of about.controls) {
    if (one.group !== group) heading((group = one.group));
    lab.values[one.key] = one.value;
    root.append(control(one));
  }
  lab.given = { ...lab.values };
  pending();
  for (const e of root.querySelectorAll("input, select")) e.disabled = lab.kind === "replay";
}

function preset(about) {
  const box = document.createElement("div"), known = lab.presets.some((one) => one.name === about.source);
  box.className = "control";
  box.innerHTML = '<select id="preset" aria-label="preset scenario"></select><p class="note" id="preset-line"></p><p class="error" data-for="preset"></p>';
  const select = box.firstChild;
  for (const one of lab.presets) { const option = new Option(one.name, one.name); option.title = one.title; select.append(option); }
  if (!known) select.append(new Option(about.source, ""));
  select.value = known ? about.source : "";
  box.children[1].textContent = about.title;
  select.onchange = () => reset(true);
  return box;
}

function read(input) {
  const words = input.value.trim().replace("−", "-").replace(/,/g, ""), value = Number(words);
  return words !== "" && Number.isFinite(value) ? value : input.value;
}

function control(one) {
  const box = document.createElement("div"), id = `c-${one.key}`, row = document.createElement("div");
  const make = (tag, more) => Object.assign(document.createElement(tag), more);
  box.className = "control"; box.dataset.key = one.key; box.title = one.path; row.className = "row";
  row.append(make("label", { htmlFor: id, textContent: one.label }));
  const note = make("p", { className: "note", textContent: one.line, id: `${id}-line` }), error = make("p", { className: "error", id: `${id}-error` });
  error.dataset.for = one.key;
  const set = (value) => {
    lab.values[one.key] = value; box.classList.toggle("changed", value !== lab.given[one.key]);
    pending(); check();
  };
  const extra = [];
  let input;
  if (one.kind === "switch") {
    input = make("input", { type: "checkbox", id, checked: one.value }); input.onchange = () => set(input.checked); row.append(input);
  } else if (one.kind === "select") {
    input = make("select", { id });
    for (const [value, words] of Object.entries(one.choices)) input.append(new Option(words, value));
    input.value = one.value; input.onchange = () => set(input.value); extra.push(input);
  } else {
    input = make("input", { type: "text", className: "text", id, value: minus(one.value), inputMode: "decimal" });
    row.append(input, make("span", { className: "note", textContent: one.unit }));
    input.oninput = () => set(read(input));
    if (one.kind === "slider") extra.push(slider(one, input, set, make));
  }
  input.setAttribute("aria-describedby", `${note.id} ${error.id}`);
  box.append(row, ...extra, note, error);
  return box;
}

function slider(one, input, set, make) {
  const range = make("input", { type: "range", min: one.low, max: one.high, step: one.step, value: one.value });
  range.setAttribute("aria-label", `${one.label}${one.unit ? `, ${one.unit}` : ""}`);
  range.oninput = () => { input.value = minus(range.value); set(Number(range.value)); };
  input.oninput = () => {
    const value = read(input);
    if (typeof value === "number") range.value = value;
    set(value);
  };
  return range;
}

function pending() {
  const many = Object.entries(lab.values).filter(([key, value]) => value !== lab.given[key]).length;
  $("pending").textContent = many ? `● ${many} changed; applies on reset` : "";
}

let checking = 0;
function check() {
  clearTimeout(checking);
  checking = setTimeout(async () => { const answer = await act("check", { values: lab.values }); if (answer.ok) show_errors({}); }, 150);
}

export async function reset(from_preset = false) {
  const name = $("preset")?.value || "";
  const answer = await act("reset", from_preset ? { preset: name, values: {} } : { values: lab.values });
  if (answer.ok) say("");
}
