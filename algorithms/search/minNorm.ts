/** Steps at most, and the share of a step from which on nothing moves. */
const MOST_STEPS = 250;
const STANDSTILL = 1e-6;

/** Products of all pairs of gradients, each given in parts. */
export function gramOf(gradients: readonly (readonly Float32Array[])[]): readonly number[][] {
  const product = (a: readonly Float32Array[], b: readonly Float32Array[]) => {
    let sum = 0;
    a.forEach((part, i) => {
      const other = b[i] ?? new Float32Array();
      for (let j = 0; j < part.length; j++) sum += (part[j] ?? NaN) * (other[j] ?? NaN);
    });
    return sum;
  };
  return gradients.map((a) => gradients.map((b) => product(a, b)));
}

/**
 * Shares a, of sum 1, for which sum a_i g_i is shortest: the direction along which all losses fall, or 0
 * where there is none (MGDA; Sener and Koltun, 2018, algorithm 2, by Frank and Wolfe).
 *
 * @param gram products of all pairs of gradients
 */
export function minNormShares(gram: readonly (readonly number[])[]): readonly number[] {
  const count = gram.length;
  let shares = Array.from({ length: count }, () => 1 / count);
  for (let step = 0; step < MOST_STEPS; step++) {
    const products = gram.map((row) => row.reduce((sum, g, j) => sum + g * (shares[j] ?? NaN), 0));
    const target = products.indexOf(Math.min(...products));
    // Along (1 - t) a + t e the squared length is least at t = (a - e)' M a / (a - e)' M (a - e).
    const own = shares.reduce((sum, a, i) => sum + a * (products[i] ?? NaN), 0);
    const toTarget = products[target] ?? NaN;
    const curvature = own - 2 * toTarget + (gram[target]?.[target] ?? NaN);
    const part = curvature > 0 ? Math.min(1, Math.max(0, (own - toTarget) / curvature)) : 0;
    if (!(part > STANDSTILL)) break;
    shares = shares.map((a, i) => (1 - part) * a + (i === target ? part : 0));
  }
  return shares;
}
