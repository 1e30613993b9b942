// The page of `will-it-compile serve`, over its API v2: see /openapi.json.

import * as choices from "./modules/choices.js";
import { $, bytes, remember, remembered } from "./modules/dom.js";
import { listenToEditor, setText, text, typeInstead } from "./modules/editor.js";
import { LANGUAGES } from "./modules/languages.js";
import { pack, unpack } from "./modules/link.js";
import { begin, drawStale, say, show } from "./modules/results.js";
import { Trouble, forget, listenForToken, look, submit, toolchains } from "./modules/server.js";

const MOST_FAILURES = 6; // of asking for a result, in a row: it takes about a minute

const drafts = {}; // by language, what was in the editor
let running = null; // { id, check, controller, isOver }

// ---- A run ----

async function run() {
  choices.closePickers();
  giveUp(running);
  const mine = (running = { controller: new AbortController() });
  notify("");
  setBusy(true);
  say("Sending…");
  try {
    if (!choices.areKnown()) await loadToolchains();
    const request = { ...choices.settings(), files: { [file()]: text() }, priority: "interactive" };
    const check = await submit(request);
    mine.id = check.id;
    if (mine.isOver) {
      forget(mine.id);
      return;
    }
    begin(request);
    await follow(mine, check);
  } catch (error) {
    if (!mine.isOver) fail(error);
  } finally {
    mine.isOver = true;
    if (running === mine) setBusy(false);
  }
}

/** Ask until it is done. A server that is away for a moment still has the check when it is back. */
async function follow(mine, first) {
  let failures = 0;
  for (let check = first; ; ) {
    mine.check = check;
    show(check);
    if (hasEnded(check)) return;
    try {
      const next = await look(check, mine.controller.signal);
      if (next.done === check.done && !hasEnded(next)) await pause(0.2);
      check = next;
      failures = 0;
    } catch (error) {
      if (!error.isPassing || ++failures > MOST_FAILURES) throw error;
      await pause(Math.max(error.retryAfter ?? 0, 2 ** (failures - 2)));
    }
    if (mine.isOver) return;
  }
}

const file = () => LANGUAGES[choices.currentLanguage()].file;
const hasEnded = (check) => check.status === "done" || check.status === "cancelled";
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Whether there was something to give up. */
function giveUp(mine) {
  if (!mine || mine.isOver) return false;
  mine.isOver = true;
  mine.controller.abort();
  if (mine.id) forget(mine.id);
  return true;
}

function cancel() {
  if (!giveUp(running)) return;
  setBusy(false);
  say("Cancelled.");
  if (running.check) show({ ...running.check, status: "cancelled" });
}

function fail(error) {
  say("");
  notify(error instanceof Trouble ? error.message : "The page does not understand what the server has answered.");
  if (!(error instanceof Trouble)) console.error(error);
}

function setBusy(is) {
  const hasFocus = document.activeElement === $("cancel");
  $("cancel").hidden = !is;
  $("results").setAttribute("aria-busy", String(is));
  if (hasFocus && !is) $("run").focus();
}

function notify(words) {
  $("notice").textContent = words;
  $("notice").hidden = !words;
}

// ---- Choices ----

function changeLanguage(language) {
  drafts[choices.currentLanguage()] = text();
  choices.changeLanguage(language);
  setText(drafts[language] ?? LANGUAGES[language].example);
  drawStale();
}

async function loadToolchains() {
  const known = await toolchains();
  const missing = choices.setToolchains(known.toolchains);
  const offered = choices.offeredLanguages();
  if (offered.length && !offered.includes(choices.currentLanguage())) changeLanguage(offered[0]);
  const { wall_seconds: seconds, memory_bytes: memory } = known.limits;
  $("limits").textContent = `Each compile has ${seconds} s, ${bytes(memory)} of memory and no network. Backend: ${known.backend}.`;
  if (missing.length) notify(`This server does not have ${missing.join(", ")}.`);
}

// ---- A link ----

async function share() {
  const fragment = await pack({ ...choices.settings(), source: text() });
  history.replaceState(null, "", `#${fragment}`);
  $("share-link").value = location.href;
  $("share-dialog").showModal();
  $("share-link").select();
  const how = (await isCopied(location.href)) ? "It is copied." : "Copy it from here.";
  $("share-said").textContent = `${how} It holds the source and the settings; nothing is kept on the server.`;
}

async function isCopied(words) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    return document.execCommand("copy"); // what is selected: without https there is no more
  }
}

async function readLink() {
  const fragment = location.hash.slice(1);
  if (!fragment) return;
  try {
    const { source, ...settings } = await unpack(fragment);
    cancel();
    choices.applySettings(settings);
    setText(source);
    drawStale();
    notify("");
  } catch {
    notify("This link is damaged, or not one of this page: there is no source in it.");
  }
}

// ---- Dark and light ----

const system = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const kept = remembered("localStorage", "theme");
  return kept === "dark" || kept === "light" ? kept : system.matches ? "dark" : "light";
}

function drawTheme() {
  document.documentElement.dataset.theme = theme();
  $("other-theme").textContent = theme() === "dark" ? "Light" : "Dark";
}

function changeTheme() {
  remember("localStorage", "theme", theme() === "dark" ? "light" : "dark");
  drawTheme();
}

// ---- All together ----

function listen() {
  listenToEditor(() => LANGUAGES[choices.currentLanguage()].indent, drawStale);
  choices.listenToChoices(changeLanguage);
  listenForToken();
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  $("cancel").addEventListener("click", cancel);
  $("example").addEventListener("click", () => typeInstead(LANGUAGES[choices.currentLanguage()].example));
  $("share").addEventListener("click", share);
  $("theme").addEventListener("click", changeTheme);
  system.addEventListener("change", drawTheme);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    if (!event.repeat) run();
  });
  addEventListener("hashchange", readLink);
  addEventListener("pagehide", cancel);
}

async function start() {
  drawTheme();
  if (/Mac|iPhone|iPad/.test(navigator.platform)) $("run-keys").textContent = "⌘ ⏎";
  choices.changeLanguage(choices.currentLanguage());
  setText(LANGUAGES[choices.currentLanguage()].example);
  listen();
  await readLink();
  try {
    await loadToolchains();
  } catch (error) {
    fail(error);
  }
}

start();
