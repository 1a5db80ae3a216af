/** Control characters, and marks that turn the direction in which text is read. */
const ACTING = /[\p{Cc}\p{Bidi_Control}]/gu;

/**
 * Text that commands neither a terminal nor a reader: control characters, which start escape sequences, and
 * marks that make text read in another order than it is written are shown instead of sent.
 */
export const inert = (text: string): string =>
  text.replace(ACTING, (character) => {
    if (character === "\n" || character === "\t") return character;
    const code = character.charCodeAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
