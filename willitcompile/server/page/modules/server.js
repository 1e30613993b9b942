// The server: what it answers, the token that it may want, and its refusals in plain words.

import { $, plural, remember, remembered } from "./dom.js";

/** Why there is no answer, for people. */
export class Trouble extends Error {
  constructor(message, { status = 0, retryAfter = null } = {}) {
    super(message);
    this.retryAfter = retryAfter; // seconds
    this.isPassing = status === 0 || status === 429 || status >= 500;
  }
}

let token = remembered("sessionStorage", "token");

/** The JSON that a path answers with. Raises Trouble, or AbortError where `signal` says so. */
export async function ask(path, options = {}) {
  for (;;) {
    const sent = token;
    const response = await send(path, options);
    const document = await response.json().catch(() => null);
    if (response.ok && document) return document;
    if (response.status !== 401) throw refusal(response, document);
    // Another request may have been given a better one meanwhile.
    if (sent === token && !(await askForToken(Boolean(sent)))) {
      throw new Trouble("This server answers only with a token. Press Run to give it one.", { status: 401 });
    }
  }
}

const pathOf = (id) => `/api/v2/checks/${encodeURIComponent(id)}`;

export const toolchains = () => ask("/api/v2/toolchains");
export const submit = (body) => ask("/api/v2/checks", { method: "POST", body });

/** The check once it has more results than it had, or after a while: soon where it may begin meanwhile. */
export const look = ({ id, done, status }, signal) =>
  ask(`${pathOf(id)}?wait=${status === "queued" ? 1 : 20}&seen=${done}`, { signal });

/** Say that nobody waits for a check, also while the page is left. */
export const forget = (id) => send(pathOf(id), { method: "DELETE", keepalive: true }).catch(() => {});

async function send(path, { method = "GET", body, signal, keepalive } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method, headers, body: body && JSON.stringify(body), signal, keepalive, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The server cannot be reached. Your source is still here: try again in a moment.");
  }
}

function refusal(response, document) {
  const { status } = response;
  const said = typeof document?.message === "string" ? document.message : "";
  const remedy = typeof document?.remedy === "string" ? ` – ${document.remedy}` : "";
  const retryAfter = secondsOf(response.headers.get("Retry-After"));
  const when = retryAfter === null ? "Try again in a moment." : `Try again in ${plural(retryAfter, "second")}.`;
  const words = {
    404: "The server does not know this check any more. Run it again.",
    413: "The source is larger than this server takes.",
    429: `That is more than the server takes just now (${said || "too many requests"}). ${when}`,
    503: `The server takes no work just now (${said || "it is not ready"}). ${when}`,
  };
  const others = status < 500 && said ? `The server says: ${said}${remedy}` : `The server has failed (${status}). ${when}`;
  return new Trouble(words[status] ?? others, { status, retryAfter });
}

/** What Retry-After says, as seconds from now or as a date; null for nothing that makes sense. */
function secondsOf(header) {
  if (!header) return null;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(1, Math.ceil(seconds)) : null;
}

let asking = null; // one dialog, however many requests want it

/** Whether a token was given. */
function askForToken(wasRefused) {
  asking ??= new Promise((resolve) => {
    const dialog = $("token-dialog");
    $("token-why").textContent = wasRefused
      ? "The server does not know the token that it was given."
      : "It is kept until this tab is closed.";
    $("token").value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
    dialog.showModal();
  }).finally(() => (asking = null));
  return asking;
}

export function listenForToken() {
  $("token-leave").addEventListener("click", () => $("token-dialog").close());
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    // A header can hold no other characters.
    token = $("token").value.replace(/[^\x21-\x7e]/g, "");
    remember("sessionStorage", "token", token);
    $("token-dialog").close("given");
  });
}
