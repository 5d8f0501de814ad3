// Sends pictures to the service that this page comes from, a few at a time, and shows what it answers.
//
// A picture is an object: `name`, and `file` or `url`; `card`, its place on the page, whose class says how far it is;
// `stop`, which ends its request. It waits in `waiting` until `next` sends it.
// Names and answers are shown as text, never as HTML.

const STAGES = { queue: "queue", "image fetch": "fetch", decode: "decode", inference: "infer" }; // ours, and shown
const MOST_CARDS = 200; // pictures on the page; more make it slow
const PREVIEW = 320; // px
const LONGEST_NAME = 120; // characters of a name that are shown
const LOOK_AGAIN = 2000; // ms between two looks whether the service is ready
const MAY_PASS = [408, 429, 502, 503, 504]; // statuses that another try can change

// Kinds of failures whose `detail` advises those who run the service. Visitors read this instead.
const WORDS = {
  blocked: "The service cannot fetch this address. Check it, or save the picture and choose the file",
  not_found: "There is no server of this name. Check the address",
  network: "The picture could not be downloaded",
  timeout: "This took too long",
  too_large: "It is too large for this service. Choose a smaller one",
  unsupported: "The service cannot read this kind of picture. Save it as a JPEG, and choose that",
  fault: "The service has a fault, and cannot classify this picture",
};

// What could change a line's direction, end it, or be in it unseen.
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu;

const at = (id) => document.getElementById(id);
const bounds = document.body.dataset;
const [atOnce, maxBytes, patience] = [bounds.atOnce, bounds.maxBytes, bounds.patience].map(Number);

const waiting = [];
const pictures = new Set(); // on the page
let underWay = 0;
let ready = true; // as far as is known
let notBefore = 0; // ms; when the service wants to be asked again
let previews = Promise.resolve(); // one after the other: each takes the memory of a whole picture

class Failure extends Error {
  constructor(message, status = 0, after = 0) {
    super(message);
    Object.assign(this, { status, after }); // of HTTP, also where nothing answers; s until the service may be asked again
  }
}

// Text

const printable = (text) => text.replace(UNSEEN, (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);

function shown(text, limit = 300) {
  const all = [...printable(String(text))];
  return all.length > limit ? [...all.slice(0, limit / 2), "…", ...all.slice(1 - limit / 2)].join("") : all.join("");
}

function sentence(text) {
  const clean = shown(text);
  const first = /^[a-z]+[ ,]/.test(clean) ? clean[0].toUpperCase() + clean.slice(1) : clean;
  return /[.?!)]$/.test(first) ? first : `${first}.`;
}

function size(bytes) {
  const [number, unit] = bytes >= 2 ** 20 ? [bytes / 2 ** 20, "MiB"] : [bytes / 2 ** 10, "KiB"];
  return `${Number(number.toFixed(1))}\u00a0${unit}`;
}

const ms = (number) => `${number.toFixed(number < 1000 ? 1 : 0)}\u00a0ms`;

const hint = (text) => void (at("hint").textContent = text);

const counted = (number) => `${number} picture${number === 1 ? "" : "s"}`;

function element(tag, kind, ...children) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...children);
  return made;
}

// What comes in

function take(found) {
  hint("");
  const fit = found.slice(0, MOST_CARDS - pictures.size);
  if (fit.length < found.length) {
    hint(`The page holds ${MOST_CARDS} pictures; ${found.length - fit.length} of these were not taken. Clear it for more.`);
  }
  for (const picture of fit) {
    const answer = element("div", "answer");
    const details = element("small");
    const name = element("h3", "t", shown(picture.name, LONGEST_NAME));
    name.title = shown(picture.name);
    const preview = element("div", "preview");
    picture.card = element("li", "working", preview, element("div", "", name, details), answer);
    picture.card.tabIndex = -1;
    Object.assign(picture, { answer, details, preview });
    pictures.add(picture);
    enqueue(picture);
    previews = previews.then(() => draw(picture));
  }
  at("cards").prepend(...fit.map((picture) => picture.card));
  next();
  return fit.length > 0;
}

const takeFiles = (files) => take([...files].map((file) => ({ name: file.name, file })));

function takeUrls(text) {
  if (bounds.urls !== "true") return hint("This service fetches no URLs. Save the picture, and drop it here.");
  const parts = text.trim().split(/\s+(?=https?:\/\/)/i); // several, if they are pasted
  const urls = parts.map((url) => (url.includes("://") ? url : `https://${url}`));
  const wrong = urls.some((url) => !/^https?:/i.test(url) || !URL.canParse(url));
  if (wrong) return hint("Give the URL of a picture. It begins with https:// or http://.");
  return take(urls.map((url) => ({ name: url, url })));
}

async function draw(picture) {
  picture.preview.setAttribute("aria-hidden", "true"); // its name stands beside it
  if (!pictures.has(picture)) return;
  try {
    const bitmap = await createImageBitmap(picture.file); // a URL has no file here
    const scale = Math.min(1, PREVIEW / Math.min(bitmap.width, bitmap.height));
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const canvas = element("canvas");
    canvas.width = canvas.height = Math.min(PREVIEW, Math.max(width, height));
    const brush = canvas.getContext("2d");
    brush.imageSmoothingQuality = "high";
    brush.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
    bitmap.close();
    picture.preview.replaceChildren(canvas);
  } catch {
    picture.preview.classList.add("none");
    picture.preview.replaceChildren("no preview");
  }
}

// What is sent

function enqueue(picture) {
  waiting.push(picture);
  picture.card.className = "working";
  picture.answer.replaceChildren(element("p", "", "Waits for its turn."));
}

function next() {
  tell();
  const pause = notBefore - Date.now();
  if (pause > 0 && waiting.length) setTimeout(next, pause);
  while (ready && pause <= 0 && underWay < atOnce && waiting.length) send(waiting.shift());
}

async function send(picture) {
  underWay += 1;
  picture.stop = new AbortController();
  picture.answer.replaceChildren(element("p", "", picture.url ? "Is fetched and classified." : "Is sent and classified."));
  try {
    show(picture, await ask(picture));
  } catch (error) {
    const failure = error instanceof Failure ? error : new Failure("The answer cannot be read", 502);
    if (pictures.has(picture)) fail(picture, failure); // else the page was cleared
  }
  underWay -= 1;
  next();
}

async function ask({ file, url, stop }) {
  if (file) await check(file);
  const query = new URLSearchParams(file ? { top: 3 } : { top: 3, url });
  const headers = file ? { "Content-Type": "application/octet-stream" } : {};
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(patience)]);
  try {
    const answer = await fetch(`v1/classify?${query}`, { method: file ? "POST" : "GET", body: file, headers, signal });
    if (answer.ok) return await answer.json();
    const { kind, detail = `The answer was ${answer.status}` } = await answer.json().catch(() => ({})); // of a proxy
    const why = WORDS[kind] ?? detail.replace(`${url ?? "body"}: `, "");
    throw new Failure(why, answer.status, Number(answer.headers.get("Retry-After")) || 0);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(error.name === "TimeoutError" ? "No answer came in time" : "The service cannot be reached", 503);
  }
}

async function check(file) {
  if (file.size > maxBytes) throw new Failure(`It is larger than the ${size(maxBytes)} that this service takes`);
  const start = await file.slice(0, 1).arrayBuffer().catch(() => null);
  if (!start) throw new Failure("It cannot be read. If it is a folder, choose the pictures in it");
  if (!start.byteLength) throw new Failure("The file is empty");
}

// What is shown

function show(picture, { results: [result], timing: { stages, wall_ms: wall } }) {
  const { width, height, format, bytes } = result.image;
  picture.details.textContent = shown(`${width} × ${height} · ${format} · ${size(bytes)} · ${ms(wall)}`);
  picture.card.className = "ok";
  const list = element("ol", "", ...result.predictions.map(candidate));
  const [best] = result.predictions;
  picture.news = best ? `${named(best)}, ${best.score.toFixed(3)}` : "No candidate scores high enough.";
  picture.answer.replaceChildren(best ? list : element("p", "", picture.news), ...times(stages, wall));
}

function named({ name, common_name: common }) {
  return shown(common ?? (name === "background" ? "No bird" : name), 100);
}

function candidate(one) {
  const bar = element("span", "bar", part("", one.score));
  bar.setAttribute("aria-hidden", "true");
  const names = element("span", "t", element("b", "", named(one)));
  if (one.common_name) names.append(" ", element("em", "", shown(one.name, 100)));
  return element("li", "", bar, names, element("span", "n", element("span", "unseen", "score "), one.score.toFixed(3)));
}

function part(kind, share) {
  const made = element("i", kind);
  made.style.width = `${Math.min(Math.max(share, 0), 1) * 100}%`;
  return made;
}

function times(stages, wall) {
  const spentOn = (stage) => stages.find((one) => one.stage === stage)?.spent_ms ?? 0;
  const took = Object.entries(STAGES).map(([stage, name]) => [name, spentOn(stage)]);
  const bar = element("div", "bar stages", ...took.map(([name, spent]) => part(name, spent / wall)));
  bar.setAttribute("aria-hidden", "true");
  const rows = took.map(([name, spent]) =>
    element("div", "", element("dt", "", element("span", `dot ${name}`), name), element("dd", "", ms(spent))),
  );
  return [bar, element("dl", "times", ...rows)];
}

function fail(picture, { message, status, after }) {
  picture.news = sentence(message);
  picture.answer.replaceChildren(element("p", "bad", picture.news));
  picture.card.className = MAY_PASS.includes(status) ? "again" : "failed";
  if (MAY_PASS.includes(status)) {
    const button = element("button", "", "Try again");
    button.setAttribute("aria-label", `Try again: ${shown(picture.name, LONGEST_NAME)}`);
    button.type = "button";
    button.addEventListener("click", () => tryAgain([picture]));
    picture.answer.append(button);
  }
  notBefore = Math.max(notBefore, Date.now() + after * 1000);
  if (status === 503) lookWhetherReady();
}

function tryAgain(failed) {
  failed.forEach(enqueue);
  failed[0].card.focus(); // the button is gone
  next();
}

const those = (state) => [...pictures].filter((picture) => picture.card.className === state);

function tell() {
  const all = pictures.size;
  const [working, again, failed] = ["working", "again", "failed"].map((state) => those(state).length);
  const failures = again + failed ? `, ${again + failed} failed` : "";
  at("results").hidden = !all;
  at("again").hidden = again < 2;
  at("count").textContent = working ? `${all - working} of ${counted(all)} done${failures}` : counted(all) + failures;
  const last = [...pictures].at(-1);
  const news = working || all > 1 ? at("count").textContent : `${shown(last?.name)}: ${last?.news}`;
  at("news").textContent = all ? news : "";
}

// Whether the service is ready

async function lookWhetherReady() {
  if (!ready) return; // it looks already
  for (ready = false; !ready; ) {
    const why = await fetch("readyz").then(
      (answer) => (answer.ok ? "" : "The service is not ready. Pictures wait here until it is."),
      () => "The service does not answer. Pictures wait here until it does.",
    );
    ready = !why;
    if (at("not-ready").textContent !== why) at("not-ready").textContent = why;
    if (!ready) await new Promise((go) => setTimeout(go, LOOK_AGAIN));
  }
  next();
}

// What people do

for (const id of ["files", "camera"]) {
  at(id).addEventListener("change", ({ target }) => {
    takeFiles(target.files);
    target.value = ""; // so that the same file can be chosen again
  });
}

at("by-url")?.addEventListener("submit", (event) => {
  event.preventDefault();
  if (takeUrls(at("url").value)) at("url").value = "";
  else at("url").focus();
});

at("again").addEventListener("click", () => tryAgain(those("again")));

at("clear").addEventListener("click", () => {
  for (const picture of pictures) picture.stop?.abort();
  waiting.length = 0;
  pictures.clear();
  at("cards").replaceChildren();
  hint("");
  tell();
  at("files").focus();
});

document.addEventListener("paste", (event) => {
  const { files } = event.clipboardData;
  const text = event.clipboardData.getData("text/plain").trim();
  if (files.length) takeFiles(files);
  else if (event.target === at("url") || !text) return;
  else if (/^https?:\/\//i.test(text)) takeUrls(text);
  else hint("What was pasted is neither a picture nor a URL.");
  event.preventDefault();
});

const carries = ({ dataTransfer: { types } }) => types.includes("Files") || types.includes("text/uri-list");

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    document.body.classList.add("over");
  });
}

document.addEventListener("dragleave", ({ relatedTarget: to }) => to ?? document.body.classList.remove("over"));

document.addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  document.body.classList.remove("over");
  const { files } = event.dataTransfer;
  if (files.length) takeFiles(files);
  else takeUrls(event.dataTransfer.getData("text/uri-list").replace(/^#.*\r?\n/gm, ""));
});

at("most").textContent = size(maxBytes);
at("ask").hidden = false;
if (bounds.ready !== "true") lookWhetherReady();
