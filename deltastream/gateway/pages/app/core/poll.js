// Work done again and again while the page is looked at: never twice at a time, never in a hidden tab.

export class Poll {
  /**
   * @param {(signal: AbortSignal) => Promise<boolean>} work tells whether to go on
   * @param {number} pauseMs between the end of one and the beginning of the next
   */
  constructor(work, pauseMs) {
    this.work = work;
    this.pauseMs = pauseMs;
    this.ended = new AbortController();
    this.working = false;
    /** @type {any} */
    this.timer = null;
    document.addEventListener("visibilitychange", () => this.now(), { signal: this.ended.signal });
    this.now();
  }

  /** Does it at once, without waiting for its turn. */
  now() {
    clearTimeout(this.timer);
    if (!document.hidden && !this.working) void this.#turn();
  }

  close() {
    clearTimeout(this.timer);
    this.ended.abort();
  }

  async #turn() {
    this.working = true;
    try {
      if (!(await this.work(this.ended.signal))) this.close();
    } catch (error) {
      if (!this.ended.signal.aborted) reportError(error);
    } finally {
      this.working = false;
    }
    if (!this.ended.signal.aborted && !document.hidden) this.timer = setTimeout(() => this.now(), this.pauseMs);
  }
}
