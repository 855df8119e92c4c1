// A recorded tour: every step of every slider is a picture in a sprite, an image with all steps below each other.
const $ = (id) => document.getElementById(id);
const SECONDS = 2;
const tour = JSON.parse($("tour").textContent);
const [, height, width] = tour.about.shape;
let photo = 0, moved = null, film = 0; // moved: the slider that makes the edited picture

function paint(id, sprite, step) {
  const canvas = $(id);
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").drawImage($(sprite), 0, step * height, width, height, 0, 0, width, height);
}

// What a step changes, in words.
function changeText({ group, name, words }, step) {
  if (group === "rest") return `${words[step]} of the rest of the latent is kept`;
  if (group === "toward") return `${words[step]} of the way to class ${name}`;
  return `${group === "dims" ? name.toLowerCase() : `direction ${name}`}, ${words[step]} standard deviations`;
}

function tell(number) {
  const input = $(`slider-${number}`), slider = tour.sliders[number], step = Number(input.value);
  input.nextElementSibling.textContent = slider.words[step];
  input.setAttribute("aria-valuetext", changeText(slider, step));
}

function setBack(number) {
  $(`slider-${number}`).value = tour.sliders[number].start;
  tell(number);
}

const stepOf = () => (moved === null ? 0 : Number($(`slider-${moved}`).value));
const isMoved = () => moved !== null && stepOf() !== tour.sliders[moved].start;

function show() {
  const slider = isMoved() ? tour.sliders[moved] : null, step = stepOf();
  if (slider) paint("edited", `edit-${photo}-${moved}`, step);
  else paint("edited", `photo-${photo}`, 2); // no change gives the picture of the full latent
  const change = slider ? changeText(slider, step) : "";
  $("change").textContent = slider ? `Edited: ${change}.` : "Not edited yet: move a slider.";
  $("edited").setAttribute("aria-label", slider ? `Edited: ${change}` : "Not edited");
  const command = slider ? slider.commands[step].replace(tour.picture, tour.photos[photo].name) : "";
  $("command").value = command;
  fit();
  $("copy").disabled = !command;
  $("command-note").textContent = command ? `It reads ${tour.photos[photo].name}; "Save original" writes that file.`
    : slider ? "genrev edit does not change the rest alone." : "Move a slider first.";
  document.body.dataset.shown = `${photo} ${slider ? moved : "-"} ${step}`;
}

// No line of the command is cut, on a phone either.
function fit() {
  const { style } = $("command");
  style.height = "auto";
  style.height = `${$("command").scrollHeight + 4}px`;
}

function move(number) {
  if (moved !== null && moved !== number) setBack(moved);
  moved = number;
  tell(number);
  show();
}

function open(number) {
  photo = number;
  const told = tour.photos[photo];
  ["original", "restricted", "full"].forEach((id, i) => paint(id, `photo-${photo}`, i));
  $("about").textContent = told.about;
  $("trip").textContent = tripText(told.trip);
  tour.sliders.filter((slider) => slider.group === "dims").forEach((slider, i) => {
    document.querySelector(`label[for=slider-${tour.sliders.indexOf(slider)}] small`).textContent = `at ${told.y[i].toFixed(1)}`;
  });
  show();
  if ($("frame")) place(0);
}

function place(step) {
  $("place").value = step;
  $("place").setAttribute("aria-valuetext", `picture ${step + 1} of ${tour.frames}`);
  paint("frame", `path-${photo}`, step);
}

function play() {
  clearInterval(film);
  place(0);
  film = setInterval(() => {
    const next = Number($("place").value) + 1;
    if (next >= tour.frames) clearInterval(film);
    else place(next);
  }, (1000 * SECONDS) / tour.frames);
}

function save(canvas) {
  const name = tour.photos[photo].name;
  const download = canvas === "original" ? name : name.replace(".png", "-edited.png");
  Object.assign(document.createElement("a"), { href: $(canvas).toDataURL("image/png"), download }).click();
  $("status").textContent = `Saved ${download}.`;
}

function listen() {
  document.querySelectorAll("#photos input").forEach((input) => {
    input.addEventListener("change", () => { clearInterval(film); open(Number(input.value)); });
  });
  tour.sliders.forEach((_, number) => {
    $(`slider-${number}`).addEventListener("input", () => move(number));
    $(`slider-${number}`).addEventListener("dblclick", () => { setBack(number); move(number); });
  });
  $("reset").onclick = () => { tour.sliders.forEach((_, number) => setBack(number)); moved = null; show(); };
  $("copy").onclick = async () => { $("status").textContent = await copyText($("command")); };
  document.querySelectorAll(".save").forEach((button) => (button.onclick = () => save(button.dataset.canvas)));
  addEventListener("resize", fit);
  if (!$("frame")) return;
  $("place").addEventListener("input", () => { clearInterval(film); place(Number($("place").value)); });
  $("play").onclick = play;
}

function begin() {
  $("model").textContent = modelText(tour.about);
  $("code").textContent = codeText(tour.about);
  tour.photos.forEach((_, number) => paint(`thumb-${number}`, `photo-${number}`, 0));
  tour.sliders.forEach((_, number) => setBack(number));
  document.querySelector("#photos input").checked = true; // a browser may keep another one when it loads the page again
  listen();
  open(0);
  document.body.dataset.ready = "yes";
}

addEventListener("load", begin); // by then all sprites can be drawn
