// What the page knows, and how it asks the server. Every number comes from there.
export const $ = (id) => document.getElementById(id);
export const lab = {
  session: "", run: null, epoch: -1, seen: -1, kind: "live", playing: false, rebuilt: 0, note: "", // the run
  tab: "market", place: 0, arm: 0, account: -1, order: "nearest", shown: null, maps: [], // what is looked at
  cursor: -1, follow: true, replaying: false, filter: "all", // where in time
  presets: [], runs: [], values: {}, given: {}, frames: 0, painted: 0, rate: 0, dirty: false, errors: 0, toml: "",
};
window.lab = lab; // for tests and curious people

export async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return { ok: answer.ok, status: answer.status, ...(await answer.json()) };
}

const QUIET = new Set(["chain", "check"]);
export async function act(action, more = {}) {
  let answer;
  try {
    answer = await post("/api/do", { session: lab.session, action, ...more });
  } catch {
    banner("The server does not answer. If it was stopped, start it again and load this page; finished runs are kept.");
    return { ok: false };
  }
  if (!answer.ok) show_errors(answer.errors); else if (!QUIET.has(action)) show_errors({});
  return answer;
}

export function banner(words) { $("banner").hidden = !words; $("banner").textContent = words; }
export function say(words) { $("said").textContent = words; }
export function dialog(title, ...body) {
  $("dialog-title").textContent = title; $("dialog-body").replaceChildren(...body);
  if (!$("dialog").open) $("dialog").showModal();
}

// Messages beside the fields they are about; those of no field of the page stand at the foot.
export function show_errors(errors = {}) {
  const places = [...document.querySelectorAll(".error[data-for]")], known = new Set(places.map((e) => e.dataset.for));
  for (const place of places) {
    const key = place.dataset.for, words = errors[key] || "";
    if (place.textContent !== words) place.textContent = words;
    const input = $(key === "shock" || key === "preset" ? key : `c-${key}`);
    if (input) input.setAttribute("aria-invalid", words ? "true" : "false");
  }
  const others = Object.entries(errors).filter(([key]) => !known.has(key));
  if (others.length) $("general-error").textContent = others.map(([key, words]) => `${key}: ${words}`).join("; ");
}
