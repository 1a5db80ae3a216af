import type { CellResult, Environment, Run } from "../results/schema.js";

/** What a report is made of. */
export interface ReportInput {
  readonly run: Run;
  readonly environment: Environment;
  /** In the order of tables. */
  readonly results: readonly CellResult[];
}
