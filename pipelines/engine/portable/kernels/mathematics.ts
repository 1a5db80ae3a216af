// Functions that WebAssembly has no instruction for, of four values at a time. What computes them is
// compiled into this module, so that they are the same everywhere.

export function exp(x: v128): v128 {
  let y = x;
  y = f32x4.replace_lane(y, 0, Mathf.exp(f32x4.extract_lane(x, 0)));
  y = f32x4.replace_lane(y, 1, Mathf.exp(f32x4.extract_lane(x, 1)));
  y = f32x4.replace_lane(y, 2, Mathf.exp(f32x4.extract_lane(x, 2)));
  y = f32x4.replace_lane(y, 3, Mathf.exp(f32x4.extract_lane(x, 3)));
  return y;
}

export function expm1(x: v128): v128 {
  let y = x;
  y = f32x4.replace_lane(y, 0, Mathf.expm1(f32x4.extract_lane(x, 0)));
  y = f32x4.replace_lane(y, 1, Mathf.expm1(f32x4.extract_lane(x, 1)));
  y = f32x4.replace_lane(y, 2, Mathf.expm1(f32x4.extract_lane(x, 2)));
  y = f32x4.replace_lane(y, 3, Mathf.expm1(f32x4.extract_lane(x, 3)));
  return y;
}

export function log(x: v128): v128 {
  let y = x;
  y = f32x4.replace_lane(y, 0, Mathf.log(f32x4.extract_lane(x, 0)));
  y = f32x4.replace_lane(y, 1, Mathf.log(f32x4.extract_lane(x, 1)));
  y = f32x4.replace_lane(y, 2, Mathf.log(f32x4.extract_lane(x, 2)));
  y = f32x4.replace_lane(y, 3, Mathf.log(f32x4.extract_lane(x, 3)));
  return y;
}

export function log1p(x: v128): v128 {
  let y = x;
  y = f32x4.replace_lane(y, 0, Mathf.log1p(f32x4.extract_lane(x, 0)));
  y = f32x4.replace_lane(y, 1, Mathf.log1p(f32x4.extract_lane(x, 1)));
  y = f32x4.replace_lane(y, 2, Mathf.log1p(f32x4.extract_lane(x, 2)));
  y = f32x4.replace_lane(y, 3, Mathf.log1p(f32x4.extract_lane(x, 3)));
  return y;
}

export function sin(x: v128): v128 {
  let y = x;
  y = f32x4.replace_lane(y, 0, Mathf.sin(f32x4.extract_lane(x, 0)));
  y = f32x4.replace_lane(y, 1, Mathf.sin(f32x4.extract_lane(x, 1)));
  y = f32x4.replace_lane(y, 2, Mathf.sin(f32x4.extract_lane(x, 2)));
  y = f32x4.replace_lane(y, 3, Mathf.sin(f32x4.extract_lane(x, 3)));
  return y;
}

export function cos(x: v128): v128 {
  let y = x;
  y = f32x4.replace_lane(y, 0, Mathf.cos(f32x4.extract_lane(x, 0)));
  y = f32x4.replace_lane(y, 1, Mathf.cos(f32x4.extract_lane(x, 1)));
  y = f32x4.replace_lane(y, 2, Mathf.cos(f32x4.extract_lane(x, 2)));
  y = f32x4.replace_lane(y, 3, Mathf.cos(f32x4.extract_lane(x, 3)));
  return y;
}

export function tanh(x: v128): v128 {
  let y = x;
  y = f32x4.replace_lane(y, 0, Mathf.tanh(f32x4.extract_lane(x, 0)));
  y = f32x4.replace_lane(y, 1, Mathf.tanh(f32x4.extract_lane(x, 1)));
  y = f32x4.replace_lane(y, 2, Mathf.tanh(f32x4.extract_lane(x, 2)));
  y = f32x4.replace_lane(y, 3, Mathf.tanh(f32x4.extract_lane(x, 3)));
  return y;
}

/** Abramowitz and Stegun, 7.1.26: within 1.5e-7. */
function erfOf(x: f32): f32 {
  const magnitude = abs<f64>(x);
  const t = 1 / (1 + 0.3275911 * magnitude);
  const polynomial =
    ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return <f32>copysign<f64>(1 - polynomial * Math.exp(-magnitude * magnitude), x);
}

/** Without overflow on either side. */
function softplusOf(x: f32): f32 {
  return max<f32>(x, 0) + Mathf.log1p(Mathf.exp(-abs(x)));
}

export function erf(x: v128): v128 {
  let y = x;
  y = f32x4.replace_lane(y, 0, erfOf(f32x4.extract_lane(x, 0)));
  y = f32x4.replace_lane(y, 1, erfOf(f32x4.extract_lane(x, 1)));
  y = f32x4.replace_lane(y, 2, erfOf(f32x4.extract_lane(x, 2)));
  y = f32x4.replace_lane(y, 3, erfOf(f32x4.extract_lane(x, 3)));
  return y;
}

export function softplus(x: v128): v128 {
  let y = x;
  y = f32x4.replace_lane(y, 0, softplusOf(f32x4.extract_lane(x, 0)));
  y = f32x4.replace_lane(y, 1, softplusOf(f32x4.extract_lane(x, 1)));
  y = f32x4.replace_lane(y, 2, softplusOf(f32x4.extract_lane(x, 2)));
  y = f32x4.replace_lane(y, 3, softplusOf(f32x4.extract_lane(x, 3)));
  return y;
}

export function sigmoid(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp(f32x4.neg(x))));
}

export function pow(x: v128, exponent: v128): v128 {
  let y = x;
  y = f32x4.replace_lane(
    y,
    0,
    Mathf.pow(f32x4.extract_lane(x, 0), f32x4.extract_lane(exponent, 0)),
  );
  y = f32x4.replace_lane(
    y,
    1,
    Mathf.pow(f32x4.extract_lane(x, 1), f32x4.extract_lane(exponent, 1)),
  );
  y = f32x4.replace_lane(
    y,
    2,
    Mathf.pow(f32x4.extract_lane(x, 2), f32x4.extract_lane(exponent, 2)),
  );
  y = f32x4.replace_lane(
    y,
    3,
    Mathf.pow(f32x4.extract_lane(x, 3), f32x4.extract_lane(exponent, 3)),
  );
  return y;
}
