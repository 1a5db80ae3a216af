import type { CellResult, Environment, Run } from "../results/schema.js";

/** What a report is made of. */
export interface ReportInput {
  readonly run: Run;
  readonly environment: Environment;
  /** In the order of tables. */
  readonly results: readonly CellResult[];
  /** What lies beside the results, for links; nothing where the report is made elsewhere. */
  readonly files?: {
    /** Cells whose exported network is there, by name. */
    readonly models: ReadonlySet<string>;
    readonly matrix: boolean;
  };
}

/** A file of the report. */
export interface ReportFile {
  /** Relative to the report's directory. */
  readonly path: string;
  readonly content: string;
}
