/** Memory of one value of a step; its address is known when the whole step is. */
export class Block {
  readonly bytes: number;
  /** Between runs of the step its values stay: constants, inputs. */
  readonly kept: boolean;
  address = NaN;
  first = Infinity;
  last = -Infinity;

  constructor(bytes: number, kept = false) {
    this.bytes = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    this.kept = kept;
  }

  /** Says that the operation of that number needs the memory. */
  touch(index: number): void {
    this.first = Math.min(this.first, index);
    this.last = Math.max(this.last, index);
  }
}

/** Loops go over whole vectors and kernels read a little beyond the end. */
const ALIGNMENT = 64;

/**
 * Gives blocks addresses so that those needed at the same time do not overlap, each in the smallest
 * gap that is free when it is first needed.
 *
 * @returns the address behind the last block
 */
export function placeBlocks(blocks: readonly Block[], start: number): number {
  let end = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
  for (const block of blocks) {
    if (!block.kept) continue;
    block.address = end;
    end += block.bytes;
  }
  const moving = blocks.filter((block) => !block.kept && block.first <= block.last);
  const byFirst = moving.toSorted((a, b) => a.first - b.first || b.bytes - a.bytes);
  const byLast = moving.toSorted((a, b) => a.last - b.last);
  let gaps: { address: number; bytes: number }[] = [];
  let freed = 0;
  for (const block of byFirst) {
    for (let old = byLast[freed]; old && old.last < block.first; old = byLast[++freed]) {
      gaps = withGap(gaps, { address: old.address, bytes: old.bytes });
    }
    const fitting = gaps.filter(({ bytes }) => bytes >= block.bytes);
    const [gap] = fitting.sort((a, b) => a.bytes - b.bytes || a.address - b.address);
    if (gap !== undefined) {
      block.address = gap.address;
      gap.address += block.bytes;
      gap.bytes -= block.bytes;
    } else {
      const last = gaps.at(-1);
      const grown = last !== undefined && last.address + last.bytes === end ? last : undefined;
      block.address = grown?.address ?? end;
      end = block.address + block.bytes;
      if (grown !== undefined) grown.bytes = 0;
    }
    gaps = gaps.filter(({ bytes }) => bytes > 0);
  }
  return end;
}

/** Gaps in the order of their addresses, neighbours joined. */
function withGap(
  gaps: readonly { address: number; bytes: number }[],
  gap: { address: number; bytes: number },
) {
  const joined: { address: number; bytes: number }[] = [];
  for (const next of [...gaps, gap].sort((a, b) => a.address - b.address)) {
    const previous = joined.at(-1);
    if (previous !== undefined && previous.address + previous.bytes === next.address) {
      previous.bytes += next.bytes;
    } else {
      joined.push({ ...next });
    }
  }
  return joined;
}
