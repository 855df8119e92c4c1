// The page: opened photos, sliders and history. All pictures come from the server as raw pixels.
import { CodeMap } from "./map.js";
import { ask, frame, post, token } from "./server.js";
import { codeText, copyText, modelText, small, tripText } from "./words.js";

const $ = (id) => document.getElementById(id);
const MOST_BYTES = 40 * 1024 * 1024;
const photos = new Map(); // number → {told, pictures}
const history = []; // states that undo and redo go through
let at = -1; // place of the shown state in the history
let about = null;

const unchanged = () => ({ move: {}, dims: {}, toward: {}, rest: 1 });
const copy = (value) => JSON.parse(JSON.stringify(value));

function say(sentence, wrong = false) {
  $("status").textContent = sentence;
  $("status").classList.toggle("wrong", wrong);
}

function paint(id, picture) {
  const canvas = $(id);
  if (canvas.width !== picture.width || canvas.height !== picture.height) Object.assign(canvas, { width: picture.width, height: picture.height });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

const state = () => history[at];

// Only the newest state is asked for: one request at a time, and an answer for an older state is not shown.
let wanted = null, running = false;
function edit(now) {
  wanted = now;
  if (!running) work();
}
async function work() {
  running = true;
  while (wanted) {
    const now = wanted;
    wanted = null;
    try {
      const begun = performance.now();
      const { told, pictures } = await frame(await post("edit", { photo: now.photo, changes: now.changes }));
      if (wanted || state()?.photo !== now.photo) continue;
      paint("edited", pictures[0]);
      showCommand(told.command);
      $("change").textContent = `Changed: ${(100 * told.changed).toFixed(1)} % of the pixels, mean change ${small(told.l1)}. ` +
        `Answered in ${Math.round(performance.now() - begun)} ms.`;
      document.body.dataset.shown = JSON.stringify(now);
      say("");
    } catch (error) {
      say(error.message, true);
    }
  }
  running = false;
}

function showCommand(command) {
  $("command").value = command;
  $("copy").disabled = !command;
  $("command-note").textContent = command
    ? `It reads ${photos.get(state().photo).told.name}; "Save original" writes that file if you do not have it.`
    : "Move a slider first.";
}

function show() {
  const now = state();
  const { told, pictures } = photos.get(now.photo);
  ["original", "restricted", "full"].forEach((id, i) => paint(id, pictures[i]));
  $("about").textContent = told.about;
  $("trip").textContent = tripText(told.trip);
  for (const slider of document.querySelectorAll(".slider input")) {
    const { group, key } = slider.dataset;
    slider.value = group === "rest" ? now.changes.rest : now.changes[group][key] ?? 0;
    tell(slider);
  }
  about.dims.forEach((dim, i) => {
    document.querySelector(`label[for=dims-${dim}] small`).textContent = `at ${told.y[i].toFixed(1)}`;
  });
  $("undo").disabled = at <= 0;
  $("redo").disabled = at >= history.length - 1;
  $("reset").disabled = false;
  document.querySelectorAll(".save").forEach((button) => (button.disabled = false));
  edit(now);
}

function push(next) {
  history.splice(at + 1);
  history.push(next);
  if (history.length > 200) history.shift();
  at = history.length - 1;
  show();
}

function go(step) {
  if (at + step < 0 || at + step >= history.length) return;
  at += step;
  show();
}

// ---- sliders

function tell(slider) {
  const value = Number(slider.value);
  const text = /^(rest|toward)$/.test(slider.dataset.group) ? value.toFixed(2) : (value > 0 ? "+" : "") + value.toFixed(1);
  slider.nextElementSibling.textContent = text;
  slider.setAttribute("aria-valuetext", text);
}

function addSlider(where, group, key, name, title, { least, most, step, start }) {
  const row = document.createElement("div");
  const id = `${group}-${key}`;
  row.className = "slider";
  const label = Object.assign(document.createElement("label"), { htmlFor: id, textContent: name, title });
  const slider = Object.assign(document.createElement("input"), { id, type: "range", min: least, max: most, step });
  slider.value = start;
  Object.assign(slider.dataset, { group, key });
  row.append(label, slider, document.createElement("output"));
  slider.addEventListener("input", () => { tell(slider); if (state()) edit(changed(slider)); });
  slider.addEventListener("change", () => { if (state()) push(changed(slider)); });
  slider.addEventListener("dblclick", () => { slider.value = start; tell(slider); if (state()) push(changed(slider)); });
  where.append(row);
  tell(slider);
  return label;
}

function changed(slider) {
  const next = copy(state());
  const { group, key } = slider.dataset;
  if (group === "rest") next.changes.rest = Number(slider.value);
  else if (Number(slider.value) === 0) delete next.changes[group][key];
  else next.changes[group][key] = Number(slider.value);
  return next;
}

function makeSliders() {
  const strength = { least: -4, most: 4, step: 0.1, start: 0 };
  if (about.active < about.latent) {
    const rest = `The ${about.latent - about.active} other dimensions: 1 keeps them, 0 leaves the restricted latent.`;
    addSlider($("rest-part"), "rest", "rest", "Rest of the latent", rest, { least: 0, most: 1, step: 0.01, start: 1 });
  }
  for (const one of about.directions) {
    const accuracy = one.accuracy == null ? "" : `, accuracy ${Math.round(100 * one.accuracy)} %`;
    addSlider($("moves"), "move", one.name, one.name, `${one.name}: ${one.method}${accuracy}`, strength);
  }
  for (const dim of about.dims) {
    const label = addSlider($("dims"), "dims", dim, `Dim ${dim} `, `Active dimension ${dim}, and where the photo's code is`, strength);
    label.append(document.createElement("small"));
  }
  const share = { least: 0, most: 1, step: 0.01, start: 0 };
  for (const name of about.targets) addSlider($("toward"), "toward", name, about.classes[name] ?? name, `Share of the way to the mean of ${name}`, share);
  $("toward-part").hidden = about.targets.length === 0;
  $("moves-part").hidden = about.directions.length === 0;
  $("moves-part").open = about.targets.length === 0;
  $("dims-part").hidden = about.dims.length === 0;
  $("dims-part").open = about.targets.length + about.directions.length === 0;
}

// ---- opening

async function open(answering) {
  say("Opening …");
  try {
    const found = await frame(await answering());
    photos.set(found.told.photo, found);
    say("");
    push({ photo: found.told.photo, changes: unchanged() });
  } catch (error) {
    say(error.message, true);
  }
}

const draw = (asked) => open(() => post("draw", asked));

function upload(file) {
  if (!file) return;
  if (file.size > MOST_BYTES) return say(`${file.name}: has more than 40 MB; make it smaller`, true);
  open(() => ask("photo", file, { "x-name": encodeURIComponent(file.name), "content-type": "application/octet-stream" }));
}

async function save(what) {
  try {
    const answer = await post("save", { ...state(), what });
    const name = decodeURIComponent(answer.headers.get("content-disposition").split("''")[1]);
    const address = URL.createObjectURL(await answer.blob());
    Object.assign(document.createElement("a"), { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    say(`Saved ${name}.`);
  } catch (error) {
    say(error.message, true);
  }
}

const copyCommand = async () => say(await copyText($("command")));

function fillChoices() {
  for (const [name, count] of Object.entries(about.splits)) $("split").add(new Option(`${name} (${count})`, name, false, name === about.split));
  $("from-data").hidden = !Object.keys(about.splits).length;
  for (let label = 0; label < about.prior_classes; label++) $("label").add(new Option(about.classes[label] ?? label, label));
  $("label-of").hidden = !about.prior_classes;
  const words = { linear: "a straight line", spherical: "an arc", map: "the transport map", flow: "the flow" };
  for (const path of about.paths) $("path").add(new Option(words[path] ?? path, path, false, false));
}

function listen() {
  $("undo").onclick = () => go(-1);
  $("redo").onclick = () => go(1);
  $("reset").onclick = () => push({ photo: state().photo, changes: unchanged() });
  $("copy").onclick = copyCommand;
  document.querySelectorAll(".save").forEach((button) => (button.onclick = () => save(button.dataset.what)));
  $("file").onchange = () => upload($("file").files[0]);
  $("from-data").onsubmit = (event) => {
    event.preventDefault();
    draw({ kind: "data", split: $("split").value, number: Number($("index").value) });
  };
  $("any").onclick = () => {
    $("index").value = Math.floor(Math.random() * about.splits[$("split").value]);
    $("from-data").requestSubmit();
  };
  $("from-prior").onsubmit = (event) => {
    event.preventDefault();
    draw({ kind: "prior", seed: Number($("seed").value), temperature: Number($("temperature").value), label: Number($("label").value) });
  };
  $("next").onclick = () => { $("seed").value = Number($("seed").value) + 1; $("from-prior").requestSubmit(); };
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
  addEventListener("dragleave", () => document.body.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    upload(event.dataTransfer.files[0]);
  });
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || /^(textarea|number)$/.test(event.target.type)) return;
    const key = event.key.toLowerCase();
    if (key === "z") { event.preventDefault(); go(event.shiftKey ? 1 : -1); }
    if (key === "y") { event.preventDefault(); go(1); }
  });
}

async function begin() {
  if (!token) return say("The address lacks its key; copy the whole address from the terminal, with all after #.", true);
  try {
    about = await (await ask("about")).json();
  } catch (error) {
    $("model").textContent = "";
    return say(error.message, true);
  }
  $("model").textContent = modelText(about);
  $("code").textContent = codeText(about);
  $("restricted-caption").textContent = `restricted, ${about.active} dims`;
  fillChoices();
  makeSliders();
  listen();
  new CodeMap({ about, paint, draw, say, rest: () => state()?.changes.rest ?? 1 });
  await draw(about.splits[about.split] ? { kind: "data", split: about.split, number: 0 } : { kind: "prior", seed: 0 });
  document.body.dataset.ready = "yes";
}

begin();
