// Numbers and times as people read them: true minus, no false digits. Nothing here computes a figure.
export const minus = (text) => String(text).replace("-", "−");
export const none = (value) => value === null || value === undefined;
export const clock = (ms, seconds = true) => new Date(ms).toISOString().slice(11, seconds ? 19 : 16);
export const whole = (value) => (none(value) ? "–" : minus(Math.round(value).toLocaleString("en")));
export const fixed = (value, digits, unit = "") => (none(value) ? "–" : `${minus(value.toFixed(digits))}${unit}`);

export function short(value, digits = 3) {
  if (none(value)) return "–";
  if (Math.abs(value) >= 1000) return minus(value.toLocaleString("en", { maximumFractionDigits: 0 }));
  return minus(Number(value.toPrecision(digits)).toString());
}

// [number, unit] for a key figure.
export function money(value) {
  if (none(value)) return ["–", ""];
  if (Math.abs(value) >= 1e9) return [minus((value / 1e9).toFixed(2)), "$bn"];
  return [minus((value / 1e6).toFixed(Math.abs(value) >= 1e8 ? 0 : 1)), "$M"];
}

// The same in a table, where small sums matter.
export function usd(value) {
  if (none(value)) return "–";
  if (Math.abs(value) >= 1e9) return `${minus((value / 1e9).toFixed(2))} $bn`;
  return Math.abs(value) >= 1e5 ? `${minus((value / 1e6).toFixed(2))} $M` : `${whole(value)} $`;
}

export const price = (value) =>
  none(value) ? "–" : value.toLocaleString("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
