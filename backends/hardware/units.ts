/**
 * Picojoules of arithmetic at 45 nm (Horowitz, ISSCC 2014; shifts: ShiftAddNet, You et al., 2020): products,
 * shifts and differences of 8 bits, and adding what they give to a 32-bit sum.
 */
export const INTEGER = { product: 0.2, shift: 0.024, difference: 0.03, sum: 0.1 } as const;

/** The same of 32-bit floats, which are not shifted. */
export const FLOAT = { product: 3.7, difference: 0.9, sum: 0.9 } as const;

/** Picojoules per byte: an Eyeriss-like hierarchy, relative to a product of 1 pJ. */
export const MEMORY = { dram: 100, buffer: 3, network: 1, registers: 0.5 } as const;
