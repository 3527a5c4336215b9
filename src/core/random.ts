/** The one place that chance comes from: it spreads retries, and no answer depends on it. Numbers in [0, 1). */
export const systemRandom: () => number = Math.random
