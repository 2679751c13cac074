// Numbers and times as the product's market writes them. What is not there is a dash, never a zero.

import { preference } from "./preferences.js";

export const MISSING = "–";
const SYMBOLS = { INR: "₹", USD: "$", EUR: "€", GBP: "£" };

/** @type {Map<string, any>} */
const kept = new Map();

/** @template T @param {string} key @param {() => T} make @returns {T} */
function keep(key, make) {
  let found = kept.get(key);
  if (found === undefined) kept.set(key, (found = make()));
  return found;
}

const isMore = (/** @type {string} */ text) => /[1-9]/.test(text); // than zero, as it is written
const isNumber = (/** @type {any} */ value) => typeof value === "number" && Number.isFinite(value);

export class Formats {
  /**
   * @param {string} currency ISO code
   * @param {string} zone IANA name of the exchange's time zone
   */
  constructor(currency, zone) {
    this.currency = currency;
    this.zone = zone;
  }

  get locale() {
    return this.currency === "INR" && preference("grouping") === "market" ? "en-IN" : "en-US";
  }

  /** @param {number|null|undefined} value @param {number} [digits] after the point */
  number(value, digits = 2) {
    if (!isNumber(value)) return MISSING;
    const { locale } = this;
    return keep(`n${locale}${digits}`, () => new Intl.NumberFormat(locale, {
      minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "negative", // no −0.00
    })).format(/** @type {number} */ (value));
  }

  /** A strike: no more digits than it has. @param {number|null|undefined} value */
  strike(value) {
    if (!isNumber(value)) return MISSING;
    const { locale } = this;
    return keep(`s${locale}`, () => new Intl.NumberFormat(locale, { maximumFractionDigits: 4 }))
      .format(/** @type {number} */ (value));
  }

  /** @param {number|null|undefined} value */
  money(value, digits = 2) {
    if (!isNumber(value)) return MISSING;
    const symbol = /** @type {any} */ (SYMBOLS)[this.currency] ?? `${this.currency} `;
    const text = this.number(Math.abs(/** @type {number} */ (value)), digits);
    return `${/** @type {number} */ (value) < 0 && isMore(text) ? "−" : ""}${symbol}${text}`;
  }

  /** Contracts and the like: no fraction. @param {number|null|undefined} value */
  count(value) {
    return this.number(value, 0);
  }

  /** Large counts in a narrow column: 1.79M, or 17.9L. @param {number|null|undefined} value */
  compact(value) {
    if (!isNumber(value)) return MISSING;
    const { locale } = this;
    return keep(`c${locale}`, () => new Intl.NumberFormat(locale, {
      notation: "compact", maximumSignificantDigits: 3,
    })).format(/** @type {number} */ (value));
  }

  /** With a sign, unless it is written as zero. @param {number|null|undefined} value */
  change(value, digits = 2) {
    if (!isNumber(value)) return MISSING;
    const text = this.number(Math.abs(/** @type {number} */ (value)), digits);
    return isMore(text) ? `${/** @type {number} */ (value) > 0 ? "+" : "−"}${text}` : text;
  }

  /** A share as percent: 0.1146 is 11.46 %. @param {number|null|undefined} value */
  percent(value, digits = 2) {
    return isNumber(value) ? `${this.number(100 * /** @type {number} */ (value), digits)} %` : MISSING;
  }

  /** Time of day at the exchange. @param {number|null|undefined} us microseconds UTC */
  time(us) {
    if (!isNumber(us)) return MISSING;
    return keep(`t${this.zone}`, () => new Intl.DateTimeFormat("en-GB", {
      timeZone: this.zone, hour: "2-digit", minute: "2-digit", second: "2-digit",
    })).format(/** @type {number} */ (us) / 1000);
  }

  /** Date and time at the exchange. @param {number|null|undefined} us microseconds UTC */
  instant(us) {
    if (!isNumber(us)) return MISSING;
    return keep(`i${this.zone}`, () => new Intl.DateTimeFormat("en-GB", {
      timeZone: this.zone, day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit",
    })).format(/** @type {number} */ (us) / 1000);
  }

  /** When, as short as it can be told. @param {number|null|undefined} us microseconds UTC @param {number} now likewise */
  moment(us, now) {
    return isNumber(us) && now - /** @type {number} */ (us) > 43_200e6 ? this.instant(us) : this.time(us);
  }

  /** The zone as it is called there: IST, EST. @param {number} [us] when */
  zoneName(us = 1000 * Date.now()) {
    const locale = this.zone.startsWith("Asia/") ? "en-IN" : "en-US";
    const parts = keep(`z${this.zone}`, () => new Intl.DateTimeFormat(locale, {
      timeZone: this.zone, timeZoneName: "short",
    })).formatToParts(us / 1000);
    return parts.find((/** @type {any} */ part) => part.type === "timeZoneName")?.value ?? this.zone;
  }

  /** A calendar date such as 2026-11-24. @param {string} iso */
  date(iso) {
    return keep("d", () => new Intl.DateTimeFormat("en-GB", {
      timeZone: "UTC", day: "2-digit", month: "short", year: "2-digit",
    })).format(Date.parse(`${iso}T00:00:00Z`));
  }

  /** Local wall time of the exchange as plotly takes it, which knows no zones. @param {number} us */
  wall(us) {
    const parts = keep(`w${this.zone}`, () => new Intl.DateTimeFormat("sv-SE", {
      timeZone: this.zone, year: "numeric", month: "2-digit", day: "2-digit",
      hour: "2-digit", minute: "2-digit", second: "2-digit",
    }));
    return parts.format(us / 1000);
  }
}

/** How old something is: 3 s, 2 min, 5 h. @param {number} seconds */
export function age(seconds) {
  if (!Number.isFinite(seconds)) return MISSING;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min`;
  if (whole < 172_800) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86_400)} d`;
}

/** Microseconds of an ISO-8601 instant with offset; null of null. @param {string|null} iso */
export function microseconds(iso) {
  return iso === null ? null : 1000 * Date.parse(iso);
}

/** A size: 13.2 MiB. @param {number|null|undefined} count */
export function bytes(count) {
  if (!isNumber(count)) return MISSING;
  let size = /** @type {number} */ (count);
  for (const unit of ["B", "KiB", "MiB"]) {
    if (size < 1024) return `${size.toFixed(unit === "B" ? 0 : 1)} ${unit}`;
    size /= 1024;
  }
  return `${size.toFixed(1)} GiB`;
}
