import type { CompletedCell, Operators } from "../results/schema.js";

/** Processors with these features multiply and add bytes in one instruction. */
const DOT_PRODUCTS = /\b(avx512_vnni|avx_vnni|amx_int8|asimddp|i8mm)\b/;
/** What has weights; float convolutions that an activation was merged into are called otherwise. */
const LAYER = /^(?:Fused)?(Conv|Gemm|MatMul)\b(.*)$/;
const INTEGERS = /^Q(?:Linear(?=[A-Z])|(?=Gemm|MatMul))/;
/** As export --tune asks. */
const LEAST_GAIN = 0.02;

/**
 * Which kinds of layers integers make faster on the machine that measured the cell, and what of its processor decides that;
 * nothing where no kind of layer became integers.
 */
export function integersPay({
  deployment,
  measured: { operators },
}: CompletedCell): string | undefined {
  const float = timesOf(operators.float);
  const quantized = timesOf(
    Object.fromEntries(
      Object.entries(operators.quantized)
        .filter(([name]) => INTEGERS.test(name))
        .map(([name, operator]) => [name.replace(INTEGERS, ""), operator]),
    ),
  );
  const shares = [...quantized].flatMap(([kind, time]) => {
    const before = float.get(kind);
    return before === undefined ? [] : [{ kind, share: time / before }];
  });
  if (shares.length === 0) return undefined;
  const said = (some: typeof shares): string =>
    some
      .toSorted((a, b) => a.share - b.share)
      .map(({ kind, share }) => `${kind} (${share.toFixed(2)} of float's time)`)
      .join(", ");
  const pays = said(shares.filter(({ share }) => share <= 1 - LEAST_GAIN));
  const not = said(shares.filter(({ share }) => share > 1 - LEAST_GAIN));
  return [
    ...(deployment === undefined ? [] : [processor(deployment.instructionSet)]),
    pays === "" ? "Integers pay for no kind of layer here." : `Integers pay here for ${pays}.`,
    ...(pays === "" || not === "" ? [] : [`They do not for ${not}.`]),
    ...(not !== "" && /^x64.*vnni/.test(deployment?.instructionSet ?? "") ? [PADDING] : []),
  ].join(" ");
}

/** What was found by timing convolutions of 8 to 64 channels; kernels without VNNI do not care. */
const PADDING =
  "With VNNI, convolutions with fewer than 16 output channels, or with no multiple of 4, take up to twice as long in integers as with 16: export --tune latency tries more channels, of zeros.";

const processor = (instructionSet: string): string =>
  DOT_PRODUCTS.test(instructionSet)
    ? `This processor (${instructionSet}) adds products of bytes in one instruction.`
    : `This processor (${instructionSet}) has no instruction that adds products of bytes, so that integers gain less.`;

/** Microseconds of one operator by kind of layer ("Conv 3x3"), since not all of a kind need be integers. */
function timesOf(operators: Operators): Map<string, number> {
  const sums = new Map<string, { count: number; microseconds: number }>();
  for (const [name, { count, microseconds }] of Object.entries(operators)) {
    const [, operator, window = ""] = LAYER.exec(name) ?? [];
    if (operator === undefined) continue;
    const kind = `${operator}${window}`;
    const known = sums.get(kind) ?? { count: 0, microseconds: 0 };
    sums.set(kind, { count: known.count + count, microseconds: known.microseconds + microseconds });
  }
  return new Map([...sums].map(([kind, { count, microseconds }]) => [kind, microseconds / count]));
}
