import type * as tf from "#tf";

/** tfjs identifies a tensor's data by an opaque object. */
export type DataId = object;

/** One call of a tfjs kernel, as it was recorded. */
export interface Call {
  readonly kernel: string;
  readonly inputs: Readonly<Record<string, tf.TensorInfo>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly outputs: readonly tf.TensorInfo[];
}

/**
 * Everything a step computes, as calls of tfjs kernels in order, without those that no output
 * needs. Lowerings that fuse calls look at it to see where a value comes from and who else uses it.
 */
export class Program {
  readonly calls: readonly Call[];
  readonly #producers = new Map<DataId, Call>();
  readonly #users = new Map<DataId, Call[]>();
  readonly #aliases = new Map<DataId, tf.TensorInfo>();
  readonly #outputs: ReadonlySet<DataId>;

  constructor(recorded: readonly Call[], outputs: readonly tf.TensorInfo[]) {
    const calls = recorded.filter((call) => !this.#isAlias(call)).map((call) => this.#follow(call));
    for (const call of calls) {
      for (const output of call.outputs) this.#producers.set(output.dataId, call);
    }
    this.#outputs = new Set(outputs.map((info) => this.resolve(info).dataId));
    const needed = this.#neededFor(this.#outputs);
    this.calls = calls.filter((call) => needed.has(call));
    for (const call of this.calls) {
      for (const { dataId } of Object.values(call.inputs)) {
        const users = this.#users.get(dataId) ?? [];
        this.#users.set(dataId, users);
        users.push(call);
      }
    }
  }

  /** The tensor that holds the value, where tfjs only gave it another name. */
  resolve(info: tf.TensorInfo): tf.TensorInfo {
    return this.#aliases.get(info.dataId) ?? info;
  }

  /** The call that made a value, if it is one of the given kernels; inputs of the step have none. */
  producer(info: tf.TensorInfo | undefined, ...kernels: readonly string[]): Call | undefined {
    const call = info && this.#producers.get(info.dataId);
    return call && kernels.includes(call.kernel) ? call : undefined;
  }

  users(info: tf.TensorInfo): readonly Call[] {
    return this.#users.get(info.dataId) ?? [];
  }

  /** Whether nothing but `user` (and calls that `besides` accepts) reads the value. */
  feedsOnly(
    info: tf.TensorInfo,
    user: Call,
    besides: (call: Call) => boolean = () => false,
  ): boolean {
    if (this.#outputs.has(info.dataId)) return false;
    return this.users(info).every((call) => call === user || besides(call));
  }

  #isAlias({ kernel, inputs, outputs }: Call): boolean {
    const { x } = inputs;
    const [output] = outputs;
    if (x === undefined || output === undefined) return false;
    const same =
      kernel === "Identity" ||
      (kernel === "Cast" && x.dtype === output.dtype) ||
      (kernel === "Reshape" && x.shape.join() === output.shape.join());
    if (same) this.#aliases.set(output.dataId, this.resolve(x));
    return same;
  }

  #follow(call: Call): Call {
    const inputs = Object.entries(call.inputs).map(
      ([name, info]) => [name, this.resolve(info)] as const,
    );
    return { ...call, inputs: Object.fromEntries(inputs) };
  }

  #neededFor(outputs: Iterable<DataId>): ReadonlySet<Call> {
    const needed = new Set<Call>();
    const open = [...outputs];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      const call = this.#producers.get(id);
      if (call === undefined || needed.has(call)) continue;
      needed.add(call);
      open.push(...Object.values(call.inputs).map(({ dataId }) => dataId));
    }
    return needed;
  }
}
