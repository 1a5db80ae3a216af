import type { QuantizerValue, QuantizerValues } from "../quantizer.js";

/** A gradient descent between two steps: data, so that it can be kept. */
export interface Descent {
  readonly tensors: QuantizerValues;
  /** Of the tensors that were moved so far. */
  readonly velocities: Readonly<Record<string, Float32Array>>;
}

export interface DescentRule {
  readonly rate: number;
  /** Nesterov's, in PyTorch's formulation, as the pipeline's own trainings have it. */
  readonly momentum: number;
  /** Weight decay, on kernels alone. */
  readonly decay?: number;
}

export const startDescent = (tensors: QuantizerValues): Descent => ({ tensors, velocities: {} });

/** The gradients, all of them shortened alike where together they are longer than that (in the Euclidean norm). */
export function withinNorm(gradients: QuantizerValues, longest: number): QuantizerValues {
  const squares = Object.values(gradients).map(({ data }) =>
    data.reduce((sum, slope) => sum + slope * slope, 0),
  );
  const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
  if (norm <= longest) return gradients;
  const factor = longest / norm;
  return Object.fromEntries(
    Object.entries(gradients).map(([name, { shape, data }]) => [
      name,
      { shape, data: data.map((slope) => slope * factor) },
    ]),
  );
}

/** One step along the gradients; tensors without one stay as they are, momentum included. */
export function descend(
  { tensors, velocities }: Descent,
  gradients: QuantizerValues,
  { rate, momentum, decay = 0 }: DescentRule,
): Descent {
  const moved: Record<string, QuantizerValue> = { ...tensors };
  const newVelocities: Record<string, Float32Array> = { ...velocities };
  for (const [name, { shape, data: gradient }] of Object.entries(gradients)) {
    const old = tensors[name];
    if (old === undefined) throw new TypeError(`a gradient of "${name}", which is not trained`);
    const decayed = name.endsWith("/kernel") ? decay : 0;
    const velocity = velocities[name] ?? new Float32Array(gradient.length);
    const nextVelocity = new Float32Array(gradient.length);
    const data = new Float32Array(gradient.length);
    for (let i = 0; i < data.length; i++) {
      const weight = old.data[i] ?? NaN;
      const slope = (gradient[i] ?? NaN) + decayed * weight;
      const speed = Math.fround(momentum * (velocity[i] ?? NaN) + slope);
      nextVelocity[i] = speed;
      data[i] = weight - rate * (slope + momentum * speed);
    }
    moved[name] = { shape, data };
    newVelocities[name] = nextVelocity;
  }
  return { tensors: moved, velocities: newVelocities };
}
