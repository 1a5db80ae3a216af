/** How one kind of tensor is quantized on a backend; the bit width is the benchmark's choice. */
export interface TensorScheme {
  /** zeroPoint is fixed at 0. */
  readonly symmetric: boolean;
  /** "adaptive": unsigned where the tensor cannot be negative, signed elsewhere. */
  readonly signed: boolean | "adaptive";
  /** The lowest signed integer is dropped: [-127, 127] instead of [-128, 127]. */
  readonly narrowRange: boolean;
  /** One scale for the whole tensor, or one for each output channel. */
  readonly granularity: "perTensor" | "perChannel";
  /** "powerOfTwo": rescaling is a bit shift on the device. */
  readonly scaleForm: "fp32" | "powerOfTwo";
  /**
   * What the codes may stand for: equal steps ("uniform", if absent), steps of a logarithm, or,
   * where no device sets a limit, any set of values.
   */
  readonly levels?: "uniform" | "logarithmic" | "any";
  /**
   * How ties are rounded: to even (if absent), or as AMD's DPU does, which rounds a negative tie
   * towards positive infinity and a positive one to even.
   */
  readonly rounding?: "halfToEven" | "dpu";
}

/** A tensor's scheme with everything decided. */
export interface QuantScheme extends TensorScheme {
  readonly signed: boolean;
  readonly bitWidth: number;
}

/** Inclusive bounds of the integers. */
export interface QuantRange {
  readonly quantMin: number;
  readonly quantMax: number;
}

export const MIN_BIT_WIDTH = 1;
export const MAX_BIT_WIDTH = 16;

/**
 * The integers of a scheme: two's complement when signed, from 0 when unsigned. One signed bit is -1 or 1,
 * which no two's complement has; the 0 between them is not used.
 *
 * @throws RangeError when the bit width is not a whole number from 1 to 16
 */
export function quantRange(
  scheme: Pick<QuantScheme, "bitWidth" | "signed" | "narrowRange">,
): QuantRange {
  const { bitWidth, signed, narrowRange } = scheme;
  if (!Number.isInteger(bitWidth) || bitWidth < MIN_BIT_WIDTH || bitWidth > MAX_BIT_WIDTH) {
    throw new RangeError(
      `bitWidth must be a whole number from ${String(MIN_BIT_WIDTH)} to ${String(MAX_BIT_WIDTH)}, got ${String(bitWidth)}`,
    );
  }
  if (bitWidth === 1 && signed) return { quantMin: -1, quantMax: 1 };
  const half = 2 ** (bitWidth - 1);
  return signed
    ? { quantMin: narrowRange ? 1 - half : -half, quantMax: half - 1 }
    : { quantMin: 0, quantMax: 2 * half - 1 };
}

/** The schemes that most devices have; profiles change what differs. */
export const SYMMETRIC_PER_TENSOR = {
  symmetric: true,
  signed: true,
  narrowRange: false,
  granularity: "perTensor",
  scaleForm: "fp32",
} as const satisfies TensorScheme;

export const SYMMETRIC_PER_CHANNEL = {
  ...SYMMETRIC_PER_TENSOR,
  granularity: "perChannel",
} as const satisfies TensorScheme;

/** Integers from 0, with a zero point. */
export const AFFINE_PER_TENSOR = {
  symmetric: false,
  signed: false,
  narrowRange: false,
  granularity: "perTensor",
  scaleForm: "fp32",
} as const satisfies TensorScheme;

export const AFFINE_PER_CHANNEL = {
  ...AFFINE_PER_TENSOR,
  granularity: "perChannel",
} as const satisfies TensorScheme;
