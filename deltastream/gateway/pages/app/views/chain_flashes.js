// Cells that have just changed. They are switched on and off rather than faded: what fades is painted
// anew sixty times a second. What has been on for long enough goes off with the next chain, so that both
// are one picture, or by itself.

const FLASH_MS = 450;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Flashes {
  constructor() {
    /** Since when, the longest first. @type {Map<HTMLElement, number>} */
    this.on = new Map();
    /** @type {any} */
    this.timer = 0;
    this.now = 0;
  }

  /** A chain is about to be written. */
  begin() {
    this.now = performance.now();
    this.#off(this.now - FLASH_MS);
  }

  flash = (/** @type {HTMLElement} */ cell, /** @type {"up"|"down"} */ direction) => {
    if (calm.matches || document.hidden) return;
    cell.setAttribute("data-flash", direction);
    this.on.delete(cell);
    this.on.set(cell, this.now);
  };

  /** It is written. */
  end() {
    clearTimeout(this.timer);
    if (this.on.size > 0) this.timer = setTimeout(() => this.#off(Infinity), FLASH_MS);
  }

  clear() {
    clearTimeout(this.timer);
    this.#off(Infinity);
  }

  #off(/** @type {number} */ until) {
    for (const [cell, since] of this.on) {
      if (since > until) break;
      cell.removeAttribute("data-flash");
      this.on.delete(cell);
    }
  }
}
