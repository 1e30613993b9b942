// A link that holds a source and its settings in its fragment, which no server sees:
// `d` and base64url of deflated JSON, or `p` and base64url of JSON.

import { LANGUAGES } from "./languages.js";

const MOST = 1 << 20; // bytes of JSON

/** The fragment, without `#`. */
export async function pack(settings) {
  const plain = new TextEncoder().encode(JSON.stringify(settings));
  try {
    return `d${toBase64(await piped(plain, new CompressionStream("deflate-raw")))}`;
  } catch {
    return `p${toBase64(plain)}`; // an old browser
  }
}

/** The settings of a fragment, in which anything may stand. Raises an error for what is not of `pack`. */
export async function unpack(fragment) {
  const kind = fragment[0];
  const packed = fromBase64(fragment.slice(1));
  if (kind !== "d" && kind !== "p") throw new Error("not a link of this page");
  const plain = kind === "d" ? await piped(packed, new DecompressionStream("deflate-raw")) : packed;
  return checked(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(plain)));
}

function checked(given) {
  const { language, source, link } = given ?? {};
  if (typeof source !== "string" || !Object.hasOwn(LANGUAGES, language)) throw new Error("not a link of this page");
  const [toolchains, standards, warnings, flags] = ["toolchains", "standards", "warnings", "flags"].map((name) =>
    (Array.isArray(given[name]) ? given[name] : []).filter((each) => typeof each === "string").slice(0, 100),
  );
  return { language, source, toolchains, standards, warnings, flags, link: link === true };
}

/** What a stream makes of these bytes. Raises an error for too much: a short link can unfold to gigabytes. */
async function piped(given, through) {
  const parts = [];
  let size = 0;
  const reader = new Blob([given]).stream().pipeThrough(through).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.length;
    if (size > MOST) {
      await reader.cancel();
      throw new Error("too large");
    }
    parts.push(part.value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function toBase64(raw) {
  const text = Array.from(raw, (each) => String.fromCharCode(each)).join("");
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

const fromBase64 = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
