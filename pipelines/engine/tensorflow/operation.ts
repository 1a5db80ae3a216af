/** A call of a kernel; tensors are numbered. */
export interface Operation {
  readonly kernel: string;
  readonly inputs: Readonly<Record<string, number>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly outputs: readonly number[];
}
