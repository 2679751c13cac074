// The page: who is logged in, what the socket tells, and one view at a time between them.

import "./trusted.js";
import { setText } from "./dom.js";
import { Market } from "./market.js";
import { applyTheme, changed, prefer, preference } from "./preferences.js";
import { Router } from "./router.js";
import { Session } from "./session.js";
import { Socket } from "./socket.js";
import { header } from "../views/header.js";

/**
 * What views work with.
 * @typedef {Object} Context
 * @property {Session} session
 * @property {Market} market
 * @property {Router} router
 * @property {() => string} product the one that is looked at
 * @property {() => import("./market.js").Chain|null} chain likewise; null where none has come yet
 * @property {(text: string, kind?: "status"|"problem") => void} say a sentence, for all to see and hear
 *
 * A view; it is made when the reader comes, and closed when he leaves.
 * @typedef {Object} View
 * @property {string} title
 * @property {HTMLElement} node
 * @property {(product: string) => Array<string>} rooms it follows beside the general one
 * @property {() => void} moved the product or the expiry has changed
 * @property {() => void} close
 */

/** Each is loaded when it is first looked at. @type {Record<string, () => Promise<(context: Context) => View>>} */
const VIEWS = {
  chain: async () => (await import("../views/chain.js")).chainView,
  charts: async () => (await import("../views/charts.js")).chartsView,
  system: async () => (await import("../views/system.js")).systemView,
  account: async () => (await import("../views/account.js")).accountView,
};

const AGAIN_MS = 3000; // a room that is not there yet may be then

const INDICES = ["NIFTY", "SPX", "SPY"]; // looked at first, where they are there and nobody has chosen yet

const main = /** @type {HTMLElement} */ (document.getElementById("view"));
const notice = /** @type {HTMLElement} */ (document.getElementById("notice"));
const problem = /** @type {HTMLElement} */ (document.getElementById("problem"));

class Page {
  /** @param {Session} session */
  constructor(session) {
    const url = new URL("ws", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    this.session = session;
    this.router = new Router();
    this.socket = new Socket(url, () => session.ticket());
    this.market = new Market(this.socket, session);
    /** @type {Context} */
    this.context = {
      session, market: this.market, router: this.router,
      product: () => this.product(), chain: () => this.chain(), say,
    };
    /** @type {View|null} */
    this.view = null;
    this.shown = "";
    let ended = false; // told once more where other requests are refused meanwhile
    session.ended.listen((here) => {
      if (!ended) leave(here ? "" : location.hash);
      ended = true;
      this.socket.close();
    });
    this.socket.refused.listen(({ room }) => setTimeout(() => this.socket.again(room), AGAIN_MS));
    this.router.changed.listen(() => void this.look());
    this.market.changed.listen(({ products, connection }) => {
      const again = connection && this.shown === "" && this.socket.state.state === "live";
      if (again || (this.view === null && products.size > 0)) void this.look();
    });
  }

  async start() {
    document.body.prepend(header(this.context));
    this.socket.open();
    this.market.follow([]);
    await this.market.learn();
    await this.show();
  }

  product() {
    const { products } = this.market;
    for (const name of [this.router.route.product, preference("product"), ...INDICES]) {
      if (name !== null && products.has(name)) return name;
    }
    return [...products.keys()][0] ?? "";
  }

  chain() {
    const chains = this.market.chainsOf(this.product());
    const { root, expiry } = this.router.route;
    const now = this.market.now();
    return chains.find((chain) => chain.root === root && chain.expiry === expiry)
      ?? chains.find((chain) => chain.head.expiry_ts > now) ?? chains[0] ?? null;
  }

  /** As `show`; a view that cannot be loaded is tried again when it is chosen, or the server is there again. */
  async look() {
    try {
      await this.show();
    } catch (error) {
      say(`This cannot be shown: ${error instanceof Error ? error.message : error}`, "problem");
    }
  }

  async show() {
    const { route } = this.router;
    const product = this.product();
    if (product === "") return;
    if (route.product === product) prefer("product", product);
    else if (route.product !== null) say(`There is no product ${route.product}; this is ${product}.`);
    const name = Object.hasOwn(VIEWS, route.view) ? route.view : "chain";
    for (const link of document.querySelectorAll("[data-view]")) {
      if (/** @type {HTMLElement} */ (link).dataset.view === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (this.shown !== name) {
      this.shown = name;
      const make = await VIEWS[name]().catch((error) => {
        if (this.shown === name) this.shown = "";
        throw error;
      });
      if (this.shown !== name) return; // somewhere else meanwhile
      this.view?.close();
      problem.hidden = true;
      this.view = make(this.context);
      main.replaceChildren(this.view.node);
    } else {
      this.view?.moved();
    }
    if (this.view === null) return;
    document.title = `${this.view.title} · DeltaStream`;
    this.market.follow(this.view.rooms(product));
  }
}

/** @param {string} text @param {"status"|"problem"} [kind] */
function say(text, kind = "status") {
  const place = kind === "problem" ? problem : notice;
  setText(place, text);
  place.hidden = text === "";
  if (kind === "status" && text !== "") setTimeout(() => { if (place.textContent === text) place.hidden = true; }, 5000);
}

/** To the login page, which leads back to that place. @param {string} place behind the "#", with it; may be empty */
function leave(place) {
  location.replace(place === "" ? "login" : `login#${new URLSearchParams({ next: place.slice(1) })}`);
}

async function begin() {
  applyTheme();
  changed.listen((key) => { if (key === "theme") applyTheme(); });
  const session = new Session();
  try {
    if (!(await session.begin())) {
      leave(location.hash);
      return;
    }
    await new Page(session).start();
    document.getElementById("working")?.remove();
  } catch (error) {
    say(`${error instanceof Error ? error.message : error} Trying again …`, "problem");
    setTimeout(() => location.reload(), 3000);
  }
}

void begin();
