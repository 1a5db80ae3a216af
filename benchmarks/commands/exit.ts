/** Documented in the help of the program. */
export const EXIT = { ok: 0, failed: 1, badInput: 2, interrupted: 130 } as const;

/** Results go to stdout; all else to stderr. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
