import type { GraphNode } from "../../onnx/onnxGraph.js";

/**
 * Orders a graph's nodes so that each chunk of the batch runs through as many operations as it can
 * while it is in the cache, and drops nodes that no output needs.
 *
 * onnxruntime runs nodes depth first from the ends of the graph, last end first. An end is added
 * behind each stretch of one chunk, a node without memory or work, in reverse: that fixes the order.
 *
 * @param chunkOf the chunk that a value belongs to, for those that begin one
 */
export function schedule(
  nodes: readonly GraphNode[],
  outputs: ReadonlySet<string>,
  chunkOf: ReadonlyMap<string, number>,
): GraphNode[] {
  const needed = neededNodes(nodes, outputs);
  const order = interleave(needed, chunksOf(needed, chunkOf));
  return [...order.nodes, ...order.ends.reverse()];
}

function neededNodes(nodes: readonly GraphNode[], outputs: ReadonlySet<string>): GraphNode[] {
  const wanted = new Set(outputs);
  const kept: GraphNode[] = [];
  for (const node of nodes.toReversed()) {
    if (!wanted.has(node.output)) continue;
    kept.push(node);
    for (const input of node.inputs) wanted.add(input);
  }
  return kept.reverse();
}

/** Index: node; value: the only chunk it reads, or -1 for what belongs to none or to several. */
function chunksOf(
  nodes: readonly GraphNode[],
  chunkOf: ReadonlyMap<string, number>,
): readonly number[] {
  const known = new Map(chunkOf);
  return nodes.map(({ inputs, output }) => {
    const read = new Set(inputs.flatMap((input) => known.get(input) ?? []));
    const [only = -1] = read;
    const chunk = known.get(output) ?? (read.size === 1 ? only : -1);
    if (chunk >= 0) known.set(output, chunk);
    return chunk;
  });
}

/** Nodes that can run, in the order of the graph. */
class Ready {
  readonly #heap: number[] = [];

  get size(): number {
    return this.#heap.length;
  }

  add(node: number): void {
    const heap = this.#heap;
    let i = heap.push(node) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((heap[parent] ?? 0) <= node) break;
      heap[i] = heap[parent] ?? 0;
      i = parent;
    }
    heap[i] = node;
  }

  take(): number {
    const heap = this.#heap;
    const first = heap[0] ?? 0;
    const last = heap.pop() ?? 0;
    if (heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] ?? 0) < (heap[child] ?? 0)) child += 1;
      if ((heap[child] ?? 0) >= last) break;
      heap[i] = heap[child] ?? 0;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

function interleave(nodes: readonly GraphNode[], chunks: readonly number[]) {
  const maker = new Map(nodes.map(({ output }, i) => [output, i]));
  const users: number[][] = nodes.map(() => []);
  const waiting = nodes.map(({ inputs }, i) => {
    const makers = new Set(inputs.flatMap((input) => maker.get(input) ?? []));
    for (const index of makers) users[index]?.push(i);
    return makers.size;
  });
  const ready = new Map<number, Ready>();
  const enqueue = (i: number) => {
    const chunk = chunks[i] ?? -1;
    const queue = ready.get(chunk) ?? new Ready();
    ready.set(chunk, queue);
    queue.add(i);
  };
  waiting.forEach((count, i) => {
    if (count === 0) enqueue(i);
  });

  const ordered: GraphNode[] = [];
  const ends: GraphNode[] = [];
  /** Chunks, the one that ran last in front: its values may still be in the cache. */
  let recent: number[] = [...new Set(chunks)].filter((chunk) => chunk >= 0).sort((a, b) => a - b);
  let stretch: number[] = [];
  const endStretch = () => {
    const inside = new Set(stretch);
    for (const i of stretch) {
      const used = users[i]?.some((user) => inside.has(user));
      const node = nodes[i];
      if (used === true || node === undefined) continue;
      ends.push({
        operator: "Shape",
        inputs: [node.output],
        output: `end ${node.output}`,
        attributes: { start: 0, end: 0 },
      });
    }
    stretch = [];
  };
  const run = (i: number) => {
    const node = nodes[i];
    if (node !== undefined) ordered.push(node);
    for (const user of users[i] ?? []) {
      const left = (waiting[user] ?? 0) - 1;
      waiting[user] = left;
      if (left === 0) enqueue(user);
    }
  };
  while (ordered.length < nodes.length) {
    const chunk = recent.find((candidate) => (ready.get(candidate)?.size ?? 0) > 0) ?? -1;
    const shared = ready.get(-1);
    // What belongs to no chunk is small, and other things wait for it.
    while (shared !== undefined && shared.size > 0) run(shared.take());
    const queue = ready.get(chunk);
    if (chunk < 0 || queue === undefined) continue;
    while (queue.size > 0) {
      const i = queue.take();
      stretch.push(i);
      run(i);
    }
    endStretch();
    recent = [chunk, ...recent.filter((other) => other !== chunk)];
  }
  return { nodes: ordered, ends };
}
