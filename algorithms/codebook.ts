import type * as tf from "#tf";
import type { Codebook, Quantizer, QuantizerSite, QuantizerTensors } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import { minMaxObserver } from "./observers/index.js";

/** Bit width from which levels are uniform: hardware has nothing else there (as in MQBench). */
const UNIFORM_BITS = 8;

interface CodebookQuantizer extends Omit<Quantizer, "quantParams" | "codebook" | "levels"> {
  readonly codebook: (values: QuantizerTensors, site: QuantizerSite, x?: tf.Tensor) => Codebook;
}

/** A quantizer with levels of its own below 8 bits and a min-max grid from 8 bits on. */
export function codebookQuantizer(own: CodebookQuantizer): Quantizer {
  const uniform = fixedGrid(minMaxObserver);
  const choose = ({ scheme }: QuantizerSite) => scheme.bitWidth >= UNIFORM_BITS;
  const { operator } = own;
  return {
    ...own,
    levels: "codebook",
    ...(operator && { operator: (site) => (choose(site) ? "convolution" : operator(site)) }),
    observe: (x, site) => (choose(site) ? uniform : own).observe(x, site),
    initialize: (batches, site) => (choose(site) ? uniform : own).initialize(batches, site),
    fakeQuantize: (x, values, site) => (choose(site) ? uniform : own).fakeQuantize(x, values, site),
    quantParams(values, site) {
      if (choose(site)) return uniform.quantParams(values, site);
      throw new TypeError(`"${site.id}" has no uniform grid; its levels are in its codebook`);
    },
    codebook: (values, site, x) => (choose(site) ? undefined : own.codebook(values, site, x)),
  };
}
