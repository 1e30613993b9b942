// What came out: a table where there are several results, and one of them in full, with its marks in the editor.

import { offers } from "./choices.js";
import { $, bytes, element, plural } from "./dom.js";
import { SIGNS, goTo, setMarks, text } from "./editor.js";

// Told in words, with a sign, and only then by a colour; `short` is for the table.
const VERDICTS = {
  compiled: { words: "Compiles", short: "Compiles", sign: "✓", tone: "good" },
  rejected: { words: "Does not compile", short: "Rejected", sign: "✗", tone: "bad" },
  timeout: { words: "Took too long", short: "Too long", sign: "◷", tone: "warn" },
  "out-of-memory": { words: "Ran out of memory", short: "Memory", sign: "▦", tone: "warn" },
  "output-limit": { words: "Wrote too much", short: "Output", sign: "≡", tone: "warn" },
  crashed: { words: "The compiler crashed", short: "Crashed", sign: "!", tone: "warn" },
  error: { words: "No answer", short: "No answer", sign: "?", tone: "warn" },
};
const PENDING = { short: "Waiting", sign: "…", tone: "calm" };
const CANCELLED = { short: "Cancelled", sign: "–", tone: "calm" };

let asked = null; // the request whose results these are
let cells = []; // { toolchain, standard, button, result }
let shown = null; // the cell that is shown in full
let wanted = null; // the one that somebody chose

const verdictOf = ({ verdict }) => (Object.hasOwn(VERDICTS, verdict ?? "") ? verdict : "error");
const toldOf = ({ result }) => VERDICTS[verdictOf(result)];

/** Show that these are to come. */
export function begin(request) {
  asked = request;
  shown = wanted = null;
  $("empty").textContent = "The compiler is at work…";
  $("empty").hidden = false;
  $("detail").hidden = true;
  $("detail").replaceChildren();
  drawTable(request.toolchains, request.standards.length ? request.standards : [null]);
  setMarks([]);
  drawStale();
}

/** What is there of a check by now. */
export function show(check) {
  for (const result of check.results) {
    const cell = cells.find((each) => each.toolchain === result.toolchain && (!each.standard || each.standard === result.standard));
    if (cell) cell.result ??= result;
  }
  for (const cell of cells) drawCell(cell, check.status);
  const there = cells.filter((each) => each.result);
  const first = wanted ?? there.find((each) => verdictOf(each.result) !== "compiled") ?? there[0];
  if (first) select(first);
  else if (check.status === "cancelled") $("empty").textContent = "Nothing was compiled.";
  say(standing(check, there));
}

export function say(words) {
  if ($("status").textContent !== words) $("status").textContent = words;
}

/** Whether the editor has what was compiled. */
function isCurrent() {
  const [[file, content]] = Object.entries(asked.files);
  return $("file").textContent === file && text() === content;
}

export function drawStale() {
  $("stale").hidden = !asked || isCurrent();
}

function standing({ status, done, total }, there) {
  if (status === "cancelled") return total > 1 ? `Cancelled. ${done} of ${total} done.` : "Cancelled.";
  if (status !== "done") {
    if (total > 1) return `Compiling… ${done} of ${total} done.`;
    return status === "queued" ? "Waiting for its turn…" : "Compiling…";
  }
  if (there.length === 1) return `${toldOf(there[0]).words}: ${tally(there[0].result)}.`;
  const compiled = there.filter((each) => verdictOf(each.result) === "compiled").length;
  return compiled === there.length ? `All ${compiled} compile.` : `${compiled} of ${there.length} compile.`;
}

function tally({ diagnostics = [] }) {
  const counted = (severity) => diagnostics.filter((each) => each.severity === severity).length;
  const told = ["error", "warning"].filter(counted).map((severity) => plural(counted(severity), severity));
  return told.join(", ") || "no errors or warnings";
}

// ---- The table ----

function drawTable(toolchains, standards) {
  const head = ["Compiler", ...standards.map((each) => each ?? "default")];
  const titles = head.map((textContent) => element("th", { scope: "col", textContent }));
  cells = [];
  const rows = toolchains.map((toolchain) => {
    const title = element("th", { scope: "row", textContent: toolchain });
    return element("tr", {}, title, ...standards.map((standard) => element("td", {}, tableCell(toolchain, standard))));
  });
  const caption = element("caption", { className: "unseen", textContent: "Each compiler at each standard" });
  const parts = [caption, element("thead", {}, element("tr", {}, ...titles)), element("tbody", {}, ...rows)];
  $("matrix").replaceChildren(element("table", {}, ...parts));
  $("matrix").hidden = toolchains.length * standards.length < 2;
}

function tableCell(toolchain, standard) {
  if (standard && !offers(toolchain, standard)) {
    return element("span", { className: "cell none", textContent: "–", title: `${toolchain} does not know ${standard}` });
  }
  const button = element("button", { type: "button", className: "cell", disabled: true });
  const cell = { toolchain, standard, button, result: null };
  button.addEventListener("click", () => select((wanted = cell)));
  cells.push(cell);
  return button;
}

function drawCell(cell, status) {
  const { button, result } = cell;
  const { short, sign, tone, words } = result ? toldOf(cell) : status === "cancelled" ? CANCELLED : PENDING;
  button.className = `cell ${tone}`;
  button.disabled = !result;
  button.title = words ?? "";
  button.replaceChildren(element("span", { className: "sign", textContent: sign, ariaHidden: "true" }), ` ${short}`);
}

function select(cell) {
  if (shown === cell) return;
  shown?.button.removeAttribute("aria-pressed");
  cell.button.setAttribute("aria-pressed", "true");
  shown = cell;
  const [file] = Object.keys(asked.files);
  const marks = (cell.result.diagnostics ?? [])
    .filter((each) => SIGNS[each.severity])
    .map((each) => ({ ...each, isHere: each.path === file && each.line > 0 }));
  setMarks(isCurrent() ? marks.filter((each) => each.isHere) : []);
  $("detail").replaceChildren(...details(cell, marks));
  $("detail").hidden = false;
  $("empty").hidden = true;
}

// ---- One result in full ----

function details(cell, marks) {
  const { result } = cell;
  const { words, sign, tone } = toldOf(cell);
  const badge = element("span", { className: `badge ${tone}` }, element("span", { textContent: sign, ariaHidden: "true" }), ` ${words}`);
  badge.dataset.verdict = verdictOf(result);
  const which = [result.toolchain, result.standard].filter(Boolean).join(", ");
  const title = element("h3", { className: "verdict" }, badge, element("span", { className: "which", textContent: which }));
  if (result.error) {
    const { asked, obstacle, remedy } = result.error;
    return [title, facts([["Asked", asked], ["In the way", obstacle], ["What to do", remedy]])];
  }
  const note = (textContent) => element("p", { className: "note", textContent });
  return [
    title,
    facts(factsOf(result)),
    ...result.notes.map(note),
    ...(marks.length ? [element("ol", { className: "diagnostics", ariaLabel: "Messages" }, ...marks.map(diagnostic))] : []),
    ...output("The compiler's message", result.stderr),
    ...output("Its standard output", result.stdout),
    ...(result.truncated ? [note("The compiler printed more than it may: this is how it begins.")] : []),
    ...(result.stderr || result.stdout ? [] : [element("p", { className: "silent", textContent: "The compiler has nothing to say." })]),
  ];
}

function factsOf(result) {
  const isPlain = result.verdict === "compiled" || result.verdict === "rejected";
  const { verdict, text, met } = result.expected ?? {};
  return [
    ["Expected", verdict && `${verdict}${text ? ` with "${text}"` : ""}, and ${met ? "so it is" : "so it is not"}`],
    ["Compiler", result.compiler],
    ["Time", duration(result)],
    ["Memory", result.peak_memory_bytes && bytes(result.peak_memory_bytes)],
    ["Ran in", `${result.backend}, ${result.isolation}`],
    ["Image", result.image],
    ["Limit reached", result.limit],
    ["Signal", result.signal],
    ["Exit code", isPlain ? null : result.exit_code],
  ];
}

function facts(list) {
  const known = list.filter(([, told]) => told !== null && told !== undefined && told !== "");
  const parts = known.map(([name, told]) =>
    element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: String(told) })),
  );
  return element("dl", { className: "facts" }, ...parts);
}

function duration({ duration_seconds: seconds, cached }) {
  const told = seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(2)} s`;
  return cached ? `${told}, known from before` : told;
}

function diagnostic(mark) {
  const { severity, path, line, message, code, isHere } = mark;
  const where = isHere ? `line ${line}` : [path, line].filter(Boolean).join(":");
  const parts = [
    element("span", { className: `severity ${severity}`, textContent: `${SIGNS[severity]} ${severity}` }),
    element("span", { className: "where", textContent: where }),
    element("span", { className: "text", textContent: message }),
  ];
  if (code) parts.push(element("code", { textContent: code }));
  if (!isHere) return element("li", {}, element("div", { className: "diagnostic" }, ...parts));
  const button = element("button", { type: "button", className: "diagnostic" }, ...parts);
  button.addEventListener("click", () => goTo(mark));
  return element("li", {}, button);
}

function output(title, printed) {
  if (!printed) return [];
  // It scrolls, which by keyboard takes focus.
  const pre = element("pre", { textContent: printed, tabIndex: 0, role: "group", ariaLabel: title });
  return [element("h4", { textContent: title }), pre];
}
