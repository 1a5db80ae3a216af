import type { CompletedCell } from "../results/schema.js";
import { scatterOfSearch } from "./charts/searchTrace.js";
import { escapeMarkup } from "./charts/svg.js";
import { percent } from "./format.js";

/** Of the policies that were tried, those that a table lists. */
const LISTED = 10;

const count = (value: number): string => Math.round(value).toLocaleString("en-US");

/** What a search tried and what it cost, for the cell's page; nothing where there was none. */
export function searchView({ search }: CompletedCell) {
  if (search === undefined) return undefined;
  const { budget, visits, cost, within = [], trace } = search;
  const { sites, convolutions = [], layers = [] } = search;
  const unit = UNITS[budget.unit] + (budget.on === undefined ? "" : ` on ${budget.on}`);
  const best = [...trace.entries()]
    .sort(([a, first], [b, second]) => second.accuracy - first.accuracy || a - b)
    .slice(0, LISTED);
  return {
    summary: `${count(trace.length)} ${trace.length === 1 ? "policy was" : "policies were"} tried, with ${count(visits.used)} of ${count(visits.allowed)} image visits. What was found costs ${count(cost)} ${unit}; the budget, ${allowance(budget)}, is ${count(budget.allowed)}.${within.map((limit) => ` It costs ${count(limit.cost)} ${UNITS[limit.unit]}, where ${count(limit.allowed)} are allowed.`).join("")}`,
    unit,
    chosen: layers.length > 0 ? "operators" : convolutions.length > 0 ? "output channels" : "bits",
    svg: trace.length > 1 ? scatterOfSearch(trace) : undefined,
    sites: [
      ...(sites.length > 0
        ? [`a digit of their bits for each of ${sites.join(", ")} (w: float)`]
        : []),
      ...(layers.length > 0
        ? [`what they are (c: convolution, s: shift, a: adder) of ${layers.join(", ")}`]
        : []),
      ...(convolutions.length > 0 ? [`output channels of ${convolutions.join(", ")}`] : []),
    ].join("; "),
    rows: best
      .map(([index, { accuracy, cost: spent, bits, filters = [], operators = "" }]) =>
        [
          `<tr><th scope="row">${count(index + 1)}`,
          `<td>${percent(accuracy)}`,
          `<td>${count(spent)}`,
          `<td class="text"><code>${escapeMarkup([bits, operators, ...filters.map((own) => String(own ?? "."))].join(" ").trim())}</code>\n`,
        ].join(""),
      )
      .join(""),
  };
}

/** What a budget is told from. */
const allowance = ({ share }: NonNullable<CompletedCell["search"]>["budget"]): string =>
  share === undefined
    ? "what the matrix's bit widths cost"
    : `${percent(share, 0)} % of what the matrix's bit widths cost`;

const UNITS = {
  multiplications: "multiplications",
  operations: "weighed operations",
  parameters: "weights",
  size: "bits of weights",
  memory: "bits of weights and activations",
  bitOps: "bit operations",
  cycles: "cycles",
  picojoules: "pJ",
  microseconds: "µs",
} as const;
