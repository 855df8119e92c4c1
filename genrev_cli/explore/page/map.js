// The map of the codes: a click opens a point, a drag plays the path between two. All of it by keyboard too.
import { ask, frame, post } from "./server.js";

const $ = (id) => document.getElementById(id);
const MARGIN = 14, DRAGGED = 6, FRAMES = 32, SECONDS = 2.4;

export class CodeMap {
  constructor(page) {
    this.page = page;
    this.points = [];
    this.cross = [0, 0]; // in the map's own numbers
    this.start = null; // of a path that is being chosen
    this.film = [];
    this.plot = $("plot");
    this.listen();
    new ResizeObserver(() => this.paint()).observe(this.plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
    this.load();
  }

  async load() {
    const kind = $("map-kind").value;
    this.points = [];
    this.paint();
    try {
      for (;;) {
        const found = await (await ask(`map?kind=${kind}`)).json();
        if (kind !== $("map-kind").value) return;
        if (found.ready) return this.use(found);
        $("map-note").textContent = found.done < found.of ? `Making the map: ${found.done} of ${found.of} codes …` : "Making the map …";
        await new Promise((done) => setTimeout(done, 400));
      }
    } catch (error) {
      $("map-note").textContent = error.message;
    }
  }

  use({ points, labels, kind }) {
    Object.assign(this, { points, labels, kind });
    const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
    this.box = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    this.cross = [(this.box[0] + this.box[1]) / 2, (this.box[2] + this.box[3]) / 2];
    this.classes = Math.max(...labels) + 1;
    $("click").disabled = kind !== "pca";
    if (kind !== "pca") $("click").value = "map";
    const what = Object.keys(this.page.about.splits).length ? `images of split '${this.page.about.split}'` : "samples";
    $("map-note").textContent = `${points.length} ${what}. Click to open, drag to play a path. Keys: arrows move the cross, Enter opens, Space begins and ends a path.`;
    this.legend();
    this.paint();
    document.body.dataset.map = kind;
  }

  colour(label) {
    return label < 0 || !this.classes ? "#8a8a85" : `hsl(${Math.round((360 * label) / this.classes)} 65% ${label % 2 ? 62 : 46}%)`;
  }

  legend() {
    $("legend").replaceChildren();
    for (let label = 0; label < Math.min(this.classes, 40); label++) {
      const item = document.createElement("li"), dot = document.createElement("canvas");
      dot.width = dot.height = 1;
      dot.setAttribute("aria-hidden", "true");
      const pen = dot.getContext("2d");
      pen.fillStyle = this.colour(label);
      pen.fillRect(0, 0, 1, 1);
      item.append(dot, this.page.about.classes[label] ?? String(label));
      $("legend").append(item);
    }
  }

  // ---- drawing

  toScreen([x, y]) {
    const [left, right, low, high] = this.box, { clientWidth: w, clientHeight: h } = this.plot;
    return [MARGIN + ((x - left) / (right - left || 1)) * (w - 2 * MARGIN), h - MARGIN - ((y - low) / (high - low || 1)) * (h - 2 * MARGIN)];
  }

  fromScreen([x, y]) {
    const [left, right, low, high] = this.box, { clientWidth: w, clientHeight: h } = this.plot;
    return [left + ((x - MARGIN) / (w - 2 * MARGIN)) * (right - left), low + ((h - MARGIN - y) / (h - 2 * MARGIN)) * (high - low)];
  }

  paint() {
    const scale = devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = this.plot;
    this.plot.width = Math.max(1, w * scale);
    this.plot.height = Math.max(1, h * scale);
    const pen = this.plot.getContext("2d");
    pen.scale(scale, scale);
    if (!this.points.length) return;
    this.points.forEach((point, i) => {
      const [x, y] = this.toScreen(point);
      pen.fillStyle = this.colour(this.labels[i]);
      pen.beginPath();
      pen.arc(x, y, 2.5, 0, 7);
      pen.fill();
    });
    const style = getComputedStyle(document.documentElement);
    pen.strokeStyle = style.getPropertyValue("--ink");
    pen.lineWidth = 1.5;
    const [x, y] = this.toScreen(this.cross);
    pen.beginPath();
    for (const [a, b, c, d] of [[-9, 0, 9, 0], [0, -9, 0, 9]]) { pen.moveTo(x + a, y + b); pen.lineTo(x + c, y + d); }
    pen.stroke();
    if (this.start) {
      pen.strokeStyle = style.getPropertyValue("--accent");
      pen.lineWidth = 3;
      pen.beginPath();
      pen.moveTo(...this.toScreen(this.start));
      pen.lineTo(x, y);
      pen.stroke();
    }
  }

  // ---- choosing

  asked(place) {
    if ($("click").value === "plane") return { kind: "plane", x: place[0], y: place[1] };
    const [x, y] = this.toScreen(place);
    let best = 0, least = Infinity;
    this.points.forEach((point, i) => {
      const [a, b] = this.toScreen(point), distance = (a - x) ** 2 + (b - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    });
    return { kind: "map", number: best };
  }

  async play(first, last) {
    this.page.say("Decoding the path …");
    try {
      const asked = { first: this.asked(first), last: this.asked(last), path: $("path").value, rest: this.page.rest(), frames: FRAMES };
      this.film = (await frame(await post("path", asked))).pictures;
    } catch (error) {
      return this.page.say(error.message, true);
    }
    this.page.say("");
    $("film").hidden = false;
    $("place").max = this.film.length - 1;
    document.body.dataset.frames = this.film.length;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.turn(0);
    else this.run();
  }

  turn(number) {
    $("place").value = number;
    this.page.paint("frame", this.film[number]);
  }

  run() {
    const film = this.film, began = performance.now();
    const step = () => {
      if (film !== this.film || this.stopped) return;
      const share = Math.min(1, (performance.now() - began) / (1000 * SECONDS));
      const eased = share * share * (3 - 2 * share); // slow at both ends
      this.turn(Math.round(eased * (film.length - 1)));
      if (share < 1) requestAnimationFrame(step);
    };
    this.stopped = false;
    step();
  }

  listen() {
    const place = (event) => {
      const box = this.plot.getBoundingClientRect();
      return this.fromScreen([event.clientX - box.left - this.plot.clientLeft, event.clientY - box.top - this.plot.clientTop]);
    };
    let down = null;
    this.plot.addEventListener("pointerdown", (event) => {
      if (!this.points.length || event.button) return;
      down = event;
      this.plot.setPointerCapture(event.pointerId);
      [this.cross, this.start] = [place(event), null];
      this.paint();
    });
    this.plot.addEventListener("pointermove", (event) => {
      if (!down) return;
      if (!this.start && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) > DRAGGED) this.start = place(down);
      this.cross = place(event);
      this.paint();
    });
    this.plot.addEventListener("pointerup", (event) => {
      if (!down) return;
      down = null;
      if (this.start) this.play(this.start, place(event));
      else this.page.draw(this.asked(place(event)));
    });
    this.plot.addEventListener("pointercancel", () => { down = this.start = null; this.paint(); });
    this.plot.addEventListener("keydown", (event) => this.key(event));
    $("map-kind").onchange = () => this.load();
    $("place").oninput = () => { this.stopped = true; this.turn(Number($("place").value)); };
    $("play").onclick = () => this.run();
  }

  key(event) {
    if (!this.points.length) return;
    const step = (event.shiftKey ? 10 : 1) / 60, [left, right, low, high] = this.box;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    if (event.key in moves) {
      const [x, y] = moves[event.key];
      this.cross = [this.cross[0] + x * step * (right - left), this.cross[1] + y * step * (high - low)];
    } else if (event.key === "Enter") {
      this.page.draw(this.asked(this.cross));
    } else if (event.key === " " && this.start) {
      this.play(this.start, this.cross);
      this.start = null;
    } else if (event.key === " ") {
      this.start = this.cross;
    } else if (event.key === "Escape") {
      this.start = null;
    } else return;
    event.preventDefault();
    this.paint();
  }
}
