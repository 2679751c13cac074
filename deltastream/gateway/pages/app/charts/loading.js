// What a chart asks the API for: pages of a history, one question at a time, again where it failed.

const AGAIN_MS = 5000;
const SOON_MS = 100; // another may be meant at once, while the chains come in
const MOST_PAGES = 24;

/**
 * All pages of a history.
 * @param {import("../core/session.js").Session} session
 * @param {string} path @param {Record<string, any>} query
 * @param {(answer: any) => {items: Array<any>, cursor: string|null}} read
 * @param {AbortSignal} signal
 */
export async function pages(session, path, query, read, signal) {
  const found = [];
  const parameters = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  for (let count = 0; count < MOST_PAGES; count += 1) {
    const { items, cursor } = read(await session.call(`${path}?${parameters}`, { signal }));
    found.push(...items);
    if (cursor === null) return found;
    parameters.set("cursor", cursor);
  }
  throw new Error("There is more history than can be shown.");
}

/** A question that is asked anew whenever another is meant. @template T */
export class Loading {
  /**
   * @param {(signal: AbortSignal) => Promise<T>} ask
   * @param {(answer: T) => void} take
   * @param {() => void} changed told when `state` or `problem` is another
   */
  constructor(ask, take, changed) {
    this.ask = ask;
    this.take = take;
    this.changed = changed;
    /** @type {"idle"|"asking"|"failed"} */
    this.state = "idle";
    this.problem = "";
    /** @type {AbortController|null} */
    this.controller = null;
    /** @type {any} */
    this.timer = null;
  }

  start() {
    this.close();
    const controller = new AbortController();
    this.controller = controller;
    this.state = "asking";
    this.changed();
    this.timer = setTimeout(() => this.#ask(controller), SOON_MS);
  }

  /** @param {AbortController} controller */
  #ask(controller) {
    this.ask(controller.signal).then((answer) => {
      if (controller.signal.aborted) return;
      this.state = "idle";
      this.problem = "";
      this.take(answer);
      this.changed();
    }).catch((error) => {
      if (controller.signal.aborted) return;
      this.state = "failed";
      this.problem = error instanceof Error ? error.message : String(error);
      this.timer = setTimeout(() => this.start(), AGAIN_MS);
      this.changed();
    });
  }

  close() {
    clearTimeout(this.timer);
    this.controller?.abort();
    this.controller = null;
  }
}
