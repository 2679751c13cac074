// Rates from the differences of counts.

const POLLS = 6; // that a rate is taken over, so that it does not jump

/**
 * @typedef {Object} Sample
 * @property {number} at seconds, of the host
 * @property {Record<string, number>} counts
 */

export class Rates {
  constructor() {
    /** @type {Array<Sample>} */
    this.samples = [];
  }

  /** @param {Sample} sample */
  add(sample) {
    const last = this.samples.at(-1);
    if (last !== undefined && sample.at <= last.at) this.samples.length = 0; // another run of the host
    this.samples.push(sample);
    if (this.samples.length > POLLS) this.samples.shift();
  }

  /**
   * How much a count rises a second; null where that cannot be told: it is new, or has begun anew.
   * @param {string} name
   * @returns {number|null}
   */
  of(name) {
    const last = this.samples.at(-1);
    const first = this.samples.find(({ counts }) => counts[name] !== undefined);
    if (last === undefined || first === undefined || last === first || last.counts[name] === undefined) return null;
    const rise = last.counts[name] - first.counts[name];
    return rise >= 0 ? rise / (last.at - first.at) : null;
  }

  /** Of several together. @param {Array<string>} names */
  sum(names) {
    const known = names.map((name) => this.of(name)).filter((rate) => rate !== null);
    return known.length === 0 ? null : known.reduce((sum, rate) => sum + rate, 0);
  }
}
