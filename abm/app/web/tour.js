// A guided tour that waits for what really happens in the running model.
const first = (lab, kind) => lab.run?.arms[0].lines.find((line) => line.kind === kind);
const STEPS = [
  { title: "A market on borrowed money", words: "People hold Bitcoin futures worth many times their own margin. The black line is the price they trade at; the dashed line is the mark, at which the venue judges them. Press Next to let time run.", go: (t) => { t.does.tab("market"); t.does.act("play"); } },
  { title: "News, then margin", words: "News moves the fair value. Whoever’s loss has eaten the margin falls below the maintenance requirement: the tour waits for the first forced sale.", wait: (lab) => first(lab, "long") || first(lab, "short"), kinds: ["long", "short"] },
  { title: "Liquidation", words: "The venue closes the position with an order in the book: an orange bubble for longs sold, blue for shorts bought. The sale moves the price, the price moves the mark, the mark takes the next account. Under “Why?” you read this chain.", pause: true },
  { title: "Makers step back", words: "Look at the depth ribbon: as volatility rises, makers quote less. A pinch means that the same sale moves the price farther.", pause: true },
  { title: "The backstop", words: "What the book does not take at a price that saves the account, the insurance fund takes over, and it pays losses beyond the margin. The tour waits for that.", wait: (lab) => first(lab, "fund"), kinds: ["fund"], run: true },
  { title: "Auto-deleveraging", words: "When the fund cannot carry a position, the venue closes winners on the other side: the purple marks. It may never happen in this scenario: make the insurance fund small and reset to see it. The tour waits; End tour leaves.", wait: (lab) => first(lab, "adl"), kinds: ["adl"], run: true },
  { title: "Now you", words: "Change one control, press Reset, play again. Compare runs both scenarios in step on the same seed. Copy as TOML gives the scenario to the command line, which makes identical events." },
];
export class Tour {
  constructor(lab, does) { this.lab = lab; this.does = does; this.at = -1; this.box = document.getElementById("guide"); document.getElementById("guide-next").onclick = () => this.next(); document.getElementById("guide-end").onclick = () => this.end(); }
  begin() { this.at = -1; this.box.hidden = false; this.next(); document.getElementById("guide-next").focus(); }
  end() { this.box.hidden = true; this.at = -1; }
  next() {
    if (this.at >= 0) STEPS[this.at].go?.(this);
    if (++this.at >= STEPS.length) { this.end(); return; }
    const step = STEPS[this.at]; if (step.run) this.does.act("play");
    this.box.querySelector("h2").textContent = step.title; this.box.querySelector("p").textContent = step.words; this.told = false; this.look();
  }
  look() {
    if (this.at < 0) return;
    const step = STEPS[this.at], found = step.wait ? step.wait(this.lab) : true, note = this.box.querySelector(".note");
    document.getElementById("guide-next").disabled = !found && this.lab.kind === "live" && this.lab.run?.arms[0].running !== false;
    note.textContent = `${this.at + 1} of ${STEPS.length}` + (found ? (found.words ? ` · ${found.words}` : "") : this.lab.playing ? " · waiting …" : this.lab.run?.arms[0].running ? " · paused" : " · did not happen in this run");
    if (step.wait && found && !this.told) { this.told = true; if (this.lab.kind === "live") this.does.act("pause"); this.does.jump(found.tick); }
  }
}
