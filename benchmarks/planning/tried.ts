import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import type { BitRange } from "../../backends/backend.js";
import { unknownName } from "../lookup.js";
import type { Matrix } from "./matrix.js";

/**
 * A matrix with an algorithm or backend of this name added: an algorithm first in every block, a backend
 * after the academic one, which sets no limits, at the matrix's bit widths or the nearest that it holds.
 *
 * @throws Error naming the nearest when there is neither
 */
export function withTried(matrix: Matrix, name: string): Matrix {
  if (algorithms.some((algorithm) => algorithm.name === name))
    return {
      ...matrix,
      cells: matrix.cells.map((block) => ({
        ...block,
        algorithms: [...new Set([name, ...namesIn(block.algorithms, algorithms)])],
      })),
    };
  const backend = backends.find((profile) => profile.name === name);
  if (backend === undefined) {
    const known = [...algorithms, ...backends].map((entry) => entry.name);
    throw new Error(unknownName("algorithm or backend", name, known));
  }
  const { weights, activations } = backend.bitWidths;
  return {
    ...matrix,
    cells: matrix.cells.map((block) => ({
      ...block,
      backends: [...new Set(["academic", name])],
      bits: block.bits.map((bits) => ({
        weights: nearest(bits.weights, weights),
        activations: nearest(bits.activations, activations),
      })),
    })),
  };
}

const namesIn = (
  chosen: "all" | readonly string[],
  entries: readonly { readonly name: string }[],
): readonly string[] => (chosen === "all" ? entries.map(({ name }) => name) : chosen);

const nearest = (bits: number, { min, max }: BitRange): number =>
  Math.min(max, Math.max(min, bits));
