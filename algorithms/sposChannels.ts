import type { Algorithm } from "./algorithm.js";
import { singlePath } from "./spos.js";

const method = singlePath("uniform", true);

/** SPOS with channels as choices beside bits. */
export const sposChannels = {
  ...method,
  name: "sposChannels",
  title: "SPOS (bits and channels)",
  deviations: [
    ...method.deviations.map((deviation) =>
      deviation.replace(
        "Bits alone are searched; sposChannels searches channels, too. The",
        "Bits and channels are searched together. The",
      ),
    ),
    "How channels are searched is from memory of the paper and its code: weights have the largest width, of which a path uses the first channels, as many as 0.2, 0.4, ... times the width. The largest is the network's own (twice the network's in the code), so that fewer channels pay for more bits.",
    "Convolutions that an addition joins have as many channels, and depthwise ones their input's. Channels that a path does not have learn nothing from its batch; momentum and decay are those of whole kernels.",
    "What is found starts from the first channels of the float network. Random search in its place draws bits alone.",
  ],
} as const satisfies Algorithm;
