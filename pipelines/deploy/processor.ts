import { readFileSync } from "node:fs";

/** Instruction sets that decide which kernels run, and with that bits and speed. */
const RELEVANT_FEATURES = /^(avx2|avx512f|avx512_vnni|avx_vnni|amx_int8|fma|asimd|asimddp|i8mm)$/;

/** What this processor offers kernels; only Linux tells without a native module. */
export function processorFeatures(): string[] {
  try {
    const info = readFileSync("/proc/cpuinfo", "utf8");
    const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(info)?.[1] ?? "";
    return line.split(" ").filter((flag) => RELEVANT_FEATURES.test(flag));
  } catch {
    return [];
  }
}
