import { renderTextTable } from "../../reports/textTable.js";
import { LEAST_AGREEMENT } from "../../pipelines/deploy/index.js";
import type { FastestCell } from "../cell/index.js";

/** Names of forms list layers. */
const WIDTH = 240;
const percent = (share: number | undefined, digits: number): string =>
  share === undefined ? "" : `${(100 * share).toFixed(digits)} %`;

/** The forms that were tried, fastest first, and what follows. */
export function tuningText({ name, accuracy, agreement, inFloat, tried }: FastestCell): string {
  const rows = tried
    .toSorted((a, b) => (a.share ?? Infinity) - (b.share ?? Infinity))
    .map((one) =>
      [
        `${one.form === name ? "*" : " "} ${one.form}`,
        one.milliseconds === undefined ? "" : `${one.milliseconds.toFixed(3)} ms`,
        percent(one.share, 0),
      ].map((text) => ({ text })),
    );
  const head = ["  form", "an image", "of float's time"];
  return [
    ...renderTextTable({ head, rows, isEmpty: ({ text }) => text === "" }, WIDTH),
    ...tried.flatMap(({ form, unsupported, agreement: own = 1 }) =>
      unsupported !== undefined
        ? [`  ${form}: ${unsupported}`]
        : own < LEAST_AGREEMENT
          ? [`  ${form}: left out, since it predicts ${percent(own, 2)} here as in simulation`]
          : [],
    ),
    "",
    inFloat === "all" ? whyFloat(tried) : `Fastest: ${name}.`,
    `It classifies ${percent(accuracy, 2)} of the test images right, ${percent(agreement, 2)} as simulated.`,
  ].join("\n");
}

/** Integers may be slow, or fast and something else than what was simulated. */
const whyFloat = (tried: FastestCell["tried"]): string =>
  tried.some(({ share = 1, agreement = 1 }) => share < 1 && agreement < LEAST_AGREEMENT)
    ? `Integers are faster here, but predict less than ${percent(LEAST_AGREEMENT, 0)} of the test images as their simulation does: it is the float network.`
    : "Integers do not pay here: the float network is the fastest.";

export const tuningJson = (
  { name, accuracy, agreement, inFloat, tried }: FastestCell,
  file: string,
) => ({
  ...{ file, form: name, accuracy, agreement },
  inFloat: inFloat === "all" ? inFloat : [...inFloat],
  tried,
});
