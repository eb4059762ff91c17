// A guided tour that waits for what really happens in the running model.
const first = (lab, kind) => lab.run?.arms[0].lines.find((line) => line.kind === kind);
const forced = (lab) => [first(lab, "long"), first(lab, "short")].filter(Boolean).sort((a, b) => a.tick - b.tick)[0];
const STEPS = [
  { title: "A market on borrowed money", tab: "market", words: "People hold Bitcoin futures worth many times their own margin. The black line is the price they trade at; the dashed line is the mark, at which the venue judges them." },
  { title: "Margin", tab: "traders", words: "Each line is an account: what it holds, its own money behind it, and the price at which that money no longer suffices. The nearest to that price stand on top. Press Next to let time run." },
  { title: "News", tab: "market", run: true, words: "News moves the fair value. Whoever’s loss has eaten the margin falls below the maintenance requirement: the tour waits for the first forced sale.", wait: forced },
  { title: "Liquidation", tab: "book", words: "The venue closes the position with an order that takes what rests in the book: orange for longs sold, blue for shorts bought. The trade moves the price, the price moves the mark, the mark takes the next account. Click an event: under “Why?” stands this chain." },
  { title: "Makers step back", tab: "market", words: "Look at the depth ribbon: as volatility rises, makers quote less. A pinch means that the same sale moves the price farther." },
  { title: "The backstop", tab: "venue", run: true, words: "What the book does not take at a price that saves the account, the insurance fund takes over, and it pays losses beyond the margin. The tour waits for that.", wait: (lab) => first(lab, "fund") },
  { title: "Auto-deleveraging", tab: "venue", run: true, words: "When the fund cannot carry a position, the venue closes winners on the other side, in the order of the queue. It may never happen in this scenario: make the insurance fund small and reset to see it. End tour leaves.", wait: (lab) => first(lab, "adl") },
  { title: "Now you", tab: "market", words: "Change one control, press Reset, play again. Compare runs both scenarios in step on the same seed. Copy as TOML gives the scenario to the command line, which makes identical events." },
];

export class Tour {
  constructor(lab, does) {
    Object.assign(this, { lab, does, at: -1, told: false, box: document.getElementById("guide"), button: document.getElementById("guide-next") });
    this.button.onclick = () => this.next();
    document.getElementById("guide-end").onclick = () => this.end();
  }
  begin() { this.at = -1; this.box.hidden = false; this.next(); this.button.focus(); }
  end() { this.box.hidden = true; this.at = -1; }
  next() {
    if (++this.at >= STEPS.length) { this.end(); return; }
    const step = STEPS[this.at];
    this.told = false;
    this.box.querySelector("h2").textContent = step.title; this.box.querySelector("p").textContent = step.words;
    if (this.lab.tab !== step.tab) this.does.tab(step.tab);
    if (step.run && !step.wait(this.lab) && this.lab.kind === "live") { this.lab.follow = true; this.does.act("play"); }
    this.look();
  }
  // Called at every frame: has what the step waits for happened?
  look() {
    if (this.at < 0) return;
    const { lab } = this, step = STEPS[this.at], found = step.wait ? step.wait(lab) : true, running = lab.kind === "live" && lab.run?.arms[0].running !== false;
    const words = found ? (found.words ? ` · ${found.words}` : "") : lab.playing ? " · waiting …" : running ? " · paused" : " · did not happen in this run";
    this.button.disabled = !found && running;
    this.box.querySelector(".note").textContent = `${this.at + 1} of ${STEPS.length}${words}`;
    if (!step.wait || !found || this.told) return;
    this.told = true;
    if (lab.kind === "live") this.does.act("pause");
    this.does.jump(found.tick);
  }
}
