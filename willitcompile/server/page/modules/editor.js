// The editor: a textarea, with numbers at its side and colours behind its lines.

import { $, element } from "./dom.js";

export const SIGNS = { error: "✗", warning: "▲" };

let marks = []; // { line, column, severity, message }; their lines move with the text
let lines = 0;

export const text = () => $("source").value;

/** As if it were typed, so that Undo brings back what was there. */
export function typeInstead(text) {
  $("source").focus();
  $("source").select();
  insert(text);
  setMarks([]);
  $("source").setSelectionRange(0, 0);
  $("source").scrollTop = 0;
}

export function setText(text) {
  $("source").value = text;
  setMarks([]);
}

export function setMarks(these) {
  marks = these;
  drawLines();
}

const count = (text) => text.split("\n").length;

function edited() {
  const { value, selectionStart } = $("source");
  const here = count(value.slice(0, selectionStart));
  const more = count(value) - lines;
  if (!more) return;
  // What stands below the place that was edited has moved.
  const first = here - Math.max(more, 0);
  for (const mark of marks) if (mark.line > first) mark.line = Math.max(here, mark.line + more);
  drawLines();
}

/** Lines that are not marked are plain text, so that a long source costs little. */
function drawLines() {
  lines = count(text());
  const marked = new Map();
  for (const mark of marks) if (marked.get(mark.line)?.severity !== "error") marked.set(mark.line, mark);
  const numbers = [];
  const behind = [];
  let next = 1;
  const drawTo = (end) => {
    numbers.push(Array.from({ length: end - next }, (_, each) => `${next + each}\n`).join(""));
    behind.push("\n".repeat(end - next));
    next = end;
  };
  for (const [line, { severity, message }] of [...marked].sort(([one], [other]) => one - other)) {
    if (line > lines || !SIGNS[severity]) continue;
    drawTo(line);
    const className = `marked ${severity}`;
    numbers.push(element("span", { className, title: message, textContent: `${SIGNS[severity]} ${line}` }));
    behind.push(element("span", { className, textContent: " " }));
    next = line + 1;
  }
  drawTo(lines + 1);
  $("gutter").replaceChildren(...numbers);
  $("backdrop").replaceChildren(...behind);
  scrollTogether();
}

function scrollTogether() {
  $("gutter").scrollTop = $("backdrop").scrollTop = $("source").scrollTop;
}

export function goTo({ line, column }) {
  const source = $("source");
  const all = source.value.split("\n");
  const index = Math.min(line, all.length) - 1;
  const start = all.slice(0, index).reduce((sum, each) => sum + each.length + 1, 0);
  const place = start + characters(all[index], (column ?? 1) - 1);
  source.focus({ preventScroll: true });
  source.setSelectionRange(place, place);
  source.scrollTop = (index / all.length) * source.scrollHeight - source.clientHeight / 2;
  source.closest(".pane").scrollIntoView({ block: "nearest" });
}

/** How many UTF-16 units, which a textarea counts, so many bytes are, which a compiler counts. */
const characters = (line, bytes) => new TextDecoder().decode(new TextEncoder().encode(line).slice(0, bytes)).length;

function insert(typed) {
  // Old, but the only way that Undo knows of.
  if (document.execCommand("insertText", false, typed)) return;
  const source = $("source");
  source.setRangeText(typed, source.selectionStart, source.selectionEnd, "end");
  source.dispatchEvent(new Event("input"));
}

let leaving = false; // Esc was pressed, so Tab moves on

function key(event, indent) {
  const leave = leaving && event.key === "Tab";
  leaving = event.key === "Escape";
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || leave) return;
  const { value, selectionStart } = event.target;
  const line = value.slice(value.lastIndexOf("\n", selectionStart - 1) + 1, selectionStart);
  const typed = { Tab: indent, Enter: `\n${/^[\t ]*/.exec(line)[0]}` }[event.key];
  if (!typed) return;
  event.preventDefault();
  insert(typed);
}

/** `indent` gives what Tab types; `changed` hears of each change. */
export function listenToEditor(indent, changed) {
  $("source").addEventListener("keydown", (event) => key(event, indent()));
  $("source").addEventListener("scroll", scrollTogether);
  $("source").addEventListener("input", () => {
    edited();
    changed();
  });
}
