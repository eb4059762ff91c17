// A recorder of SVG with the methods of a canvas that the page draws with: the same picture as lines and letters.
const escape = (words) => String(words).replace(/[&<>"]/g, (ch) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[ch]);
const round = (v) => (Math.round(v * 100) / 100).toString();

export class Svg {
  constructor(w, h) {
    Object.assign(this, { w, h, parts: [], path: [], dash: [], fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, lineJoin: "miter",
      font: "", textAlign: "left", textBaseline: "alphabetic", depth: [], clips: 0 });
    this.measure = document.createElement("canvas").getContext("2d");
  }
  beginPath() { this.path = []; }
  moveTo(x, y) { this.path.push(`M${round(x)} ${round(y)}`); }
  lineTo(x, y) { this.path.push(`L${round(x)} ${round(y)}`); }
  closePath() { this.path.push("Z"); }
  rect(x, y, w, h) { this.path.push(`M${round(x)} ${round(y)}h${round(w)}v${round(h)}h${round(-w)}Z`); }
  arc(x, y, r) { const R = round(r); this.path.push(`M${round(x - r)} ${round(y)}a${R} ${R} 0 1 0 ${round(2 * r)} 0a${R} ${R} 0 1 0 ${round(-2 * r)} 0`); }
  setLineDash(list) { this.dash = list; }
  setTransform() {}
  save() { this.depth.push(0); }
  clip() {
    const id = `clip${++this.clips}`;
    this.parts.push(`<clipPath id="${id}"><path d="${this.path.join("")}"/></clipPath><g clip-path="url(#${id})">`);
    this.depth[this.depth.length - 1]++;
  }
  restore() { for (let k = this.depth.pop() || 0; k > 0; k--) this.parts.push("</g>"); }
  fill() { this.parts.push(`<path d="${this.path.join("")}" fill="${this.fillStyle}"/>`); }
  stroke() {
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : "";
    this.parts.push(`<path d="${this.path.join("")}" fill="none" stroke="${this.strokeStyle}" stroke-width="${round(this.lineWidth)}" stroke-linejoin="${this.lineJoin}"${dash}/>`);
  }
  fillRect(x, y, w, h) { this.parts.push(`<rect x="${round(x)}" y="${round(y)}" width="${round(Math.max(w, 0))}" height="${round(Math.max(h, 0))}" fill="${this.fillStyle}"/>`); }
  strokeRect(x, y, w, h) {
    this.parts.push(`<rect x="${round(x)}" y="${round(y)}" width="${round(Math.max(w, 0))}" height="${round(Math.max(h, 0))}" fill="none" stroke="${this.strokeStyle}" stroke-width="${round(this.lineWidth)}"/>`);
  }
  measureText(words) { this.measure.font = this.font; return this.measure.measureText(words); }
  fillText(words, x, y) {
    const [, weight, size] = /^(\d+) ([\d.]+)px/.exec(this.font) || [0, 400, 11];
    const anchor = { left: "start", center: "middle", right: "end" }[this.textAlign] || "start", down = this.textBaseline === "middle" ? size * 0.35 : 0;
    const bold = Number(weight) >= 600 ? ' font-weight="700"' : "";
    this.parts.push(`<text x="${round(x)}" y="${round(y + down)}" font-size="${size}" text-anchor="${anchor}"${bold} fill="${this.fillStyle}" xml:space="preserve">${escape(words)}</text>`);
  }
  drawImage(image, x, y, w, h) {
    this.parts.push(`<image x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${image.toDataURL("image/png")}"/>`);
  }
  toString() {
    const space = "http" + "://www.w3.org/2000/svg"; // a name, not an address: nothing is loaded from it
    return `<svg xmlns="${space}" width="${this.w}" height="${this.h}" viewBox="0 0 ${this.w} ${this.h}" font-family="'IBM Plex Sans','DejaVu Sans',sans-serif">${this.parts.join("\n")}</svg>\n`;
  }
}

// Draw what stands in an element of the page (tables, cards) at its place: letters and rules.
export function draw_element(g, root, origin, colours) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT), range = document.createRange();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.nodeType === Node.ELEMENT_NODE) { draw_frame(g, node, origin, colours); continue; }
    const words = node.textContent.trim(), parent = node.parentElement;
    if (!words || ["OPTION", "SCRIPT"].includes(parent.tagName)) continue;
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect(), style = getComputedStyle(parent);
    if (!box.width || style.visibility === "hidden") continue;
    g.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`; g.fillStyle = style.color; g.textAlign = "left"; g.textBaseline = "middle";
    g.fillText(words, box.left - origin.left, box.top - origin.top + box.height / 2);
  }
}
function draw_frame(g, node, origin, colours) {
  const box = node.getBoundingClientRect(), x = box.left - origin.left, y = box.top - origin.top;
  if (["TD", "TH"].includes(node.tagName)) {
    g.strokeStyle = node.tagName === "TH" ? colours.axis : colours.grid; g.lineWidth = 1; g.setLineDash([]);
    g.beginPath(); g.moveTo(x, y + box.height - 0.5); g.lineTo(x + box.width, y + box.height - 0.5); g.stroke();
  } else if (["BUTTON", "INPUT"].includes(node.tagName)) {
    const style = getComputedStyle(node);
    g.fillStyle = style.backgroundColor; g.fillRect(x, y, box.width, box.height);
    g.strokeStyle = colours.axis; g.lineWidth = 1; g.strokeRect(x + 0.5, y + 0.5, box.width - 1, box.height - 1);
    if (node.tagName === "INPUT" && node.value) { g.font = `400 12px ${style.fontFamily}`; g.fillStyle = style.color; g.textBaseline = "middle"; g.textAlign = "left"; g.fillText(node.value, x + 6, y + box.height / 2); }
  }
}
