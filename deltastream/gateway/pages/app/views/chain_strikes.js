// Which strikes of a chain are shown, as the API counts them, and how they are written.

/**
 * So many on either side of the one nearest a price.
 * @param {Array<number>} strikes ascending @param {number|null} price @param {number} around 0: all
 * @returns {[number, number]} first, and the one after the last
 */
export function strikeRange(strikes, price, around) {
  if (around === 0 || price === null || strikes.length === 0) return [0, strikes.length];
  const at = nearest(strikes, price);
  return [Math.max(0, at - around), Math.min(strikes.length, at + around + 1)];
}

/** Index of the strike nearest a price, the lower of two. @param {Array<number>} strikes @param {number|null} price */
export function nearest(strikes, price) {
  if (price === null) return 0;
  const far = strikes.map((strike) => Math.abs(strike - price));
  return far.reduce((best, distance, at) => (distance < far[best] ? at : best), 0);
}

/** Digits after the point that tell these strikes apart. @param {Array<number>} strikes */
export function strikeDigits(strikes) {
  if (strikes.every(Number.isInteger)) return 0;
  return Math.max(2, ...strikes.map((strike) => String(strike).split(".")[1]?.length ?? 0));
}
