// The host itself: its actors, what flows through it, and what it could not process.

import { element, setAttribute, setText } from "../core/dom.js";
import { age, microseconds } from "../core/format.js";
import { Poll } from "../core/poll.js";
import { Problem } from "../core/session.js";
import { Actors } from "./actors.js";
import { Flow } from "./flow.js";
import { Letters, formatsOf } from "./letters.js";

const PAUSE_MS = 2000;
const NO_RIGHT = "How the host is doing is shown to administrators. Your account may read the market, not the host.";

/** @param {import("../core/main.js").Context} context @returns {import("../core/main.js").View} */
export function systemView(context) {
  const view = new System(context);
  return { title: "System", node: view.node, rooms: () => [], moved: () => {}, close: () => view.close() };
}

class System {
  /** @param {import("../core/main.js").Context} context */
  constructor(context) {
    this.context = context;
    this.state = element("p", { class: "soft", id: "system-state" }, "One moment …");
    this.problem = element("p", { class: "notice problem", role: "alert", id: "system-problem", hidden: true });
    this.actors = new Actors((sentence) => context.say(sentence));
    this.flow = new Flow();
    this.letters = context.session.user?.role === "admin" ? new Letters(context, () => this.#look()) : null;
    this.content = element(
      "div", { class: "fades", hidden: true },
      this.flow.node,
      element("section", { class: "card", "aria-labelledby": "actors-title" },
        element("h2", { id: "actors-title" }, "Actors"), element("div", { class: "wide" }, this.actors.node)),
      this.letters?.node,
    );
    this.node = element("section", { class: "system", "data-level": "live" },
      element("h1", {}, "System"), this.state, this.problem, this.content);
    /** @type {any} what the host told last */
    this.status = null;
    this.dead = -1; // letters when they were listed
    this.poll = new Poll((signal) => this.#ask(signal), PAUSE_MS);
    this.unlisten = context.market.second.listen(() => this.#date());
  }

  close() {
    this.poll.close();
    this.unlisten();
  }

  // After a letter was acted on.
  #look() {
    this.dead = -1;
    this.poll.now();
  }

  /** @param {AbortSignal} signal @returns {Promise<boolean>} */
  async #ask(signal) {
    try {
      this.#show(await this.context.session.call("api/system/tree", { signal }));
      await this.#list(signal);
    } catch (error) {
      if (signal.aborted) return false;
      if (!(error instanceof Problem)) throw error;
      if (error.status === 403) {
        this.#refuse();
        return false;
      }
      this.#fail(error);
    }
    return true;
  }

  async #list(/** @type {AbortSignal} */ signal) {
    const groups = this.status.bus?.groups ?? [];
    const dead = groups.reduce((/** @type {number} */ sum, /** @type {any} */ group) => sum + group.dead, 0);
    if (this.letters === null || dead === this.dead) return;
    await this.letters.load(signal);
    this.dead = dead;
  }

  #show(/** @type {any} */ status) {
    this.status = status;
    this.content.hidden = false;
    this.problem.hidden = true;
    setAttribute(this.node, "data-level", "live");
    this.flow.show(status, formatsOf(this.context));
    if (status.tree !== null) this.actors.show(status.tree, status.bus, performance.now());
    this.#date();
  }

  #date() {
    const { status } = this;
    if (status === null) return;
    const formats = formatsOf(this.context);
    const at = microseconds(status.time);
    const since = this.problem.hidden ? "" : `, ${age((this.context.market.now() - (at ?? 0)) / 1e6)} ago`;
    const up = status.tree === null ? "" : ` · up ${age(status.tree.uptime_s)}`;
    setText(this.state, `DeltaStream ${status.version} · ${status.feed} feed${up} · as of`
      + ` ${formats.time(at)} ${formats.zoneName()}${since}`);
  }

  #fail(/** @type {Problem} */ problem) {
    const why = problem.status === 0 ? "The host cannot be reached." : problem.message;
    setText(this.problem, `${why}${this.status === null ? "" : " What stands here is old."} Trying again …`);
    this.problem.hidden = false;
    setAttribute(this.node, "data-level", "lost");
    if (this.status === null) setText(this.state, "");
    this.#date();
  }

  #refuse() {
    setText(this.state, NO_RIGHT);
    this.content.hidden = true;
    this.problem.hidden = true;
  }
}
