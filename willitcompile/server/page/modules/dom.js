// Elements, and what the browser keeps. Text gets on the page as text alone: what compilers, servers and links say is
// hostile.

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

export function bytes(count) {
  const mib = count / 2 ** 20;
  return mib >= 1024 ? `${+(mib / 1024).toFixed(1)} GiB` : `${Math.max(1, Math.round(mib))} MiB`;
}

/** What `sessionStorage` or `localStorage` has; null also where the browser keeps nothing. */
export function remembered(storage, key) {
  try {
    return window[storage].getItem(key);
  } catch {
    return null;
  }
}

export function remember(storage, key, value) {
  try {
    window[storage].setItem(key, value);
  } catch {
    // it is forgotten with the page
  }
}
