// Who is logged in, and requests in their name. The refresh token is in a cookie that no script can
// read; the access token is kept in this module and nowhere else.

import { Signal } from "./signal.js";

const MARGIN_MS = 75_000; // a token that expires sooner is renewed first; sockets tell a minute before

/** What the server, or the lack of one, has refused. */
export class Problem extends Error {
  /** @param {number} status 0: no server answered @param {any} document */
  constructor(status, document) {
    super(document?.detail ?? document?.title ?? `The server answered with status ${status}.`);
    this.status = status;
    this.code = String(document?.type ?? "").split(":").pop() ?? "";
    /** @type {Array<{field: string, message: string}>} */
    this.errors = document?.errors ?? [];
    this.requestId = document?.request_id ?? null;
  }
}

/** @typedef {{id: string, email: string, name: string, role: string, has_password: boolean}} User */

export class Session {
  constructor() {
    /** @type {User|null} */
    this.user = null;
    /** Told when nobody is logged in any more: whether the reader has logged out here. @type {Signal<boolean>} */
    this.ended = new Signal();
    /** @type {string|null} */
    this.token = null;
    this.expires = 0;
    /** Whether the reader is logging out here: what is refused meanwhile is no other end. */
    this.leaving = false;
    /** @type {Promise<void>|null} */
    this.renewing = null;
    this.tabs = new BroadcastChannel("deltastream-session");
    this.tabs.onmessage = () => this.#end();
  }

  /** Goes on with the session that the browser has. @returns {Promise<boolean>} whether there is one */
  async begin() {
    try {
      await this.#renew();
      return true;
    } catch (error) {
      if (error instanceof Problem && (error.status === 400 || error.status === 401)) return false;
      throw error;
    }
  }

  /**
   * Asks the API in the user's name.
   * @param {string} path below the page, as "api/data/products"
   * @param {{method?: string, body?: any, signal?: AbortSignal}} [options]
   * @returns {Promise<any>} the answer, from JSON
   * @throws {Problem}
   */
  async call(path, { method = "GET", body, signal } = {}) {
    if (this.#expires()) await this.#renewOrEnd();
    try {
      return await ask(path, { method, body, signal, token: this.token });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
      await this.#renewOrEnd();
      return await ask(path, { method, body, signal, token: this.token });
    }
  }

  /** What opens one socket. @returns {Promise<string>} */
  async ticket() {
    return (await this.call("api/auth/ticket", { method: "POST" })).ticket;
  }

  async logout() {
    await this.#leave(async () => {
      try {
        await ask("api/auth/logout", { method: "POST", body: {}, token: this.token });
      } catch (error) {
        if (!(error instanceof Problem) || (error.status !== 400 && error.status !== 401)) throw error;
      }
    });
  }

  /** Ends every session of the user, this one too. */
  async logoutEverywhere() {
    await this.#leave(() => this.call("api/auth/logout-everywhere", { method: "POST" }));
  }

  async #leave(/** @type {() => Promise<void>} */ work) {
    this.leaving = true;
    try {
      await work();
    } catch (error) {
      this.leaving = false;
      throw error;
    }
    this.tabs.postMessage("logout");
    this.#end();
  }

  /**
   * Ends every other session of the user, and goes on in a new one.
   * @param {string} password @param {string|null} present null where none is needed
   */
  async changePassword(password, present) {
    const body = { password, cookie: true, ...(present === null ? {} : { current_password: present }) };
    if (this.#expires()) await this.#renewOrEnd();
    // Not by `call`: a wrong password is answered with 401, too. Who is refused meanwhile, in whichever tab,
    // waits for the new cookie.
    await alone(async () => {
      this.#begun(await ask("api/auth/password", { method: "POST", body, token: this.token }));
    });
  }

  #expires() {
    return this.token === null || Date.now() > this.expires - MARGIN_MS;
  }

  async #renewOrEnd() {
    try {
      await this.#renew();
    } catch (error) {
      if (error instanceof Problem && (error.status === 400 || error.status === 401)) {
        this.#end();
      }
      throw error;
    }
  }

  // One tab at a time: a refresh token is good once.
  #renew() {
    this.renewing ??= alone(() => this.#exchange()).finally(() => { this.renewing = null; });
    return this.renewing;
  }

  async #exchange() {
    this.#begun(await ask("api/auth/refresh", { method: "POST", body: {} }));
  }

  #begun(/** @type {any} */ answer) {
    this.token = answer.token;
    this.expires = Date.now() + life(answer.token);
    this.user = answer.user;
  }

  #end() {
    this.token = null;
    this.user = null;
    this.ended.tell(this.leaving);
  }
}

/**
 * One tab of this browser after the other. Without HTTPS, under another name than localhost, browsers have no locks.
 * @param {() => Promise<void>} work @returns {Promise<void>}
 */
async function alone(work) {
  if (navigator.locks === undefined) await work();
  else await navigator.locks.request("deltastream-refresh", work);
}

// For how many milliseconds a token is good: told by itself, as the two clocks may differ.
function life(/** @type {string} */ token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const { iat, exp } = JSON.parse(atob(payload));
  return 1000 * (exp - iat);
}

/**
 * @param {string} path
 * @param {{method: string, body?: any, signal?: AbortSignal, token?: string|null}} options
 */
async function ask(path, { method, body, signal, token = null }) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin", redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, { detail: "The server cannot be reached." });
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (!response.ok || answer === null) throw new Problem(response.status, answer);
  return answer;
}
