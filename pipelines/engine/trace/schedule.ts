import type { GraphNode } from "../../onnx/index.js";

/**
 * Orders a graph's nodes so that each chunk of the batch runs through as many operations as it can
 * while it is in the cache, and drops nodes that no output needs.
 *
 * onnxruntime runs nodes depth first from the ends of the graph, last end first. An end is added
 * behind each stretch of one chunk, a node without memory or work, in reverse: that fixes the order.
 */
export function schedule(
  nodes: readonly GraphNode[],
  outputs: ReadonlySet<string>,
  { chunkOf, bytesOf, mostWaiting = MOST_WAITING_BYTES }: Schedule,
): GraphNode[] {
  const needed = neededNodes(nodes, outputs);
  const order = interleave(needed, chunksOf(needed, chunkOf), { bytesOf, mostWaiting });
  return [...order.nodes, ...order.ends.reverse()];
}

interface Schedule {
  /** The chunk that a value belongs to, for those that begin one. */
  readonly chunkOf: ReadonlyMap<string, number>;
  /** What values take that join the chunks of a batch. */
  readonly bytesOf: ReadonlyMap<string, number>;
  /** Of such values, what may wait at once until all chunks are through. */
  readonly mostWaiting?: number;
}

/**
 * What a calibration looks at is the whole batch of every activation: were all of them to wait for
 * the last chunk, a large network would need gigabytes.
 */
const MOST_WAITING_BYTES = 2 ** 28;

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

/**
 * Index: node; value: the only chunk it reads, or -1 for what belongs to none or to several. What
 * joins chunks to a larger one belongs to none of them, but its readers belong to that one.
 */
function chunksOf(
  nodes: readonly GraphNode[],
  chunkOf: ReadonlyMap<string, number>,
): readonly number[] {
  const known = new Map(chunkOf);
  return nodes.map(({ inputs, output }) => {
    const read = new Set(inputs.flatMap((input) => known.get(input) ?? []));
    if (read.size > 1) return -1;
    const [only = -1] = read;
    const chunk = known.get(output) ?? only;
    if (chunk >= 0) known.set(output, chunk);
    return chunk;
  });
}

/**
 * Cuts the nodes, in their order, into phases: one ends where a chunk needs what all chunks have to
 * contribute to, as statistics of the batch are, or where too much waits for that. Within a phase one
 * chunk runs after the other, what they share comes last.
 */
function interleave(
  nodes: readonly GraphNode[],
  chunks: readonly number[],
  { bytesOf, mostWaiting }: Pick<Required<Schedule>, "bytesOf" | "mostWaiting">,
) {
  const ordered: GraphNode[] = [];
  const ends: GraphNode[] = [];
  const users = usersOf(nodes);
  /** Nodes of the phase by chunk. The chunk that ran last comes first: it may still be cached. */
  let phase = new Map<number, GraphNode[]>();
  let recent: number[] = [];
  /** What waits for the end of the phase, and the chunk of all that is not ordered yet. */
  let shared: GraphNode[] = [];
  let unordered = new Map<string, number>();
  let waiting = 0;

  const endPhase = () => {
    const order = [...phase.keys()].sort((a, b) => rank(recent, a) - rank(recent, b));
    for (const chunk of order) {
      const stretch = phase.get(chunk) ?? [];
      ordered.push(...stretch);
      ends.push(...endsOf(stretch, users));
    }
    recent = order.reverse();
    ordered.push(...shared);
    if (waiting > mostWaiting) ends.push(...endsOf(shared, users)); // else it runs when it is read
    phase = new Map();
    shared = [];
    unordered = new Map();
    waiting = 0;
  };
  nodes.forEach((node, i) => {
    const chunk = chunks[i] ?? -1;
    if (chunk >= 0) {
      const isShared = node.inputs.some((input) => (unordered.get(input) ?? chunk) !== chunk);
      if (isShared || waiting > mostWaiting) endPhase();
      const stretch = phase.get(chunk) ?? [];
      phase.set(chunk, stretch);
      stretch.push(node);
      unordered.set(node.output, chunk);
    } else if (node.inputs.some((input) => unordered.has(input))) {
      shared.push(node);
      unordered.set(node.output, chunk);
      waiting += bytesOf.get(node.output) ?? 0;
    } else {
      ordered.push(node);
    }
  });
  endPhase();
  return { nodes: ordered, ends };
}

const rank = (recent: readonly number[], chunk: number): number => {
  const index = recent.indexOf(chunk);
  return index < 0 ? recent.length + chunk : index;
};

function usersOf(nodes: readonly GraphNode[]): ReadonlyMap<string, readonly string[]> {
  const users = new Map<string, string[]>();
  for (const { inputs, output } of nodes) {
    for (const input of inputs) {
      const known = users.get(input);
      if (known === undefined) users.set(input, [output]);
      else known.push(output);
    }
  }
  return users;
}

/** Ends for the nodes of a stretch that none of its other nodes reads. */
function endsOf(
  stretch: readonly GraphNode[],
  users: ReadonlyMap<string, readonly string[]>,
): GraphNode[] {
  const inside = new Set(stretch.map(({ output }) => output));
  return stretch
    .filter(({ output }) => users.get(output)?.some((user) => inside.has(user)) !== true)
    .map(({ output }) => ({
      operator: "Shape",
      inputs: [output],
      output: `end ${output}`,
      attributes: { start: 0, end: 0 },
    }));
}
