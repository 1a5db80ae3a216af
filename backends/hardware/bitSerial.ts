import type { Source } from "../backend.js";
import { multipliesUpTo, weightsOf, type HardwareModel, type LayerWork } from "./hardware.js";

const HAQ: Source = {
  title:
    "HAQ: Hardware-Aware Automated Quantization (Wang et al., CVPR 2019) on BISMO (Umuroglu et al., FPL 2018)",
  url: "https://arxiv.org/abs/1811.08886",
};

interface Array {
  /** Images at a time. */
  readonly batch: number;
  /** Rows and columns of dot-product units. */
  readonly side: number;
  /** Binary products of a unit in one cycle. */
  readonly lanes: number;
}

/**
 * Cycles of a batch on a bit-serial array: the slowest of computing, reading inputs and reading
 * weights. Fitted to the table of cycles that HAQ publishes for MobileNetV2, whose totals it
 * meets within 2 % at every uniform width.
 */
function batchCycles(work: LayerWork, { batch, side, lanes }: Array): number {
  const { kind, taps, outputChannels, outputPixels, weightBits: w, activationBits: a } = work;
  const pixels = batch * outputPixels;
  if (kind === "depthwise") {
    return Math.max((pixels * outputChannels * a) / side, outputChannels * side * w);
  }
  const parts = Math.ceil(taps / lanes);
  const columns = Math.ceil(outputChannels / side);
  if (kind === "dense") {
    return Math.max(
      (weightsOf(work) * w) / lanes,
      columns * Math.ceil(batch / side) * parts * w * a,
    );
  }
  return Math.max(
    columns * batch * Math.ceil(outputPixels / side) * parts * w * a,
    pixels * parts * a,
    (outputChannels * parts * lanes * w) / side,
  );
}

const model = (array: Array) => ({
  source: HAQ,
  unsupported: multipliesUpTo(16),
  cost: (work: LayerWork) => ({ cycles: batchCycles(work, array) / array.batch }),
});

/** A large FPGA that works bit by bit: cycles grow with the product of the widths. */
export const bitSerialCloud: HardwareModel = {
  ...model({ batch: 16, side: 16, lanes: 256 }),
  name: "bitSerialCloud",
  title: "bit-serial, cloud (VU9P, batch 16)",
  provenance:
    "formula fitted to HAQ's published table of cycles (totals within 2 %, single layers 5 % on average); array size from memory of the paper",
};

export const bitSerialEdge: HardwareModel = {
  ...model({ batch: 1, side: 8, lanes: 64 }),
  name: "bitSerialEdge",
  title: "bit-serial, edge (Zynq-7020, batch 1)",
  provenance:
    "the cloud model's formula with a smaller array; its size is from memory of the paper, no table was published",
};
