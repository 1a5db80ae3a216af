import type { Algorithm } from "./algorithm.js";
import { dorefa } from "./dorefa.js";
import { lsq } from "./lsq.js";
import { minMax } from "./minMax.js";
import { pact } from "./pact.js";

/** Every algorithm, in the order of tables. */
export const algorithms: readonly Algorithm[] = [minMax, lsq, pact, dorefa];
