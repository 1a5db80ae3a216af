import { readFileSync } from "node:fs";

/** Timers that are to wait for longer, 25 days, would end at once: their milliseconds have 31 bits. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** Linux counts in these, whatever the processor. */
const TICK_MS = 10;
/** Who uses less of the time than this does not compute, but waits for what never comes. */
const LEAST_SHARE = 0.01;

/** Watches a process that should say something now and then. */
export interface SilenceWatch {
  /** It said something. */
  heard(): void;
  stop(): void;
}

/**
 * Tells when a process hangs: it says nothing for so long, and either used as much time of processors since then
 * or next to none. A native call blocks its whole process; on a busy machine it may take several times as long as
 * on an idle one, which is no reason to kill it.
 *
 * @param pid the process; where its system does not tell what it uses, the clock alone counts
 */
export function watchSilence(
  pid: number | undefined,
  { limitMs, onHang }: { readonly limitMs: number; readonly onHang: () => void },
): SilenceWatch {
  const limit = Math.min(limitMs, LONGEST_TIMER_MS);
  let used = processorMs(pid);
  let timer = setTimeout(judge, limit, used);
  /** @param before what it had used when this waiting began */
  function judge(before: number | undefined): void {
    const now = processorMs(pid);
    if (used === undefined || before === undefined || now === undefined) onHang();
    else if (now - used >= limit || now - before < LEAST_SHARE * limit) onHang();
    else timer = setTimeout(judge, limit, now);
  }
  return {
    heard() {
      clearTimeout(timer);
      used = processorMs(pid);
      timer = setTimeout(judge, limit, used);
    },
    stop() {
      clearTimeout(timer);
    },
  };
}

/** Milliseconds that all threads of a process were at work, where the system tells. */
function processorMs(pid: number | undefined): number | undefined {
  if (process.platform !== "linux" || pid === undefined) return undefined;
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "latin1");
    // proc(5): the second field is a name in parentheses; of those behind it, the 12th and 13th are the times.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const milliseconds = TICK_MS * (Number(fields[11]) + Number(fields[12]));
    return Number.isFinite(milliseconds) ? milliseconds : undefined;
  } catch {
    return undefined; // it is gone, or such files are hidden
  }
}
