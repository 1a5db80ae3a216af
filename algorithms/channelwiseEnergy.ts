import { MPIC_SOURCE } from "../backends/hardware/mpic.js";
import type { Algorithm } from "./algorithm.js";
import { mixedWidths, needsChoice, searchPhases } from "./channelwise.js";
import { pact } from "./pact.js";

/** How much the relative cost weighs beside the cross entropy. */
const STRENGTH = 1;

/** Searches the bits of every output channel against energy on the MPIC core. */
export const channelwiseEnergy = {
  name: "channelwiseEnergy",
  title: "Channel-wise bits (MPIC energy)",
  version: 1,
  source: MPIC_SOURCE,
  deviations: [
    "Widths 2, 4 and 8 as far as the matrix's bit width goes; activations keep the matrix's, with PACT's learned bound. Widths of activations are not searched.",
    "The cost is a part of that of the widest widths, weighed by 1; the paper sweeps its weight.",
    "Starts from the float checkpoint, not from one trained at 8 bits; logits and weights alternate in 4 rounds over 60 % of the training, the rest fine-tunes the widths that were found.",
    "Logits learn by the common optimizer at ten times its rate; the paper has rates of their own.",
    "A code is clipped to what its bits hold (as in the authors' later library).",
  ],
  weight: mixedWidths,
  activation: pact.activation,
  phases: searchPhases("energy", STRENGTH),
  unsupported: needsChoice,
} as const satisfies Algorithm;
