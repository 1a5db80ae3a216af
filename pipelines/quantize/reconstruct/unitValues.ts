import type { Network } from "../../../algorithms/network.js";
import {
  type NodeValues,
  type Rows,
  type StoredRows,
  type Unit,
  unitBetween,
} from "../../network/index.js";

/** What is computed before a unit learns, and what nobody needs once it has learned. */
interface Provision {
  readonly compute: readonly Unit[];
  readonly forget: readonly string[];
}

/**
 * The values of nodes that units read, one unit after the other: computed when the first of them needs
 * them, from what was computed before, and forgotten behind the last. What is computed from what does
 * not depend on what is remembered: from another tensor it may have other last bits.
 */
export class UnitValues {
  readonly #values = new Map<string, Rows>();
  readonly #stored = new Map<string, StoredRows>();
  readonly #provisions: readonly Provision[];

  /**
   * @param given of the first node
   * @param wanted for each unit, in order, the nodes whose values it reads while it learns
   */
  constructor(network: Network, given: Rows, wanted: readonly (readonly string[])[]) {
    const input = network.nodes[0]?.name ?? "";
    this.#values.set(input, given);
    this.#provisions = plan(network, input, wanted);
  }

  get values(): NodeValues {
    return this.#values;
  }

  /** Computes what the unit at `index` needs. */
  async provide(
    index: number,
    run: (unit: Unit, values: NodeValues) => Promise<StoredRows>,
  ): Promise<void> {
    for (const unit of this.#provisions[index]?.compute ?? []) {
      const rows = await run(unit, this.#values);
      this.#values.set(unit.output, rows);
      this.#stored.set(unit.output, rows);
    }
  }

  /** The unit at `index` has learned. */
  forget(index: number): void {
    for (const name of this.#provisions[index]?.forget ?? []) this.#release(name);
  }

  release(): void {
    for (const name of [...this.#stored.keys()]) this.#release(name);
  }

  #release(name: string): void {
    this.#stored.get(name)?.release();
    this.#stored.delete(name);
    this.#values.delete(name);
  }
}

function plan(
  network: Network,
  input: string,
  wanted: readonly (readonly string[])[],
): readonly Provision[] {
  const known = new Set([input]);
  const lastUse = new Map<string, number>();
  const computed = wanted.map((names, index) =>
    names.flatMap((name) => {
      lastUse.set(name, index);
      if (known.has(name)) return [];
      const unit = unitBetween(network, known, name);
      for (const read of unit.inputs) lastUse.set(read, index);
      known.add(name);
      return [unit];
    }),
  );
  return computed.map((compute, index) => ({
    compute,
    forget: [...lastUse].filter(([, last]) => last === index).map(([name]) => name),
  }));
}
