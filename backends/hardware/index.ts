import { bitFusion } from "./bitFusion.js";
import { bitSerialCloud, bitSerialEdge } from "./bitSerial.js";
import { cpuSimd } from "./cpuSimd.js";
import { eyeriss } from "./eyeriss.js";
import type { HardwareModel } from "./hardware.js";
import { mpic } from "./mpic.js";
import { nasaChunks } from "./nasaChunks.js";
import { smartExchangeArray } from "./smartExchangeArray.js";

/** Every hardware model, in the order of tables. */
export const hardwareModels: readonly HardwareModel[] = [
  cpuSimd,
  mpic,
  bitSerialEdge,
  bitSerialCloud,
  bitFusion,
  eyeriss,
  smartExchangeArray,
  nasaChunks,
];
