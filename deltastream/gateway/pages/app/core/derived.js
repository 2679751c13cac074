// What follows from published numbers by arithmetic alone. What cannot be told is null.

const DAY_US = 86_400e6;
const ATM_COVERAGE = 0.575; // of a normal law, within ± its own mean magnitude √(2/π)·σ
const SIGMA_COVERAGE = 0.683;

/** Digits after the point that prices of this step need. @param {number|null} tick */
export function digitsOf(tick) {
  if (tick === null || !(tick > 0)) return 2;
  for (let digits = 0; digits < 6; digits += 1) {
    const steps = tick * 10 ** digits;
    if (Math.abs(steps - Math.round(steps)) < 1e-9) return digits;
  }
  return 6;
}

/** Digits that leave a gamma, per point of an underlying at this price, some that tell. @param {number|null} spot */
export function gammaDigits(spot) {
  return spot === null || !(spot > 0) ? 6 : Math.min(10, Math.max(4, Math.ceil(Math.log10(spot)) + 1));
}

/**
 * What the options expect until they expire: the straddle; one standard deviation S·σ·√t, and the lognormal
 * band F·exp(∓σ·√t) that belongs to it.
 * @param {Record<string, any>} head
 */
export function expectedMove(head) {
  const { spot, forward, atm_iv: iv, t, atm_straddle_price: straddle } = head;
  const known = spot !== null && spot > 0;
  const s = iv !== null && t !== null && t > 0 ? iv * Math.sqrt(t) : null;
  const sigma = known && s !== null ? spot * s : null;
  const band = forward !== null && s !== null ? [forward * Math.exp(-s), forward * Math.exp(s)] : null;
  return {
    straddle: { points: straddle, share: known && straddle !== null ? straddle / spot : null, coverage: ATM_COVERAGE },
    sigma: { points: sigma, share: sigma === null ? null : sigma / spot, band, coverage: SIGMA_COVERAGE },
  };
}

/** How far a price lies from spot, and as a share of it. @param {number|null} price @param {number|null} spot */
export function distance(price, spot) {
  if (price === null || spot === null || !(spot > 0)) return { points: null, share: null };
  return { points: price - spot, share: (price - spot) / spot };
}

/** Time until an instant as traders count it: 2.6 d, 5 h 12 min, 3 min, 59 s, expired. @param {number} us long */
export function until(us) {
  if (us <= 0) return "expired";
  if (us >= DAY_US) return `${(us / DAY_US).toFixed(1)} d`;
  if (us < 120e6) return `${Math.ceil(us / 1e6)} s`;
  const minutes = Math.floor(us / 60e6);
  return minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes} min`;
}

/** Days, whole and broken, until an instant. @param {number} us microseconds */
export function days(us) {
  return Math.max(0, us / DAY_US);
}
