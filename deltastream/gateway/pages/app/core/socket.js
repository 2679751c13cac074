// The protocol `deltastream.v1` as docs/websocket.md has it: one connection, rooms that resume after a
// break, no gap unnoticed, nothing given twice. What it tells its owner is data, complete and in order.

import { Signal } from "./signal.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const FINAL = new Set([4003, 4013]); // coming back would not help
const OPEN_MS = 10_000;

/**
 * @typedef {Object} Place
 * @property {string} epoch
 * @property {number} seq
 *
 * @typedef {Object} Room
 * @property {string} name
 * @property {Map<string, Place>} places of its streams; one without a name where the room has one only
 * @property {Map<string, number>} reached per stream: what was passed over on purpose when it resumed
 * @property {number} asked id of the command by which it was entered last
 * @property {boolean} inside whether updates count: not while it is asked for
 * @property {Map<string, any>} chains the last chain of each root and expiry, with its seq as `own`
 *
 * @typedef {Object} State
 * @property {"connecting"|"live"|"lost"|"refused"} state
 * @property {string} reason a sentence; empty while live
 * @property {number} since milliseconds, of this browser
 * @property {number|null} retry when it tries again, likewise
 */

/** The key of a chain. @param {string} root @param {string} expiry */
export const chainKey = (root, expiry) => `${root} ${expiry}`;

export class Socket {
  /**
   * @param {URL} url
   * @param {() => Promise<string>} ticket asks for one
   */
  constructor(url, ticket) {
    this.url = url;
    this.ticket = ticket;
    /** @type {State} */
    this.state = { state: "connecting", reason: "", since: Date.now(), retry: null };
    /** @type {Signal<State>} */
    this.changed = new Signal();
    /** Every update, with `data` whole where it came as a delta. @type {Signal<any>} */
    this.updates = new Signal();
    /** Rooms of which something is lost for good, or that start over. @type {Signal<{room: string, reason: string}>} */
    this.breaks = new Signal();
    /** Rooms that cannot be entered. @type {Signal<{room: string, code: string, message: string}>} */
    this.refused = new Signal();
    /** Server time less this browser's, milliseconds. */
    this.skew = 0;
    /** @type {Map<string, Room>} */
    this.rooms = new Map();
    /** @type {WebSocket|null} */
    this.socket = null;
    this.pause = FIRST_PAUSE_MS;
    this.patience = 25_000;
    this.identifier = 0;
    /** @type {any} */
    this.timer = null;
    this.retryNow = this.retryNow.bind(this);
    addEventListener("online", this.retryNow);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.retryNow(); });
  }

  open() {
    this.#connect();
  }

  /** For good. */
  close() {
    removeEventListener("online", this.retryNow);
    clearTimeout(this.timer);
    const { socket } = this;
    this.socket = null;
    socket?.close(1000);
    this.#become("refused", "Logged out.");
  }

  /** Tries at once where it waits to. */
  retryNow() {
    if (this.state.state !== "lost") return;
    clearTimeout(this.timer);
    this.pause = FIRST_PAUSE_MS;
    this.#connect();
  }

  /** Is in these rooms from now on, and in no other. @param {Iterable<string>} wanted */
  be(wanted) {
    const names = new Set(wanted);
    const left = [...this.rooms.keys()].filter((name) => !names.has(name));
    for (const name of left) this.rooms.delete(name);
    const entered = [...names].filter((name) => !this.rooms.has(name));
    for (const name of entered) {
      this.rooms.set(name, { name, places: new Map(), reached: new Map(), asked: 0, inside: false, chains: new Map() });
    }
    if (this.state.state !== "live") return;
    if (left.length > 0) this.#say({ op: "unsubscribe", rooms: left });
    this.#enter(entered);
  }

  /** Asks again for rooms that were refused, and may be there now. @param {string} name */
  again(name) {
    const room = this.rooms.get(name);
    if (room !== undefined && !room.inside && this.state.state === "live") this.#enter([name]);
  }

  #connect() {
    this.#become("connecting", this.state.reason);
    const socket = new WebSocket(this.url, ["deltastream.v1"]);
    this.socket = socket;
    this.#expect(OPEN_MS);
    socket.onopen = async () => {
      try {
        const ticket = await this.ticket();
        if (socket.readyState === WebSocket.OPEN) this.#say({ op: "auth", ticket });
      } catch {
        socket.close();
      }
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.#expect(this.patience);
      this.#hear(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.socket) this.#lost(code, reason);
    };
  }

  // A connection that is open and mute is lost.
  #expect(/** @type {number} */ ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const { socket } = this;
      this.socket = null;
      socket?.close();
      this.#lost(0, "The server says nothing.");
    }, ms);
  }

  #lost(/** @type {number} */ code, /** @type {string} */ reason) {
    clearTimeout(this.timer);
    this.socket = null;
    for (const room of this.rooms.values()) room.inside = false;
    if (FINAL.has(code)) {
      this.#become("refused", reason || `The server refused with ${code}.`);
      return;
    }
    const wait = this.pause * (0.2 + 0.8 * Math.random());
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
    this.timer = setTimeout(() => this.#connect(), wait);
    this.#become("lost", reason || "The connection is lost.", Date.now() + wait);
  }

  /** @param {State["state"]} state @param {string} reason @param {number|null} [retry] */
  #become(state, reason, retry = null) {
    const since = state === this.state.state ? this.state.since : Date.now();
    this.state = { state, reason, since, retry };
    this.changed.tell(this.state);
  }

  #say(/** @type {any} */ command) {
    this.identifier += 1;
    this.socket?.send(JSON.stringify({ id: this.identifier, ...command }));
    return this.identifier;
  }

  #enter(/** @type {Array<string>} */ names) {
    if (names.length === 0) return;
    /** @type {Record<string, any>} */
    const resume = {};
    for (const name of names) {
      const room = this.rooms.get(name);
      if (room === undefined) continue;
      room.inside = false;
      if (room.places.size === 0) continue;
      const only = room.places.get("");
      resume[name] = only ?? { streams: Object.fromEntries(room.places) };
    }
    const asked = this.#say({ op: "subscribe", rooms: names, resume });
    for (const name of names) {
      const room = this.rooms.get(name);
      if (room !== undefined) room.asked = asked;
    }
  }

  // Something is missing: what the room has is kept, so that the server may fill the gap.
  #mend(/** @type {Room} */ room, /** @type {boolean} */ afresh) {
    if (!room.inside) return;
    if (afresh) room.places.clear();
    this.#enter([room.name]);
  }

  #hear(/** @type {any} */ frame) {
    switch (frame.event) {
      case "connected": {
        const first = this.state.state !== "live";
        this.skew = frame.server_time / 1000 - Date.now();
        this.patience = 2_500 * frame.heartbeat_s;
        this.pause = FIRST_PAUSE_MS;
        if (first) {
          this.#enter([...this.rooms.keys()]);
          this.#become("live", "");
        }
        return;
      }
      case "subscribed":
        this.#subscribed(frame);
        return;
      case "heartbeat":
        this.skew = frame.ts / 1000 - Date.now();
        this.#compare(frame.seqs);
        return;
      case "token_expiring":
        this.ticket().then((ticket) => void this.#say({ op: "auth", ticket })).catch(() => {});
        return;
      case "market_status":
        this.updates.tell(frame);
        return;
      case "error":
        if (frame.code === "unauthenticated") this.socket?.close();
        return;
      default:
        if (frame.room !== undefined) this.#update(frame);
    }
  }

  #subscribed(/** @type {any} */ frame) {
    for (const ok of frame.ok) {
      const room = this.rooms.get(ok.room);
      if (room === undefined || room.asked !== frame.id) continue; // left meanwhile, and perhaps entered again
      room.inside = true;
      room.reached.clear();
      if (ok.mode === "snapshot") {
        if (room.places.size > 0) this.breaks.tell({ room: room.name, reason: "missed" });
        room.places.clear();
        continue;
      }
      const streams = ok.streams ?? { "": { epoch: ok.epoch, seq: ok.seq } };
      for (const [stream, place] of Object.entries(streams)) room.reached.set(stream, place.seq);
    }
    for (const err of frame.err) {
      if (this.rooms.get(err.room)?.asked === frame.id) this.refused.tell(err);
    }
  }

  #update(/** @type {any} */ frame) {
    const room = this.rooms.get(frame.room);
    if (room === undefined || !room.inside) return;
    const stream = frame.stream ?? "";
    const place = room.places.get(stream);
    if (frame.kind === "snapshot") {
      if (frame.part[0] <= 1) {
        if (frame.reason !== undefined) this.breaks.tell({ room: room.name, reason: frame.reason });
        for (const [key, chain] of room.chains) {
          if (frame.stream === undefined || chain.stream === stream) room.chains.delete(key);
        }
        this.updates.tell({ event: "began", room: room.name, stream: frame.stream, of: frame.event });
      }
      room.places.set(stream, { epoch: frame.epoch, seq: frame.seq });
      if (frame.part[0] === 0) return; // there is nothing to show
      this.#give(room, frame, frame.data, frame.own);
      return;
    }
    // Of a stream that the room had not, its first update is the beginning.
    if (place !== undefined) {
      if (frame.seq <= place.seq) return;
      if (frame.first > Math.max(place.seq, room.reached.get(stream) ?? 0) + 1) {
        this.#mend(room, false);
        return;
      }
      place.seq = frame.seq;
    } else if (stream === "") {
      return;
    } else {
      room.places.set(stream, { epoch: frame.epoch ?? "", seq: frame.seq });
    }
    if (frame.kind !== "delta") {
      this.#give(room, frame, frame.data, frame.seq);
      return;
    }
    const { root, expiry, base, head, rows, columns } = frame.data;
    const before = room.chains.get(chainKey(root, expiry));
    if (before === undefined || before.own !== base) {
      this.#mend(room, true);
      return;
    }
    this.#give(room, frame, changedChain(before.data, head, rows, columns), frame.seq);
  }

  #give(/** @type {Room} */ room, /** @type {any} */ frame, /** @type {any} */ data, /** @type {number} */ own) {
    if (frame.event === "chain_update") {
      room.chains.set(chainKey(data.root, data.expiry), { own, data, stream: frame.stream ?? "" });
    }
    this.updates.tell({ event: frame.event, room: frame.room, kind: frame.kind, seq: frame.seq, ts: frame.ts, data });
  }

  // Where a heartbeat is ahead of what came, something was lost on the way.
  #compare(/** @type {Record<string, any>} */ seqs) {
    for (const [name, told] of Object.entries(seqs)) {
      const room = this.rooms.get(name);
      if (room === undefined || !room.inside) continue;
      const streams = typeof told === "number" ? { "": told } : told;
      for (const [stream, seq] of Object.entries(streams)) {
        const place = room.places.get(stream);
        if (place !== undefined && Math.max(place.seq, room.reached.get(stream) ?? 0) < seq) {
          this.#mend(room, false);
          break;
        }
      }
    }
  }
}

/**
 * A chain after a change; the one before stays as it is.
 * @param {any} before @param {any} head @param {Array<number>} rows @param {Record<string, Array<any>>} columns
 */
function changedChain(before, head, rows, columns) {
  const after = { ...before, ...head, columns: { ...before.columns } };
  for (const [name, values] of Object.entries(columns)) {
    const column = before.columns[name].slice();
    rows.forEach((row, index) => { column[row] = values[index]; });
    after.columns[name] = column;
  }
  return after;
}
