// What to compile with: a language, and compilers, standards and options that fit it.

import { $, element, plural } from "./dom.js";
import { LANGUAGES } from "./languages.js";

let toolchains = []; // as the API has them; none before the server has answered
let language = "c++";
let chosen = { compilers: new Set(), standards: new Set() };

export const currentLanguage = () => language;
export const areKnown = () => toolchains.length > 0;

export function settings() {
  const names = chosenToolchains().map((each) => each.name);
  return { language, toolchains: names, standards: chosenStandards(), warnings: warnings(), flags: flags(), link: $("link").checked };
}

/** What does not fit is left out as soon as the toolchains are known. */
export function applySettings(given) {
  language = given.language;
  chosen = { compilers: new Set(given.toolchains), standards: new Set(given.standards) };
  $("link").checked = given.link;
  $("flags").value = given.flags.join(" ");
  draw(given.warnings);
}

export function changeLanguage(name) {
  language = name;
  chosen = { compilers: new Set(), standards: new Set() };
  draw([]);
}

/** Those that a server has. Returns what was chosen and is not among them. */
export function setToolchains(these) {
  toolchains = these;
  draw(warnings());
  return [...chosen.compilers].filter((name) => !these.some((each) => each.name === name));
}

export function offeredLanguages() {
  const all = Object.keys(LANGUAGES);
  return areKnown() ? all.filter((name) => toolchains.some((each) => Object.hasOwn(each.languages, name))) : all;
}

/** Whether a toolchain knows a standard of this language. */
export function offers(name, standard) {
  const found = speaking().find((each) => each.name === name);
  return Boolean(found?.languages[language].standards.includes(standard));
}

const speaking = () => toolchains.filter((each) => Object.hasOwn(each.languages, language));

function chosenToolchains() {
  const all = speaking();
  const those = all.filter((each) => chosen.compilers.has(each.name));
  return those.length ? those : all.slice(0, 1);
}

const offeredStandards = () => [...new Set(chosenToolchains().flatMap((each) => each.languages[language].standards))];
const chosenStandards = () => offeredStandards().filter((each) => chosen.standards.has(each));
const warnings = () => [...$("warnings").querySelectorAll(":checked")].map((box) => box.value);
const flags = () => $("flags").value.split(/\s+/).filter(Boolean);

function draw(checked) {
  const options = offeredLanguages().map((value) => element("option", { value, textContent: LANGUAGES[value].title }));
  $("language").replaceChildren(...options);
  $("language").value = language;
  $("file").textContent = LANGUAGES[language].file;
  const known = Object.entries(LANGUAGES[language].warnings);
  $("warning-choices").replaceChildren(...known.map(([flag, what]) => choice(flag, what, checked.includes(flag))));
  $("warnings").hidden = !known.length;
  drawPickers();
}

function drawPickers() {
  drawPicker("compilers", speaking().map((each) => [each.name, each.languages[language].compiler]));
  const newestFirst = offeredStandards().reverse();
  drawPicker("standards", newestFirst.map((name) => [name, whoseDefault(name)]));
  drawSummaries();
}

function drawPicker(id, entries) {
  const boxes = entries.map(([value, what]) => choice(value, what, chosen[id].has(value)));
  const focused = document.activeElement.value;
  $(id).querySelector(".panel").replaceChildren(...boxes);
  if ($(id).open) boxes.find((box) => box.firstChild.value === focused)?.firstChild.focus();
}

function whoseDefault(standard) {
  const all = chosenToolchains();
  const those = all.filter((each) => each.languages[language].default === standard).map((each) => each.name);
  if (!those.length) return "";
  return those.length === all.length ? "default" : `default of ${those.length > 2 ? those.length : those.join(", ")}`;
}

function choice(value, what, checked) {
  const words = element("span", {}, element("code", { textContent: value }));
  if (what) words.append(element("small", { textContent: what }));
  return element("label", { className: "choice" }, element("input", { type: "checkbox", value, checked }), words);
}

function drawSummaries() {
  const told = (names, word, none) => (names.length > 2 ? plural(names.length, word) : names.join(" ") || none);
  const names = chosenToolchains().map((each) => each.name);
  const options = [...warnings(), ...($("link").checked ? ["link"] : []), ...flags()];
  $("compilers-chosen").textContent = told(names, "compiler", areKnown() ? "none" : "…");
  $("standards-chosen").textContent = told(chosenStandards(), "standard", "default");
  $("options-chosen").textContent = told(options, "option", "none");
}

function changed({ target }) {
  const picker = target.closest(".picker").id;
  if (!chosen[picker]) return drawSummaries();
  if (target.checked) chosen[picker].add(target.value);
  else chosen[picker].delete(target.value);
  return drawPickers();
}

export function closePickers(except) {
  for (const picker of document.querySelectorAll(".picker[open]")) if (picker !== except) picker.open = false;
}

/** `languageChanged` hears the name of one that was chosen. */
export function listenToChoices(languageChanged) {
  for (const picker of document.querySelectorAll(".picker")) picker.addEventListener("change", changed);
  $("flags").addEventListener("input", drawSummaries);
  $("language").addEventListener("change", () => languageChanged($("language").value));
  document.addEventListener("pointerdown", ({ target }) => closePickers(target.closest?.(".picker")));
  document.addEventListener("keydown", ({ key, target }) => {
    const picker = key === "Escape" && target.closest?.(".picker[open]");
    if (!picker) return;
    picker.open = false;
    picker.querySelector("summary").focus();
  });
}
