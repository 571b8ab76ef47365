"use strict";
const byId = (id) => document.getElementById(id);
const settings = JSON.parse(byId("settings").textContent);
const canvas = byId("canvas"), stage = byId("stage"), score = byId("score");
const PART = 2 ** 22;  // pixels of a canvas at most, because some browsers limit its size
let shown = null;  // picture, name, objects and milliseconds
let stream = null;  // of the camera, while it runs
let last = Promise.resolve();  // the last task; pictures are processed one after the other

function say(text, isError = false) {
  byId("status").textContent = text;
  byId("status").className = isError ? "error" : "";
}

async function load(file) {
  const answer = await fetch(file).catch(() => ({ok: false, status: "nothing"}));
  if (answer.ok) return new Uint8Array(await answer.arrayBuffer());
  const isOurs = file === settings.graph;
  throw new Error(`${file} cannot be loaded (the server answers ${answer.status}). ` + (isOurs
    ? "It must be in the folder of this page: export it again with ssdlite export --to web."
    : `It must be in the folder of this page: copy it from package/dist in ${settings.package}`));
}

async function openNetwork() {
  if (location.protocol === "file:") {
    throw new Error("Browsers do not let a page that is opened as a file load other files. In this"
      + " page's folder, run python -m http.server -b localhost, and open http://localhost:8000");
  }
  const [script, wasm] = settings.runtime;
  const [graph, binary] = await Promise.all([settings.graph, wasm, script].map(load));
  const ort = await import(`./${script}`);
  ort.env.wasm.wasmBinary = binary.buffer;
  ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  const session = await ort.InferenceSession.create(graph, {executionProviders: ["wasm"]});
  const shape = [1, ...settings.size, 3];
  const run = (pixels) => session.run({images: new ort.Tensor("uint8", pixels, shape)});
  await run(new Uint8Array(shape.reduce((a, b) => a * b)));  // The first run takes longer.
  return run;
}

/** A function that returns rows of a picture as RGBA; it draws a part of the picture at a time. */
function rowsOf(picture) {
  const {width, height} = picture, surface = document.createElement("canvas");
  surface.width = width;
  surface.height = Math.min(height, Math.ceil(PART / width));
  const context = surface.getContext("2d", {willReadFrequently: true});
  let begin = -Infinity, data = null;
  return (y) => {
    if (y < begin || y >= begin + surface.height) {
      begin = y;
      context.clearRect(0, 0, width, surface.height);
      context.drawImage(picture, 0, -begin);
      ({data} = context.getImageData(0, 0, width, surface.height));
    }
    return data.subarray(4 * width * (y - begin), 4 * width * (y - begin + 1));
  };
}

/** The objects in a picture, highest score first; boxes are x0, y0, x1, y1 in its pixels. */
async function detect(picture) {
  const run = await network, {width, height} = picture;
  const outputs = await run(resize(rowsOf(picture), [height, width], settings.size));
  const {boxes, scores, labels} = outputs, sides = [width, height, width, height];
  return Array.from({length: Number(outputs.num_detections.data[0])}, (_, row) => ({
    label: Number(labels.data[row]),
    name: settings.names[Number(labels.data[row])],
    score: scores.data[row],
    box: sides.map((side, index) => boxes.data[4 * row + index] * side),
  }));
}

async function process(picture, name) {
  const start = performance.now(), objects = await detect(picture);
  shown?.picture.close();
  shown = {picture, name, objects, milliseconds: performance.now() - start};
  show();
  const {width, height} = picture, {milliseconds} = shown;
  document.dispatchEvent(new CustomEvent("detections",
    {detail: {name, width, height, milliseconds, detections: objects}}));
}

/** Draw and list the objects whose score is at least that of the slider. */
function show() {
  byId("score-text").textContent = Number(score.value).toFixed(2);
  if (!shown) return;
  const {picture, name, objects, milliseconds} = shown;
  const kept = objects.filter((one) => one.score >= Number(score.value));
  byId("hint").hidden = true;
  canvas.hidden = false;
  const unit = devicePixelRatio;
  const scale = Math.min(stage.clientWidth / picture.width, 0.65 * innerHeight / picture.height);
  canvas.width = Math.round(picture.width * scale * unit);
  canvas.height = Math.round(picture.height * scale * unit);
  canvas.style.width = `${canvas.width / unit}px`;
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  drawObjects(canvas, kept, scale * unit, unit);
  const count = `${kept.length} object${kept.length === 1 ? "" : "s"}`;
  say(`${name}: ${count}, ${milliseconds.toFixed(0)} ms`);
  const texts = kept.map(textOf);
  canvas.setAttribute("aria-label", `${name}: ${texts.join(", ") || "nothing found"}`);
  byId("objects").replaceChildren(...kept.map((one, index) => {
    const item = document.createElement("li"), swatch = document.createElement("i");
    swatch.style.background = colourOf(one.label);
    item.append(swatch, texts[index]);
    return item;
  }));
}

function inTurn(task) {
  last = last.then(task).catch((error) => say(error.message, true));
  return last;
}

function openFile(file) {
  stopCamera();
  if (!file) return say("That is not a file; save the picture first.", true);
  return inTurn(async () => {
    say(`${file.name} ...`);
    const options = {imageOrientation: "from-image", colorSpaceConversion: "none"};
    const picture = await createImageBitmap(file, options).catch(() => {
      throw new Error(`${file.name} is not an image that this browser can read.`);
    });
    await process(picture, file.name);
  });
}

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  byId("camera").disabled = false;
  byId("camera").textContent = "Use the camera";
  byId("status").setAttribute("aria-live", "polite");
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers allow the camera only on pages of https:// and http://localhost.");
  }
  const video = document.createElement("video"), wish = {video: {facingMode: "environment"}};
  stream = await navigator.mediaDevices.getUserMedia(wish).catch((error) => {
    throw new Error(`The camera cannot be used: ${error.message}`);
  });
  byId("camera").disabled = false;
  byId("camera").textContent = "Stop the camera";
  byId("status").setAttribute("aria-live", "off");  // It changes with each frame.
  Object.assign(video, {srcObject: stream, muted: true, playsInline: true});
  await video.play();
  const ours = stream;
  while (stream === ours && ours.active) {
    await inTurn(async () => {
      if (stream === ours) await process(await createImageBitmap(video), "camera");
    });
    await new Promise(requestAnimationFrame);
  }
}

score.min = Math.ceil(settings.threshold * 100) / 100;
score.value = Math.max(settings.threshold, 0.4);
score.addEventListener("input", show);
byId("file").addEventListener("change", ({target}) => {
  if (target.files.length) openFile(target.files[0]);
  target.value = "";
});
byId("camera").addEventListener("click", () => {
  if (stream) return stopCamera();
  byId("camera").disabled = true;  // while the browser asks
  startCamera().catch((error) => { stopCamera(); say(error.message, true); });
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    stage.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") openFile(event.dataTransfer.files[0]);
  });
}
let room = 0;
new ResizeObserver(() => {
  if (room !== stage.clientWidth) show();
  room = stage.clientWidth;
}).observe(stage);
const network = openNetwork();
inTurn(async () => { await network; say("Ready."); });
show();
